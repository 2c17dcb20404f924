//! The table's record of a request, and of its parts under way.

use crate::area::Loan;
use crate::block::{Modifiers, Operation, Status};
use crate::plan::Plan;

use super::ClientId;

/// A client request, from its submission to its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) client: ClientId,
    pub(super) sequence: u64,
    pub(super) cookie: u64,
    pub(super) operation: Operation,
    pub(super) modifiers: Modifiers,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// Payload of a write, or what was read so far of a read in several pieces.
    pub(super) bytes: Vec<u8>,
    pub(super) plan: Plan,
    /// The step under way and how much of it has been issued, in bytes.
    pub(super) step: usize,
    pub(super) issued: u32,
    /// Entries with the VCP.
    pub(super) outstanding: u32,
    pub(super) status: Status,
    pub(super) abandoned: bool,
    /// Whether it was offered to an earlier instance, which may have carried it out.
    pub(super) replayed: bool,
    /// When it is to be answered with an error, in nanoseconds; see `clock`.
    pub(super) deadline: Option<u64>,
    /// How strongly it is suspected of killing instances; see `suspect`.
    pub(super) blame: u8,
}

/// An entry with the VCP.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) tag: u64,
    pub(super) request: usize,
    pub(super) operation: Operation,
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) loan: Option<Loan>,
    /// The block being changed, once it has been read.
    pub(super) block: Vec<u8>,
    pub(super) modify: bool,
}

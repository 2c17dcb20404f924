//! What goes in and out of the table.

use crate::area::Loan;
use crate::block::{Modifiers, Operation, Status};
use crate::extent::BadExtents;

/// Names a client of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// One queue entry for the VCP, as `vcp:block/types.request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its tag, which is never used twice in the life of the table.
    pub tag: u64,
    /// The operation; its range is aligned to the device's blocks.
    pub operation: Operation,
    /// The further conditions.
    pub modifiers: Modifiers,
    /// Bytes from the start of the device.
    pub offset: u64,
    /// The length in bytes.
    pub length: u32,
    /// The room for its data, if it has any.
    pub loan: Option<Loan>,
}

/// What the host places in an entry's loan before the VCP sees it.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Nothing: room for a read, or no data at all.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// Zeroes.
    Zeroes,
}

/// A request that is finished and has to be answered to its client.
#[derive(Debug)]
pub struct Finished {
    /// The client whose request it was.
    pub client: ClientId,
    /// The client's name for it.
    pub cookie: u64,
    /// How it ended.
    pub status: Status,
    /// The bytes that were read, or the extents ([`crate::Extent::parse`]).
    pub data: Data,
}

/// Where the bytes of a finished read are.
#[derive(Debug, PartialEq, Eq)]
pub enum Data {
    /// There are none.
    None,
    /// Exactly the bytes that were given to [`crate::Table::complete`].
    InPlace,
    /// In this buffer, from `start` on. Give it to [`crate::Table::recycle`] after use.
    Buffer {
        /// The buffer.
        bytes: Vec<u8>,
        /// First byte of the answer.
        start: usize,
        /// Bytes of the answer.
        length: usize,
    },
}

/// A completion that answers no request, or not as it was asked: a fault of the VCP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// No entry with this tag is outstanding.
    #[error("completion of tag {0:#x}, which is not outstanding")]
    UnknownTag(u64),
    /// A read was completed with another number of bytes.
    #[error("read of {expected} bytes (tag {tag:#x}) completed with {got}")]
    WrongLength {
        /// The entry's tag.
        tag: u64,
        /// The bytes that were asked for.
        expected: u32,
        /// The bytes that came.
        got: usize,
    },
    /// The extents in an answer are impossible.
    #[error("answer about extents (tag {tag:#x}): {error}")]
    Extents {
        /// The entry's tag.
        tag: u64,
        /// What is wrong with the extents.
        error: BadExtents,
    },
}

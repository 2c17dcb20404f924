//! A connection that moves from one process to another, whole: its peer sees
//! nothing of it.
//!
//! What makes it whole is everything that was received and not answered, as if it
//! had just come from the socket: first what the queue held, written out as requests
//! again, then a request of which only a part has come, then what was not looked at.
//! Whoever goes on digests that before anything else. Of answers, what the socket
//! had not taken yet goes along.

use std::io;

use serde::{Deserialize, Serialize};
use vcp_nbd_proto::wire::{cmd, cmd_flag};
use vcp_nbd_proto::{Request, Session, reply};
use vcp_queue::{ClientRequest, Modifiers, Operation, Parked};

use super::flight::Pending;
use super::inbox::{Carried, Inbox};
use super::outbox::Outbox;
use super::{Expect, NbdClient};

/// The version of what is written down.
const VERSION: u16 = 3;

/// Why a connection can't be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It was written down by another version, or is none.
    #[error("what is written down of the connection makes no sense to this version")]
    State,
    /// The socket can't be used.
    #[error("its socket: {0}")]
    Socket(#[from] io::Error),
}

/// What is written down, before the bytes that were received and those to be sent.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u16,
    session: Session,
    name: String,
    received: usize,
    unsent: usize,
    /// Bytes on the socket that belong to a request that is answered already.
    unwanted: usize,
}

impl NbdClient {
    /// Goes on with a connection that [`Client::park`](vcp_queue::Client::park) has
    /// written down, maybe in another process.
    pub fn resume(parked: Parked) -> Result<Self, ResumeError> {
        let Parked { socket, state } = parked;
        let taken = postcard::take_from_bytes::<Head>(&state);
        let (head, bytes) = taken.map_err(|_| ResumeError::State)?;
        let whole = head.received.checked_add(head.unsent) == Some(bytes.len());
        if head.version != VERSION || !whole {
            return Err(ResumeError::State);
        }
        let (received, unsent) = bytes.split_at(head.received);
        let mut client = Self::new(socket, head.name, head.session)?;
        client.inbox = Inbox::carrying(Carried::new(received.to_vec(), head.unwanted));
        client.outbox = Outbox::owing(unsent.to_vec());
        Ok(client)
    }

    /// Writes the connection down.
    pub(super) fn parted(mut self, unanswered: Vec<ClientRequest>) -> Option<Parked> {
        let mut received = Vec::new();
        for request in unanswered {
            let pending = self.flight.remove(request.cookie)?;
            let header = header(&request, pending);
            received.extend_from_slice(&header.encode());
            received.extend_from_slice(&request.payload);
        }
        let mut unwanted = 0;
        match std::mem::replace(&mut self.expect, Expect::Request) {
            Expect::Request => {}
            Expect::Payload {
                key,
                offset,
                length,
                modifiers,
                bytes,
            } => {
                let pending = self.flight.remove(key as u64)?;
                let begun = ClientRequest {
                    cookie: key as u64,
                    operation: Operation::Write,
                    modifiers,
                    offset,
                    length,
                    payload: Vec::new(),
                };
                received.extend_from_slice(&header(&begun, pending).encode());
                received.extend_from_slice(&bytes);
            }
            // The answer may as well come before the rest of the payload.
            Expect::Unwanted {
                left,
                cookie,
                refusal,
            } => {
                let style = self.session.style();
                let out = self.outbox.own();
                reply::error(out, style, cookie, refusal.errno, refusal.message);
                unwanted = left;
            }
            Expect::End => received.extend_from_slice(&disconnect().encode()),
        }
        let (rest, still_unwanted) = self.inbox.rest();
        received.extend_from_slice(&rest);
        let unsent = self.outbox.rest();
        let head = Head {
            version: VERSION,
            session: self.session.clone(),
            name: std::mem::take(&mut self.name),
            received: received.len(),
            unsent: unsent.len(),
            unwanted: unwanted + still_unwanted,
        };
        let mut state = postcard::to_allocvec(&head).ok()?;
        state.reserve(received.len() + unsent.len());
        state.extend_from_slice(&received);
        state.extend_from_slice(&unsent);
        let socket = self.socket.try_clone().ok()?;
        // It has not ended.
        self.lasting = None;
        Some(Parked { socket, state })
    }
}

/// The request as its peer may have sent it, under the peer's name for it.
fn header(request: &ClientRequest, pending: Pending) -> Request {
    let Modifiers { fua, no_unmap } = request.modifiers;
    let zeroes = request.operation == Operation::WriteZeroes;
    let mut flags = if fua { cmd_flag::FUA } else { 0 };
    if no_unmap && zeroes {
        flags |= cmd_flag::NO_HOLE;
    }
    if pending.one {
        flags |= cmd_flag::REQ_ONE;
    }
    let kind = match request.operation {
        Operation::Read => cmd::READ,
        Operation::Write => cmd::WRITE,
        Operation::Flush => cmd::FLUSH,
        Operation::Discard => cmd::TRIM,
        Operation::WriteZeroes => cmd::WRITE_ZEROES,
        Operation::Extents => cmd::BLOCK_STATUS,
    };
    Request {
        flags,
        kind,
        cookie: pending.cookie,
        offset: request.offset,
        length: request.length,
    }
}

fn disconnect() -> Request {
    Request {
        flags: 0,
        kind: cmd::DISC,
        cookie: 0,
        offset: 0,
        length: 0,
    }
}

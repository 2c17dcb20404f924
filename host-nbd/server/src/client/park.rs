//! Moving a connection from one process to another, unnoticed by its peer.
//!
//! Everything moves that was received and not answered, as if it had just come from the
//! socket: first the requests on the queue, written as requests again, then a partly
//! received request, then the bytes not yet parsed. The new process digests all that
//! before anything else. Answers that the socket had not taken yet move too.

use std::io;

use serde::{Deserialize, Serialize};
use vcp_nbd_proto::wire::{cmd, cmd_flag};
use vcp_nbd_proto::{Request, Session, reply};
use vcp_queue::{ClientRequest, Modifiers, Operation, Parked};

use super::flight::Pending;
use super::inbox::{Carried, Inbox};
use super::outbox::Outbox;
use super::{Expect, NbdClient};

/// The version of the format.
const VERSION: u16 = 3;

/// Why a connection cannot be resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The state has another version, or is none.
    #[error("what is written down of the connection makes no sense to this version")]
    State,
    /// The socket cannot be used.
    #[error("its socket: {0}")]
    Socket(#[from] io::Error),
}

/// The head of the state, before the received bytes and those to be sent.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u16,
    session: Session,
    name: String,
    received: usize,
    unsent: usize,
    /// The number of bytes on the socket that belong to a request already answered.
    unwanted: usize,
}

impl NbdClient {
    /// Resumes a connection that [`Client::park`](vcp_queue::Client::park) has
    /// serialized, maybe in another process.
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

    /// Serializes the connection.
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
            // The answer may come before the rest of the payload.
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
        // The connection has not ended, so nobody is told so.
        self.lasting = None;
        Some(Parked { socket, state })
    }
}

/// The request as its peer may have sent it, under the peer's cookie.
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

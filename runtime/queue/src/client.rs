//! The upper end of a block queue: a client whose socket the channel processor
//! polls, such as one NBD connection in its transmission phase.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::block::{Modifiers, Operation, Status};

/// One request of a client. Offsets and lengths are in bytes and need not be
/// aligned to blocks: the queue splits and aligns. The range must lie inside the
/// device and a write must not be sent to a read-only one: the client's
/// protocol has its own errors for that and answers them itself.
#[derive(Debug)]
pub struct ClientRequest {
    /// The client's own name for the request, returned in the [`Answer`].
    pub cookie: u64,
    /// The operation that it asks for.
    pub operation: Operation,
    /// Its further conditions.
    pub modifiers: Modifiers,
    /// Bytes from the start of the device; 0 for a flush.
    pub offset: u64,
    /// Bytes; 0 for a flush.
    pub length: u32,
    /// The bytes of a write, `length` of them; empty for everything else. They
    /// are the host's authoritative copy until the request is answered.
    pub payload: Vec<u8>,
}

/// The answer to one request.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The request's cookie.
    pub cookie: u64,
    /// How it ended.
    pub status: Status,
    /// The bytes of a successful read; for a successful question about extents, what
    /// [`Extent::parse`](crate::Extent::parse) takes, or nothing if the device can't tell;
    /// otherwise empty. They are borrowed from guest memory, so whatever cannot be sent at
    /// once must be copied.
    pub data: &'a [u8],
}

/// Where a client puts its requests.
pub trait Submit {
    /// Whether the client may take one more request off its socket, with which it holds so
    /// many bytes; see [`Client::held`]. A client that may must take it. One that may not
    /// stops reading, and is called again when it is its turn to go on.
    fn admit(&mut self, holding: usize) -> bool;
    /// Queues a request.
    fn submit(&mut self, request: ClientRequest);
    /// Takes note of a request with so many bytes of payload that was admitted and that
    /// the client answers by itself. It counts like any other for limits and turns.
    fn spend(&mut self, bytes: u32) {
        let _ = bytes;
    }
    /// An empty buffer with at least this capacity, for a payload. Buffers are recycled, so
    /// that no request needs an allocation of its own.
    fn buffer(&mut self, capacity: usize) -> Vec<u8>;
}

/// What a client waits for that only its peer can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    /// The rest of a request that has begun.
    Rest,
    /// The peer's taking of the answers that it is owed.
    Reader,
}

/// Why a client is done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It disconnected as its protocol prescribes.
    #[error("disconnected")]
    Disconnected,
    /// Its socket failed or was closed in the middle.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// It broke its protocol.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// The host is done with it, for this reason.
    #[error("ended: {0}")]
    Ended(String),
}

/// Whether everything went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is waiting to be sent.
    All,
    /// The socket is full; call again when it is writable.
    Pending,
}

/// A connection that leaves this process whole, for another process to go on with.
#[derive(Debug)]
pub struct Parked {
    /// The connection.
    pub socket: OwnedFd,
    /// The state that its next owner needs; only clients of the same kind make and
    /// understand it. It has what was received and not answered.
    pub state: Vec<u8>,
}

/// A client of a block queue. Its socket is non-blocking. All calls come from
/// the channel processor's thread, none may block. After an error the client is
/// dropped, and answers to what it had outstanding with it.
pub trait Client: Send {
    /// The socket to poll.
    fn fd(&self) -> BorrowedFd<'_>;

    /// For logs: who this is, such as the peer's address.
    fn name(&self) -> &str;

    /// Takes what is ready off the socket and submits whole requests. Called
    /// when the socket is readable and when the queue has room again.
    ///
    /// Returns `true` when it stopped for want of room in the queue, and would
    /// read on. May return [`ClientError::Disconnected`] only once everything it
    /// submitted has been answered and sent.
    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError>;

    /// Sends answers, all that are ready for this client in one batch: one
    /// system call where the socket takes it all. What it does not take is
    /// copied and kept. `answers` may be empty, to send what was kept.
    fn send(&mut self, answers: &[Answer<'_>]) -> Result<Flushed, ClientError>;

    /// Bytes of the host's memory that are kept for it: the payloads of what it
    /// submitted and of what is coming in, and the answers to all that, which wait here
    /// if the peer does not take them.
    fn held(&self) -> usize {
        0
    }

    /// What keeps it from going on, if that is its peer.
    fn awaits(&self) -> Option<Awaits> {
        None
    }

    /// Bytes that its socket has given and taken so far. While it awaits its peer and this
    /// does not grow, its peer does nothing.
    fn moved(&self) -> u64 {
        0
    }

    /// Gives up the connection without ending it. `unanswered` are the requests that it
    /// submitted and that were not answered, in the order of submission: its next owner
    /// submits them again. `None` if the client can't do this: its connection is closed.
    fn park(self: Box<Self>, unanswered: Vec<ClientRequest>) -> Option<Parked> {
        let _ = unanswered;
        None
    }
}

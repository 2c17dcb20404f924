//! One NBD connection in its transmission phase, as a client of a block queue.
//!
//! Runs on the channel processor's thread: nothing here blocks, and once its
//! buffers have grown nothing allocates per request. Beyond what
//! [`vcp_queue::Client`] says it asks of its driver:
//!
//! * readiness is level-triggered: [`receive`](Client::receive) takes about a
//!   quarter of a megabyte per call and leaves the rest on the socket;
//! * after `receive`, `send` is called with the answers there are or with none,
//!   so that what it answered by itself and could not send at once is not
//!   forgotten;
//! * when `receive` returned `true` the client is not polled for input and is
//!   called again after an answer to it or, if its last `send` was
//!   [`Flushed::Pending`], after a `send` that was not; at once if there is nothing to
//!   answer and the `send` after `receive` was not pending. It may have stopped for
//!   want of room in the queue, because it owes its peer too much that the peer
//!   does not read, or because the peer said good-bye with requests under way;
//! * a hang-up or an error of the socket is passed on by calling `receive`, also
//!   when it had stopped;
//! * `send` too may return [`ClientError::Disconnected`], after the last answer.

mod flight;
mod inbox;
mod outbox;
mod park;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::sync::OwnedSemaphorePermit;
use vcp_nbd_proto::wire::{cmd, cmd_flag};
use vcp_nbd_proto::{Refusal, Request, Session, Verdict, reply};
use vcp_queue::{
    Answer, Awaits, Client, ClientError, ClientRequest, Flushed, Modifiers, Operation, Parked,
    Status, Submit,
};

use flight::{Flight, Pending};
use inbox::{Inbox, Received};
use outbox::Outbox;
pub use park::ResumeError;

/// The most bytes that a client may hold before no more of its requests are taken: the
/// payloads of its writes, and its replies, under way and unsent. A larger request is
/// taken when it is alone. The limit is enough to keep a fast device on a long way busy;
/// data that a peer does not read is copied up to this, at everybody's expense.
const MAX_HELD: usize = 8 << 20;

/// Requests that a client may have under way. More stay on its socket.
const MAX_FLIGHT: usize = 1024;

/// About how many bytes are taken off the socket in one call: few enough that one client
/// does not keep the others waiting, and that they are still in the CPU's cache when they
/// are copied on.
const RECEIVE_BUDGET: usize = 256 << 10;

/// The send buffer size that is asked for on a unix socket, in bytes.
const SEND_BUFFER: usize = 4 << 20;

/// An NBD connection as a client of a queue; see the module's documentation.
#[derive(Debug)]
pub struct NbdClient {
    socket: OwnedFd,
    name: String,
    session: Session,
    inbox: Inbox,
    expect: Expect,
    flight: Flight,
    outbox: Outbox,
    /// The number of bytes received from the socket.
    received: u64,
    /// The permit by which the server counts its connections.
    _permit: Option<OwnedSemaphorePermit>,
    lasting: Option<Lasting>,
}

/// What the stream holds next.
#[derive(Debug)]
enum Expect {
    Request,
    /// The rest of a write's payload.
    Payload {
        key: usize,
        offset: u64,
        length: u32,
        modifiers: Modifiers,
        bytes: Vec<u8>,
    },
    /// The rest of a payload that is dropped, and the answer that follows it.
    Unwanted {
        left: usize,
        cookie: u64,
        refusal: Refusal,
    },
    /// Nothing: the client said good-bye.
    End,
}

/// Why the received bytes could not be digested further.
enum Stopped {
    /// More bytes are needed.
    Hungry,
    /// There is no room for the next request.
    NoRoom,
}

impl NbdClient {
    /// Takes over a negotiated connection. `socket` is made non-blocking; `name`
    /// is for logs. Nothing of the transmission phase may have been read off it.
    pub fn new(socket: OwnedFd, name: String, session: Session) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        tune(socket.as_fd());
        Ok(Self {
            socket,
            name,
            session,
            inbox: Inbox::new(),
            expect: Expect::Request,
            flight: Flight::default(),
            outbox: Outbox::default(),
            received: 0,
            _permit: None,
            lasting: None,
        })
    }

    /// Makes this the client of a peer that holds on to its requests until it is given
    /// another connection. `ended` is told when this connection has been shut down, and
    /// whether the peer said good-bye. A device that shuts down does not fail the peer's
    /// requests: the connection ends instead.
    #[must_use]
    pub fn lasting(mut self, ended: impl FnOnce(bool) + Send + 'static) -> Self {
        self.lasting = Some(Lasting(Box::new(ended)));
        self
    }

    /// The name of the connected export.
    #[must_use]
    pub fn export(&self) -> &str {
        self.session.name()
    }

    /// The terms that the client was told.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Gives up `permit` when the connection ends.
    #[must_use]
    pub(crate) fn holding(mut self, permit: OwnedSemaphorePermit) -> Self {
        self._permit = Some(permit);
        self
    }

    /// Handles everything that has been received.
    fn digest(&mut self, queue: &mut dyn Submit) -> Result<Stopped, ClientError> {
        loop {
            match &mut self.expect {
                Expect::Request => {
                    let Some(header) = self.inbox.peek() else {
                        return Ok(Stopped::Hungry);
                    };
                    let request = Request::parse(header)
                        .map_err(|error| ClientError::Protocol(error.to_string()))?;
                    if !self.take(&request, queue) {
                        return Ok(Stopped::NoRoom);
                    }
                }
                Expect::Payload { length, bytes, .. } => {
                    self.inbox.move_to(bytes, *length as usize);
                    if bytes.len() < *length as usize {
                        return Ok(Stopped::Hungry);
                    }
                    self.submit_write(queue);
                }
                Expect::Unwanted {
                    left,
                    cookie,
                    refusal,
                } => {
                    *left -= self.inbox.discard(*left);
                    if *left > 0 {
                        return Ok(Stopped::Hungry);
                    }
                    let Refusal { errno, message } = *refusal;
                    reply::error(
                        self.outbox.own(),
                        self.session.style(),
                        *cookie,
                        errno,
                        message,
                    );
                    self.expect = Expect::Request;
                }
                Expect::End => {
                    self.inbox.discard(usize::MAX);
                    return Ok(Stopped::Hungry);
                }
            }
        }
    }

    /// Takes one request off the inbox, or leaves it there for want of room.
    fn take(&mut self, request: &Request, queue: &mut dyn Submit) -> bool {
        let verdict = self.session.check(request);
        let mut cost = outbox::OVERHEAD;
        if let Verdict::Queue(operation, _) = verdict {
            cost += request.payload() as usize;
            cost += match operation {
                Operation::Read => request.length as usize,
                Operation::Extents => reply::MAX_EXTENTS,
                _ => 0,
            };
        }
        let held = self.owned();
        if held > 0 && held + cost > MAX_HELD || self.flight.len() >= MAX_FLIGHT {
            return false;
        }
        // Refused requests count too, so that a client cannot evade the limit by them.
        let leaves = matches!(verdict, Verdict::Disconnect);
        if !leaves && !queue.admit(held + cost) {
            return false;
        }
        if !leaves && !matches!(verdict, Verdict::Queue(..)) {
            queue.spend(request.payload());
        }
        self.inbox.discard(Request::SIZE);
        let style = self.session.style();
        match verdict {
            Verdict::Queue(operation, modifiers) => {
                self.queue(request, operation, modifiers, cost, queue);
            }
            Verdict::Nothing if request.kind == cmd::READ => {
                reply::read(self.outbox.own(), style, request.cookie, request.offset, 0);
            }
            Verdict::Nothing => reply::done(self.outbox.own(), request.cookie),
            Verdict::Allocated(length) => {
                reply::allocated(self.outbox.own(), request.cookie, length);
            }
            Verdict::Refuse(refusal) => {
                let left = request.payload() as usize;
                self.expect = Expect::Unwanted {
                    left,
                    cookie: request.cookie,
                    refusal,
                };
            }
            Verdict::Disconnect => self.expect = Expect::End,
        }
        true
    }

    /// Submits a request, or first waits for its payload.
    fn queue(
        &mut self,
        request: &Request,
        operation: Operation,
        modifiers: Modifiers,
        cost: usize,
        queue: &mut dyn Submit,
    ) {
        let Request {
            cookie,
            offset,
            length,
            ..
        } = *request;
        let key = self.flight.insert(Pending {
            cookie,
            operation,
            offset,
            length,
            one: request.flags & cmd_flag::REQ_ONE != 0,
            cost,
        });
        let payload = request.payload();
        self.inbox.expect_payload(payload as usize);
        if payload > 0 {
            let bytes = queue.buffer(payload as usize);
            self.expect = Expect::Payload {
                key,
                offset,
                length,
                modifiers,
                bytes,
            };
            return;
        }
        queue.submit(ClientRequest {
            cookie: key as u64,
            operation,
            modifiers,
            offset,
            length,
            payload: Vec::new(),
        });
    }

    /// Bytes of requests that were taken, and of answers.
    fn owned(&self) -> usize {
        self.flight.held() + self.outbox.unsent()
    }

    fn submit_write(&mut self, queue: &mut dyn Submit) {
        let expect = std::mem::replace(&mut self.expect, Expect::Request);
        if let Expect::Payload {
            key,
            offset,
            length,
            modifiers,
            bytes,
        } = expect
        {
            queue.submit(ClientRequest {
                cookie: key as u64,
                operation: Operation::Write,
                modifiers,
                offset,
                length,
                payload: bytes,
            });
        }
    }

    /// Receives once, straight into a payload where one is under way.
    fn fill(&mut self) -> io::Result<Received> {
        match &mut self.expect {
            Expect::Payload { length, bytes, .. } => {
                let missing = *length as usize - bytes.len();
                self.inbox.fill_payload(self.socket.as_fd(), bytes, missing)
            }
            _ => self.inbox.fill(self.socket.as_fd()),
        }
    }

    /// Handles the end of the stream: the peer will send no more.
    fn closed(&self) -> Result<bool, ClientError> {
        let leaving = matches!(self.expect, Expect::End);
        if leaving && !inbox::hung_up(self.socket.as_fd())? {
            // The peer may still read its answers, but there is nothing more to poll for.
            return Ok(true);
        }
        let what = match self.expect {
            Expect::End => "closed before all requests were answered",
            Expect::Request if self.inbox.is_empty() => "closed without a disconnect request",
            _ => "closed in the middle of a request",
        };
        Err(end(what))
    }

    /// Ends the connection once a client that said good-bye has all its answers.
    fn farewell(&self) -> Result<(), ClientError> {
        let done = matches!(self.expect, Expect::End)
            && self.flight.is_empty()
            && self.outbox.unsent() == 0;
        if done {
            Err(ClientError::Disconnected)
        } else {
            Ok(())
        }
    }
}

impl Client for NbdClient {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError> {
        let mut budget = RECEIVE_BUDGET;
        let mut emptied = false;
        loop {
            if let Stopped::NoRoom = self.digest(queue)? {
                let before = self.outbox.unsent();
                self.outbox.flush(self.socket.as_fd())?;
                if self.outbox.unsent() < before {
                    // There may be room now, and no other event would tell.
                    continue;
                }
                // A client that waits for room does not see the end of the stream.
                if inbox::hung_up(self.socket.as_fd())? {
                    return Err(end("closed with requests under way"));
                }
                return Ok(true);
            }
            self.outbox.flush(self.socket.as_fd())?;
            self.farewell()?;
            if (emptied || budget == 0) && !self.inbox.carries() {
                return Ok(false);
            }
            match self.fill()? {
                Received::Nothing => return Ok(false),
                Received::End => return self.closed(),
                Received::Some { bytes, emptied: e } => {
                    self.received += bytes as u64;
                    budget = budget.saturating_sub(bytes);
                    emptied = e;
                }
            }
        }
    }

    fn send(&mut self, answers: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        // The other requests of the batch are also sent again by the peer, and done
        // again.
        let leaving = |answer: &Answer<'_>| answer.status == Status::ShuttingDown;
        if self.lasting.is_some() && answers.iter().any(leaving) {
            return Err(end(
                "left with requests under way, for another host to answer",
            ));
        }
        let style = self.session.style();
        self.outbox
            .send(self.socket.as_fd(), answers, &mut self.flight, style)?;
        self.farewell()?;
        Ok(if self.outbox.unsent() == 0 {
            Flushed::All
        } else {
            Flushed::Pending
        })
    }

    fn held(&self) -> usize {
        self.owned() + self.inbox.carried()
    }

    fn awaits(&self) -> Option<Awaits> {
        let rest = match self.expect {
            Expect::Payload { .. } | Expect::Unwanted { .. } => true,
            Expect::Request => !self.inbox.is_empty() && self.inbox.peek().is_none(),
            Expect::End => false,
        };
        let owed = self.outbox.unsent() > 0;
        owed.then_some(Awaits::Reader)
            .or(rest.then_some(Awaits::Rest))
    }

    fn moved(&self) -> u64 {
        self.received + self.outbox.sent()
    }

    fn park(self: Box<Self>, unanswered: Vec<ClientRequest>) -> Option<Parked> {
        self.parted(unanswered)
    }
}

impl Drop for NbdClient {
    fn drop(&mut self) {
        if let Some(Lasting(ended)) = self.lasting.take() {
            // The peer is to know at once, even if others have descriptors of the socket.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
            ended(matches!(self.expect, Expect::End));
        }
    }
}

/// See [`NbdClient::lasting`].
struct Lasting(Box<dyn FnOnce(bool) + Send>);

impl std::fmt::Debug for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lasting")
    }
}

/// The error for an unexpected end of the stream.
fn end(what: &str) -> ClientError {
    ClientError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, what))
}

/// Tunes a socket for speed. Nothing depends on it, so failures are ignored.
fn tune(socket: BorrowedFd<'_>) {
    use rustix::net::{AddressFamily, sockopt};
    if sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX) {
        // Room for several large replies; the kernel cuts it to its maximum.
        // TCP sizes its buffers by itself unless told.
        let _ = sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER);
    } else {
        let _ = sockopt::set_tcp_nodelay(socket, true);
    }
}

#[cfg(test)]
mod tests;

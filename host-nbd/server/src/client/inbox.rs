//! Receiving, and the bytes that were received but not yet parsed. A small request costs
//! a share of one system call for all that are waiting; a large payload goes straight
//! into its own buffer.
//!
//! This is the only module of the crate with `unsafe` code: the kernel fills the spare
//! capacity of a payload's buffer, which need not be cleared first.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vcp_nbd_proto::Request;

/// The most bytes that are held.
const CAPACITY: usize = 256 << 10;
/// Payloads from this size on are worth receiving without a copy.
const LARGE: usize = 32 << 10;
/// Bytes read ahead while large payloads come in: enough for the headers of the next
/// requests, and little of a payload that would have to be copied.
const SHORT: usize = 4 << 10;

/// The result of one receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Some bytes; `emptied` when the socket had no more.
    Some { bytes: usize, emptied: bool },
    /// There are no bytes now.
    Nothing,
    /// There will be no more bytes.
    End,
}

#[derive(Debug)]
pub(super) struct Inbox {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// How much to receive at once, by the size of the last request.
    ahead: usize,
    /// What another process received before; it comes before the bytes on the socket.
    carried: Carried,
}

/// The bytes that a connection brings along from the process that had it before.
#[derive(Debug, Default)]
pub(super) struct Carried {
    bytes: Vec<u8>,
    at: usize,
    /// The number of bytes on the socket, after these, that are dropped.
    unwanted: usize,
}

impl Carried {
    pub(super) fn new(bytes: Vec<u8>, unwanted: usize) -> Self {
        Self {
            bytes,
            at: 0,
            unwanted,
        }
    }

    /// Copies as much as fits and returns how much that was.
    fn take(&mut self, room: &mut [u8]) -> usize {
        let count = room.len().min(self.bytes.len() - self.at);
        room[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        if self.at == self.bytes.len() {
            (self.bytes, self.at) = (Vec::new(), 0);
        }
        count
    }
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; CAPACITY].into(),
            start: 0,
            end: 0,
            ahead: CAPACITY,
            carried: Carried::default(),
        }
    }

    pub(super) fn carrying(carried: Carried) -> Self {
        Self {
            carried,
            ..Self::new()
        }
    }

    /// Whether it holds carried bytes, which the socket does not signal.
    pub(super) fn carries(&self) -> bool {
        !self.carried.bytes.is_empty()
    }

    /// The number of bytes that another process received and that are not parsed yet.
    pub(super) fn carried(&self) -> usize {
        self.carried.bytes.len() - self.carried.at
    }

    /// All bytes that were received but not parsed, and how many of the following bytes
    /// on the socket are to be dropped.
    pub(super) fn rest(&mut self) -> (Vec<u8>, usize) {
        let mut rest = self.buffer[self.start..self.end].to_vec();
        rest.extend_from_slice(&self.carried.bytes[self.carried.at..]);
        (rest, self.carried.unwanted)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The next request header, if it is complete.
    pub(super) fn peek(&self) -> Option<&[u8; Request::SIZE]> {
        self.buffer[self.start..self.end].first_chunk()
    }

    /// Drops at most `count` bytes and returns how many.
    pub(super) fn discard(&mut self, count: usize) -> usize {
        let count = count.min(self.end - self.start);
        self.start += count;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        count
    }

    /// Moves bytes to `payload` until it holds `length`.
    pub(super) fn move_to(&mut self, payload: &mut Vec<u8>, length: usize) {
        let count = (length - payload.len()).min(self.end - self.start);
        payload.extend_from_slice(&self.buffer[self.start..self.start + count]);
        self.discard(count);
    }

    /// Notes that a request has `payload` bytes, to size the next receives accordingly.
    pub(super) fn expect_payload(&mut self, payload: usize) {
        self.ahead = if payload >= LARGE { SHORT } else { CAPACITY };
    }

    /// Receives into the inbox.
    pub(super) fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<Received> {
        // Less than a header is left, so this is cheap.
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = &mut self.buffer[self.end..self.ahead];
        if !self.carried.bytes.is_empty() {
            let bytes = self.carried.take(room);
            self.end += bytes;
            return Ok(Received::carried(bytes));
        }
        let asked = room.len();
        let received = outcome(rustix::io::read(socket, room).map_err(Into::into), asked)?;
        if let Received::Some { bytes, .. } = received {
            // Carried bytes end with a whole request if any bytes are unwanted, so that
            // no carried bytes come before these.
            let unwanted = bytes.min(self.carried.unwanted);
            self.carried.unwanted -= unwanted;
            self.end += bytes;
            self.discard(unwanted);
        }
        Ok(received)
    }

    /// Receives `missing` bytes (not 0) at the end of `payload`, and what comes
    /// after them into the inbox, which must be empty.
    pub(super) fn fill_payload(
        &mut self,
        socket: BorrowedFd<'_>,
        payload: &mut Vec<u8>,
        missing: usize,
    ) -> io::Result<Received> {
        payload.reserve(missing);
        if !self.carried.bytes.is_empty() {
            let from = payload.len();
            payload.resize(from + missing, 0);
            let bytes = self.carried.take(&mut payload[from..]);
            payload.truncate(from + bytes);
            return Ok(Received::carried(bytes));
        }
        let ahead = &mut self.buffer[..self.ahead];
        let asked = missing + ahead.len();
        let parts = [
            libc::iovec {
                iov_base: payload.spare_capacity_mut().as_mut_ptr().cast(),
                iov_len: missing,
            },
            libc::iovec {
                iov_base: ahead.as_mut_ptr().cast(),
                iov_len: ahead.len(),
            },
        ];
        // SAFETY: the first part lies in the spare capacity of `payload`, of
        // which at least `missing` bytes were reserved, the second in `ahead`;
        // both are borrowed exclusively and outlive the call.
        let count = unsafe { libc::readv(socket.as_raw_fd(), parts.as_ptr(), 2) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error());
        let received = outcome(count, asked)?;
        if let Received::Some { bytes, .. } = received {
            let filled = bytes.min(missing);
            // SAFETY: the kernel has written `filled` bytes right after the
            // payload's end, within its capacity.
            unsafe { payload.set_len(payload.len() + filled) };
            (self.start, self.end) = (0, bytes - filled);
        }
        Ok(received)
    }
}

impl Received {
    /// It is not known what is still on the socket.
    fn carried(bytes: usize) -> Self {
        Self::Some {
            bytes,
            emptied: false,
        }
    }
}

fn outcome(result: io::Result<usize>, asked: usize) -> io::Result<Received> {
    match result {
        Ok(0) => Ok(Received::End),
        Ok(bytes) => Ok(Received::Some {
            bytes,
            emptied: bytes < asked,
        }),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Ok(Received::Nothing),
            // Nothing was lost, and the socket is still readable.
            io::ErrorKind::Interrupted => Ok(Received::Nothing),
            _ => Err(error),
        },
    }
}

/// Whether the peer has closed the connection altogether, not only its sending side.
pub(super) fn hung_up(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let ready = poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )?;
    Ok(ready > 0 && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

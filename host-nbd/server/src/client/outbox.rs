//! Sending. The answers of one batch go out by one system call, headers from a reused
//! buffer and data from the queue's memory; only what the socket does not take is copied.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use vcp_nbd_proto::{Errno, Style, reply};
use vcp_queue::{Answer, Extent, Operation, Status};

use super::flight::{Flight, Pending};

/// The most bytes that an answer takes besides its data, with room for a line about an
/// error.
pub(super) const OVERHEAD: usize = 128;

/// Answers sent by one system call.
const BATCH: usize = 128;
/// The parts of such a call: the backlog, a header and data for each answer, and a last
/// run of headers.
const PARTS: usize = 2 * BATCH + 2;
/// The memory kept for unsent bytes once all are sent.
const KEPT: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Unsent bytes, from `sent` on.
    backlog: Vec<u8>,
    sent: usize,
    /// The number of bytes that the socket has taken since the start.
    taken: u64,
    /// Headers of the batch under way.
    headers: Vec<u8>,
    /// Where each header ends, and whether data follows.
    ends: Vec<(usize, bool)>,
}

impl Outbox {
    /// The number of bytes waiting to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.backlog.len() - self.sent
    }

    /// The number of bytes that the socket has taken so far.
    pub(super) fn sent(&self) -> u64 {
        self.taken
    }

    /// Begins with the unsent bytes of an earlier outbox.
    pub(super) fn owing(unsent: Vec<u8>) -> Self {
        Self {
            backlog: unsent,
            ..Self::default()
        }
    }

    /// Takes the unsent bytes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let rest = self.backlog.split_off(self.sent);
        *self = Self::default();
        rest
    }

    /// The buffer for answers that need no queue. They go out with the next flush or
    /// batch.
    pub(super) fn own(&mut self) -> &mut Vec<u8> {
        &mut self.backlog
    }

    /// Sends as much of the waiting bytes as the socket takes.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        if self.unsent() == 0 {
            return Ok(());
        }
        let count = transmit(socket, &[IoSlice::new(&self.backlog[self.sent..])])?;
        self.taken += count as u64;
        self.advance(count);
        Ok(())
    }

    /// Sends answers, after what is waiting. Keeps a copy of what the socket
    /// does not take.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        answers: &[Answer<'_>],
        flight: &mut Flight,
        style: Style,
    ) -> io::Result<()> {
        if answers.is_empty() {
            return self.flush(socket);
        }
        let mut full = false;
        for batch in answers.chunks(BATCH) {
            self.encode(batch, flight, style);
            let count = if full {
                0
            } else {
                self.transmit_batch(socket, batch)?
            };
            self.taken += count as u64;
            full |= self.settle(count, batch);
        }
        Ok(())
    }

    /// Makes the headers of a batch. Answers to unknown requests are skipped.
    fn encode(&mut self, batch: &[Answer<'_>], flight: &mut Flight, style: Style) {
        self.headers.clear();
        self.ends.clear();
        for answer in batch {
            let data = match flight.remove(answer.cookie) {
                Some(pending) => header(&mut self.headers, answer, &pending, style),
                None => false,
            };
            self.ends.push((self.headers.len(), data));
        }
    }

    /// The end of each answer's header in the encoded batch, and the answer's data.
    fn parts<'a>(&'a self, batch: &'a [Answer<'a>]) -> impl Iterator<Item = (usize, &'a [u8])> {
        batch
            .iter()
            .zip(&self.ends)
            .map(|(answer, (end, data))| (*end, if *data { answer.data } else { &[] }))
    }

    fn transmit_batch(&self, socket: BorrowedFd<'_>, batch: &[Answer<'_>]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PARTS];
        let mut count = 0;
        let mut push = |bytes| {
            slices[count] = IoSlice::new(bytes);
            count += 1;
        };
        if self.unsent() > 0 {
            push(&self.backlog[self.sent..]);
        }
        let mut start = 0;
        for (end, data) in self.parts(batch) {
            // Headers without data between them are one part.
            if !data.is_empty() {
                push(&self.headers[start..end]);
                push(data);
                start = end;
            }
        }
        if start < self.headers.len() {
            push(&self.headers[start..]);
        }
        transmit(socket, &slices[..count])
    }

    /// Accounts for `count` bytes sent of the backlog and the batch, and keeps the rest.
    /// Returns whether anything is left.
    fn settle(&mut self, count: usize, batch: &[Answer<'_>]) -> bool {
        let kept = count.min(self.unsent());
        self.advance(kept);
        let mut gone = count - kept;
        let mut rest = std::mem::take(&mut self.backlog);
        let mut keep = |bytes: &[u8]| {
            let skip = gone.min(bytes.len());
            gone -= skip;
            rest.extend_from_slice(&bytes[skip..]);
        };
        let mut start = 0;
        for (end, data) in self.parts(batch) {
            keep(&self.headers[start..end]);
            keep(data);
            start = end;
        }
        self.backlog = rest;
        self.unsent() > 0
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.unsent() == 0 {
            self.backlog.clear();
            self.backlog.shrink_to(KEPT);
            self.sent = 0;
        } else if self.sent > KEPT && self.sent > self.backlog.len() / 2 {
            self.backlog.drain(..self.sent);
            self.sent = 0;
        }
    }
}

/// Appends the header of one answer, and says whether its data follows.
fn header(out: &mut Vec<u8>, answer: &Answer<'_>, pending: &Pending, style: Style) -> bool {
    let Pending {
        cookie,
        operation,
        offset,
        length,
        ..
    } = *pending;
    let whole = operation != Operation::Read || answer.data.len() == length as usize;
    // Data of another length would break the stream.
    let status = if whole || answer.status != Status::Ok {
        answer.status
    } else {
        Status::IoError
    };
    match Errno::from_status(status) {
        Some(errno) => reply::error(out, style, cookie, errno, describe(status)),
        None if operation == Operation::Read => {
            reply::read(out, style, cookie, offset, length);
            return true;
        }
        None if operation == Operation::Extents => {
            let told = Extent::parse(answer.data);
            match told.clone().next() {
                Some(_) => reply::extents(out, cookie, told, pending.one),
                None => reply::allocated(out, cookie, length),
            }
        }
        None => reply::done(out, cookie),
    }
    false
}

/// A message for the human behind the client.
fn describe(status: Status) -> &'static str {
    match status {
        Status::Ok => "",
        Status::IoError => "the device failed",
        Status::Invalid => "the device rejected the request",
        Status::NoSpace => "the device is out of space",
        Status::NotPermitted => "the device is write-protected",
        Status::NotSupported => "the device cannot do this",
        Status::ShuttingDown => "the device is going away",
        Status::NoMemory => "the device has no memory for the request",
    }
}

/// Sends with one system call; 0 when the socket is full.
fn transmit(socket: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut control = SendAncillaryBuffer::default();
    match sendmsg(
        socket,
        slices,
        &mut control,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    ) {
        Ok(count) => Ok(count),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

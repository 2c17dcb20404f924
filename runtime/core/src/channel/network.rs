//! Between the link and the guest's frame queues.

use std::collections::VecDeque;
use std::io;

use vcp_queue::link::MAX_FRAME;
use vcp_queue::{Checksum, Link, Offload};

use super::poller::{Interest, Poller};
use crate::bindings::{frames, types};
use crate::fault::Fault;
use crate::guest::Guest;

/// The link's token in the poller.
pub(super) const TOKEN: u64 = u64::MAX - 1;

/// Frames taken from the link for one call of the guest.
const RECEIVE_BATCH: usize = 128;
/// Bytes after which no more frames are taken: they are copied on, and should still be in
/// the CPU's cache then.
const RECEIVE_BYTES: usize = 256 << 10;
/// Frames start at multiples of this in the receive area.
const ALIGN: usize = 64;
/// Frames kept for a link that is full; more are dropped, as networks do.
const BACKLOG_FRAMES: usize = 256;
const BACKLOG_BYTES: usize = 4 << 20;

/// The link, and what is on its way to it.
pub(super) struct Network {
    link: Box<dyn Link>,
    backlog: VecDeque<(Vec<u8>, Offload)>,
    backlog_bytes: usize,
    interest: Interest,
    pub(super) dropped: u64,
}

impl Network {
    pub(super) fn new(link: Box<dyn Link>, poller: &Poller) -> io::Result<Self> {
        let interest = Interest {
            read: true,
            write: false,
        };
        poller.add(link.fd(), TOKEN, interest)?;
        Ok(Self {
            link,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            interest,
            dropped: 0,
        })
    }

    /// Receives frames into the guest's receive area: those that are there and fit, at most
    /// one batch. The poller reports what stays behind.
    pub(super) fn receive(
        &mut self,
        guest: &mut Guest,
        received: &mut Vec<frames::Received>,
    ) -> io::Result<()> {
        let area = guest.areas.receive;
        let Some(bytes) = guest.bytes_mut(area) else {
            return Ok(());
        };
        let mut at = 0;
        let end = bytes.len().min(RECEIVE_BYTES + MAX_FRAME);
        while received.len() < RECEIVE_BATCH && at + MAX_FRAME <= end {
            let Some(frame) = self.link.receive(&mut bytes[at..])? else {
                break;
            };
            received.push(frames::Received {
                data: types::Span {
                    address: area.address + at as u32,
                    length: frame.length as u32,
                },
                checksum: match frame.checksum {
                    Checksum::Unverified => frames::Checksum::Unverified,
                    Checksum::Verified => frames::Checksum::Verified,
                    Checksum::Partial => frames::Checksum::Partial,
                },
            });
            at = (at + frame.length).next_multiple_of(ALIGN);
        }
        Ok(())
    }

    /// Throws away frames that arrive while there is no instance to take them.
    pub(super) fn discard(&mut self, scratch: &mut Vec<u8>) -> io::Result<()> {
        scratch.resize(MAX_FRAME, 0);
        for _ in 0..RECEIVE_BATCH {
            if self.link.receive(scratch)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Sends frames in order; keeps what a full link does not take.
    pub(super) fn send(
        &mut self,
        guest: &Guest,
        outgoing: &[frames::Outgoing],
    ) -> Result<(), Trouble> {
        for frame in outgoing {
            let bytes = guest.bytes("frame", frame.data)?;
            let offload = self.check(frame, bytes.len())?;
            if self.backlog.is_empty() && self.link.send(bytes, offload)? {
                continue;
            }
            if self.backlog.len() < BACKLOG_FRAMES
                && self.backlog_bytes + bytes.len() <= BACKLOG_BYTES
            {
                self.backlog_bytes += bytes.len();
                self.backlog.push_back((bytes.to_vec(), offload));
            } else {
                self.dropped += 1;
            }
        }
        Ok(())
    }

    /// Checks what a guest asks of the link; past here the fields are sound.
    fn check(&self, frame: &frames::Outgoing, length: usize) -> Result<Offload, Fault> {
        let properties = self.link.properties();
        let bad = |why: String| Err(Fault::Protocol(why));
        if !(14..=MAX_FRAME).contains(&length) {
            return bad(format!("frame of {length} bytes"));
        }
        let start = usize::from(frame.checksum_start);
        let field = start + usize::from(frame.checksum_offset);
        if start > 0 && (!properties.checksum_offload || field + 2 > length) {
            return bad(format!(
                "frame of {length} bytes with its checksum left to the link at {field}"
            ));
        }
        let segment = usize::from(frame.segment_size);
        if segment > 0 && (!properties.segmentation_offload || start == 0) {
            return bad(format!(
                "frame to be cut into segments of {segment} bytes on a link that can't"
            ));
        }
        if segment == 0 && length > properties.mtu as usize + 14 {
            return bad(format!(
                "frame of {length} bytes on a link with an MTU of {}",
                properties.mtu
            ));
        }
        Ok(Offload {
            checksum_start: frame.checksum_start,
            checksum_offset: frame.checksum_offset,
            segment_size: frame.segment_size,
        })
    }

    /// Sends frames that were kept.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some((bytes, offload)) = self.backlog.front() {
            if !self.link.send(bytes, *offload)? {
                break;
            }
            self.backlog_bytes -= bytes.len();
            self.backlog.pop_front();
        }
        Ok(())
    }

    /// Polls for what is wanted now.
    pub(super) fn update_interest(&mut self, poller: &Poller) -> io::Result<()> {
        let interest = Interest {
            read: true,
            write: !self.backlog.is_empty(),
        };
        if interest != self.interest {
            poller.modify(self.link.fd(), TOKEN, interest)?;
            self.interest = interest;
        }
        Ok(())
    }
}

/// Why frames could not be sent.
pub(super) enum Trouble {
    /// The guest asked for something impossible.
    Fault(Fault),
    /// The link is gone.
    Link(io::Error),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Link(error)
    }
}

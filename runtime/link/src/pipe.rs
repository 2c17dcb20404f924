//! A link in memory: two ends in one process, each for a thread of its own. No
//! privileges, no kernel network; what one end sends the other receives, in order.
//!
//! Signalling: each direction has an eventfd whose counter is above 0 exactly
//! while a frame waits or the other end is gone. The counter is only changed
//! under the lock of that direction's queue, together with what it stands for,
//! so no wake-up is lost and none is made up.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::event::{EventfdFlags, eventfd};
use vcp_queue::{Checksum, Link, LinkProperties, Offload, Received};

use crate::frame;

/// Frames that may wait in one direction.
const MAX_FRAMES: usize = 1024;
/// Bytes that may wait in one direction; one frame always may.
const MAX_BYTES: usize = 8 << 20;
/// Buffers kept for reuse in one direction.
const MAX_SPARE: usize = 64;

/// Makes a pipe. The ends differ in their Ethernet addresses only: `properties`
/// is what both have, its `mac` being that of the first, and `other_mac` that of
/// the second. Errors: out of descriptors.
pub fn pipe(properties: LinkProperties, other_mac: [u8; 6]) -> io::Result<(PipeEnd, PipeEnd)> {
    let (there, back) = (Arc::new(Channel::new()?), Arc::new(Channel::new()?));
    let other = LinkProperties {
        mac: other_mac,
        ..properties.clone()
    };
    let first = PipeEnd {
        properties,
        incoming: back.clone(),
        outgoing: there.clone(),
    };
    let second = PipeEnd {
        properties: other,
        incoming: there,
        outgoing: back,
    };
    Ok((first, second))
}

/// One end of a [`pipe`]. Its descriptor always polls writable: a pipe is full
/// only until the other end's thread runs, and TCP windows keep it from filling.
#[derive(Debug)]
pub struct PipeEnd {
    properties: LinkProperties,
    incoming: Arc<Channel>,
    outgoing: Arc<Channel>,
}

/// One direction of a pipe.
#[derive(Debug)]
struct Channel {
    queue: Mutex<Queue>,
    readable: OwnedFd,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<(Vec<u8>, Checksum)>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
    /// Whether one of the ends is gone.
    closed: bool,
}

impl Channel {
    fn new() -> io::Result<Self> {
        let readable = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Channel {
            queue: Mutex::default(),
            readable,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.queue
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Raises the counter. To be called with the lock held.
    fn raise(&self, _queue: &Queue) -> io::Result<()> {
        rustix::io::write(&self.readable, &1u64.to_ne_bytes())?;
        Ok(())
    }

    /// Sets the counter to 0. To be called with the lock held.
    fn lower(&self, _queue: &Queue) -> io::Result<()> {
        rustix::io::read(&self.readable, &mut [0; 8])?;
        Ok(())
    }

    fn close(&self) {
        let mut queue = self.lock();
        if !queue.closed {
            queue.closed = true;
            // A failure could not be reported here, and none is possible: the counter is far
            // below its limit.
            let _ = self.raise(&queue);
        }
    }

    /// A buffer to fill, or `None` when the queue is full.
    fn reserve(&self) -> io::Result<Option<Vec<u8>>> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if queue.frames.len() >= MAX_FRAMES || queue.bytes >= MAX_BYTES {
            return Ok(None);
        }
        Ok(Some(queue.spare.pop().unwrap_or_default()))
    }

    fn push(&self, frame: Vec<u8>, checksum: Checksum) -> io::Result<()> {
        let mut queue = self.lock();
        queue.bytes += frame.len();
        queue.frames.push_back((frame, checksum));
        if queue.frames.len() == 1 && !queue.closed {
            self.raise(&queue)?;
        }
        Ok(())
    }

    fn pop(&self) -> io::Result<Option<(Vec<u8>, Checksum)>> {
        let mut queue = self.lock();
        let Some(entry) = queue.frames.pop_front() else {
            return if queue.closed {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                Ok(None)
            };
        };
        queue.bytes -= entry.0.len();
        if queue.frames.is_empty() && !queue.closed {
            self.lower(&queue)?;
        }
        Ok(Some(entry))
    }

    fn recycle(&self, mut frame: Vec<u8>) {
        let mut queue = self.lock();
        if queue.spare.len() < MAX_SPARE {
            frame.clear();
            queue.spare.push(frame);
        }
    }
}

impl Link for PipeEnd {
    fn properties(&self) -> &LinkProperties {
        &self.properties
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.incoming.readable.as_fd()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Some((frame, checksum)) = self.incoming.pop()? else {
            return Ok(None);
        };
        let length = frame.len();
        let room = buffer
            .get_mut(..length)
            .ok_or(io::ErrorKind::InvalidInput)?;
        room.copy_from_slice(&frame);
        self.incoming.recycle(frame);
        Ok(Some(Received { length, checksum }))
    }

    fn send(&mut self, frame: &[u8], offload: Offload) -> io::Result<bool> {
        let Some(mut copy) = self.outgoing.reserve()? else {
            return Ok(false);
        };
        if !frame::sendable(&self.properties, frame, offload) {
            self.outgoing.recycle(copy);
            return Ok(true);
        }
        copy.extend_from_slice(frame);
        let partial = offload.checksum_start > 0;
        let checksum = if partial {
            Checksum::Partial
        } else {
            Checksum::Unverified
        };
        self.outgoing.push(copy, checksum)?;
        Ok(true)
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.incoming.close();
        self.outgoing.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use vcp_queue::link::MAX_FRAME;

    fn properties() -> LinkProperties {
        LinkProperties {
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            checksum_offload: true,
            segmentation_offload: true,
        }
    }

    fn readable(end: &PipeEnd) -> bool {
        let fd = end.fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(
            &mut fds,
            Some(&rustix::time::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )
        .unwrap()
            > 0
    }

    fn numbered(number: u32, length: usize) -> Vec<u8> {
        let mut frame = vec![number as u8; length];
        frame[14..18].copy_from_slice(&number.to_be_bytes());
        frame
    }

    #[test]
    fn carries_frames_with_what_is_known_of_them() {
        let (mut a, mut b) = pipe(properties(), [2, 0, 0, 0, 0, 2]).unwrap();
        let offload = Offload {
            checksum_start: 34,
            checksum_offset: 16,
            segment_size: 1460,
        };
        let mut buffer = vec![0; MAX_FRAME];
        assert!(!readable(&b));
        assert!(a.send(&numbered(1, 60_000), offload).unwrap());
        assert!(a.send(&numbered(2, 60), Offload::default()).unwrap());
        assert!(readable(&b) && !readable(&a));
        let first = b.receive(&mut buffer).unwrap().unwrap();
        assert_eq!(
            first,
            Received {
                length: 60_000,
                checksum: Checksum::Partial
            }
        );
        assert_eq!(buffer[..60_000], numbered(1, 60_000));
        assert!(readable(&b));
        let second = b.receive(&mut buffer).unwrap().unwrap();
        assert_eq!(
            second,
            Received {
                length: 60,
                checksum: Checksum::Unverified
            }
        );
        assert!(!readable(&b));
        assert_eq!(b.receive(&mut buffer).unwrap(), None);
        assert_eq!(a.properties().mtu, b.properties().mtu);
        assert_ne!(a.properties().mac, b.properties().mac);
    }

    #[test]
    fn frames_that_no_wire_carries_are_dropped() {
        let plain = LinkProperties {
            checksum_offload: false,
            segmentation_offload: false,
            ..properties()
        };
        let (mut a, mut b) = pipe(plain, [2, 0, 0, 0, 0, 2]).unwrap();
        let mut buffer = vec![0; MAX_FRAME];
        let partial = Offload {
            checksum_start: 34,
            checksum_offset: 16,
            segment_size: 0,
        };
        assert!(a.send(&numbered(1, 1515), Offload::default()).unwrap());
        assert!(a.send(&[0; 13], Offload::default()).unwrap());
        assert!(a.send(&numbered(1, 60), partial).unwrap());
        assert_eq!(b.receive(&mut buffer).unwrap(), None);
        assert!(a.send(&numbered(1, 1514), Offload::default()).unwrap());
        assert!(b.receive(&mut buffer).unwrap().is_some());
    }

    #[test]
    fn is_bounded_and_goes_on_when_drained() {
        let (mut a, mut b) = pipe(properties(), [2, 0, 0, 0, 0, 2]).unwrap();
        let mut buffer = vec![0; MAX_FRAME];
        let mut sent = 0;
        while a.send(&numbered(sent, 60), Offload::default()).unwrap() {
            sent += 1;
        }
        assert_eq!(sent as usize, MAX_FRAMES);
        for number in 0..sent {
            let received = b.receive(&mut buffer).unwrap().unwrap();
            assert_eq!(buffer[..received.length], numbered(number, 60));
        }
        assert!(a.send(&numbered(0, 60), Offload::default()).unwrap());
    }

    #[test]
    fn the_other_end_learns_of_the_end() {
        let (mut a, mut b) = pipe(properties(), [2, 0, 0, 0, 0, 2]).unwrap();
        let mut buffer = vec![0; MAX_FRAME];
        a.send(&numbered(1, 60), Offload::default()).unwrap();
        drop(a);
        assert!(readable(&b));
        assert!(b.receive(&mut buffer).unwrap().is_some());
        assert!(readable(&b));
        assert_eq!(
            b.receive(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
        let sent = b.send(&numbered(1, 60), Offload::default());
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    /// Two threads, each sleeping in poll whenever it has nothing: a lost wake-up
    /// would leave both asleep for ever.
    #[test]
    fn no_wake_up_is_lost() {
        const ROUNDS: u32 = 20_000;
        let (a, b) = pipe(properties(), [2, 0, 0, 0, 0, 2]).unwrap();
        let run = |mut end: PipeEnd, starts: bool| {
            let mut buffer = vec![0; MAX_FRAME];
            let (mut sent, mut received) = (0u32, 0u32);
            // Bursts of changing size, so that queues empty at every possible point.
            let mut credit = if starts { 3 } else { 0 };
            while received < ROUNDS || sent < ROUNDS {
                while credit > 0 && sent < ROUNDS {
                    assert!(
                        end.send(
                            &numbered(sent, 60 + sent as usize % 1400),
                            Offload::default()
                        )
                        .unwrap()
                    );
                    sent += 1;
                    credit -= 1;
                }
                if received == ROUNDS {
                    credit = ROUNDS;
                    continue;
                }
                let fd = end.fd();
                let timeout = rustix::time::Timespec {
                    tv_sec: 20,
                    tv_nsec: 0,
                };
                let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap();
                assert_eq!(ready, 1, "asleep with {sent} sent, {received} received");
                while let Some(frame) = end.receive(&mut buffer).unwrap() {
                    assert_eq!(
                        buffer[..frame.length],
                        numbered(received, 60 + received as usize % 1400)
                    );
                    received += 1;
                    credit += 1;
                    if received == ROUNDS || received.is_multiple_of(7) {
                        break;
                    }
                }
            }
            end
        };
        let other = std::thread::spawn(move || run(b, false));
        let first = run(a, true);
        drop((first, other.join().unwrap()));
    }
}

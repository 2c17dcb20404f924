//! The connection of a VCP and a target: a link with a stack at the target's end, or the
//! host's TCP. Both keep data under way when the VCP is replaced.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem::take;
use core::time::Duration;
use std::sync::Arc;

use vcp_netstack::{Checksum, Config, Handle, Stack};
use vcp_sdk::net::frames::{self, Link};
use vcp_sdk::net::streams::{Event, Received};
use vcp_sdk::processor::{Effects, Events, Network};
use vcp_sdk::types::Span;
use vcp_target::{Connection, Target};

use crate::Iscsi;

const MTU: u32 = 1500;
const PORT: u16 = 3260;

pub(crate) enum Way {
    Frames(Box<FrameWay>),
    Streams(Box<StreamWay>),
}

pub(crate) struct FrameWay {
    offload: bool,
    stack: Stack,
    sessions: Vec<(Handle, Connection)>,
    to_vcp: VecDeque<(Vec<u8>, Checksum)>,
}

#[derive(Default)]
pub(crate) struct StreamWay {
    open: Option<(u32, Connection)>,
    events: Vec<Event>,
    /// The bytes that the network took in the last call, and in the one before, which are
    /// reported in the next.
    sent: [Vec<(u32, u32)>; 2],
}

impl Way {
    pub(crate) fn frames(offload: bool) -> Self {
        let mut config = Config::new([2, 0, 0, 0, 0, 1], MTU as usize, 7);
        config.addresses.push(("10.0.0.1".parse().unwrap(), 24));
        config.checksum_offload = offload;
        config.segmentation_offload = offload;
        let mut stack = Stack::new(config, 0).unwrap();
        stack.listen(PORT).unwrap();
        Self::Frames(Box::new(FrameWay {
            offload,
            stack,
            sessions: Vec::new(),
            to_vcp: VecDeque::new(),
        }))
    }

    pub(crate) fn streams() -> Self {
        Self::Streams(Box::default())
    }

    /// The network as a VCP is told of it.
    pub(crate) fn network(&self) -> Network {
        match self {
            Self::Frames(way) => Network::Frames(Link {
                mac: [2, 0, 0, 0, 0, 2].to_vec(),
                mtu: MTU,
                addresses: ["10.0.0.2/24".to_string()].to_vec(),
                gateways: Vec::new(),
                checksum_offload: way.offload,
                segmentation_offload: way.offload,
            }),
            Self::Streams(_) => Network::Streams,
        }
    }

    /// Adds the arrived data to the events of the next call.
    pub(crate) fn deliver(&mut self, now: u64, vcp: &mut Iscsi, events: &mut Events) {
        let (_, memories) = vcp.inside();
        let mut room = memories.receive.span();
        let mut place = |bytes: &[u8]| {
            let length = bytes.len() as u32;
            let data = Span { length, ..room };
            memories.receive.get_mut(data)?.copy_from_slice(bytes);
            room.address += length;
            room.length = room.length.checked_sub(length)?;
            Some(data)
        };
        match self {
            Self::Frames(way) => {
                while let Some((frame, checksum)) = way.to_vcp.front() {
                    let Some(data) = place(frame) else { break };
                    let checksum = match checksum {
                        Checksum::Partial => frames::Checksum::Partial,
                        _ => frames::Checksum::Unverified,
                    };
                    events.frames.push(frames::Received { data, checksum });
                    way.to_vcp.pop_front();
                }
            }
            Self::Streams(way) => {
                events.stream_events = take(&mut way.events);
                let [last, before] = &mut way.sent;
                let told = core::mem::replace(before, take(last));
                events
                    .stream_events
                    .extend(told.into_iter().map(Event::Sent));
                let Some((stream, connection)) = &mut way.open else {
                    return;
                };
                connection.tick(Duration::from_nanos(now));
                let count = connection.output().len().min(256 << 10);
                if let Some(data) = place(&connection.output()[..count]).filter(|_| count > 0) {
                    connection.sent(count);
                    let stream = *stream;
                    events.stream_data.push(Received { stream, data });
                }
            }
        }
    }

    /// Carries out a VCP's effects, and lets the target do its part.
    pub(crate) fn carry(&mut self, now: u64, vcp: &Iscsi, effects: &Effects, target: &Arc<Target>) {
        match self {
            Self::Frames(way) => {
                for frame in &effects.frames {
                    let bytes = vcp.bytes(frame.data).unwrap();
                    way.stack
                        .receive(now, bytes, checksum(frame.checksum_start));
                }
                way.serve(now, target);
            }
            Self::Streams(way) => {
                for connect in &effects.connects {
                    let connection = Connection::new(
                        Arc::clone(target),
                        "10.0.0.1:3260",
                        "vcp",
                        Duration::from_nanos(now),
                    );
                    way.open = Some((connect.stream, connection));
                    way.events.push(Event::Opened(connect.stream));
                }
                for send in &effects.sends {
                    let (stream, connection) = way.open.as_mut().expect("a stream");
                    assert_eq!(send.stream, *stream);
                    let bytes = vcp.bytes(send.data).unwrap();
                    connection.receive(Duration::from_nanos(now), bytes);
                    way.sent[0].push((*stream, send.data.length));
                }
                assert!(effects.closes.is_empty());
            }
        }
    }
}

impl FrameWay {
    pub(crate) fn serve(&mut self, now: u64, target: &Arc<Target>) {
        let time = Duration::from_nanos(now);
        while let Some(handle) = self.stack.accept(PORT) {
            let connection = Connection::new(Arc::clone(target), "10.0.0.1:3260", "vcp", time);
            self.sessions.push((handle, connection));
        }
        for (handle, connection) in &mut self.sessions {
            self.stack.recv(*handle, |bytes| {
                connection.receive(time, bytes);
                bytes.len()
            });
            connection.tick(time);
            while !connection.output().is_empty() {
                let count = self.stack.send(*handle, |room| {
                    let count = connection.output().len().min(room.len());
                    room[..count].copy_from_slice(&connection.output()[..count]);
                    count
                });
                if count == 0 {
                    break;
                }
                connection.sent(count);
            }
        }
        self.stack.poll(now);
        let (arena, frames) = self.stack.outgoing();
        for frame in frames {
            let bytes = &arena[frame.offset..frame.offset + frame.length];
            self.to_vcp
                .push_back((bytes.to_vec(), checksum(frame.checksum_start)));
        }
        self.stack.clear_outgoing();
    }
}

fn checksum(start: u16) -> Checksum {
    match start {
        0 => Checksum::Unverified,
        _ => Checksum::Partial,
    }
}

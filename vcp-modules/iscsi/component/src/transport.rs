//! The single TCP connection of the initiator, over the network that the operator chose.

use alloc::string::String;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};
use vcp_netstack::ConnectionState;
use vcp_sdk::Arena;
use vcp_sdk::processor::{Effects, Events};

use crate::frames::Frames;
use crate::streams::Streams;

/// A change of the connection since the last query.
pub(crate) enum Change {
    Connected,
    Disconnected(String),
}

/// A connection that is handed over, by its carrier.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Held {
    /// A connection of the VCP's own stack. Meanwhile the link keeps arriving frames.
    Frames(ConnectionState),
    /// A stream of the host, which stays open.
    Streams {
        /// The stream's number.
        stream: u32,
        /// The number of bytes that may still be sent on it.
        credit: u32,
    },
}

pub(crate) enum Transport {
    /// A TCP/IP stack of the VCP's own.
    Frames(alloc::boxed::Box<Frames>),
    /// The host's TCP.
    Streams(Streams),
}

impl Transport {
    /// Begins a call: the data sent in the last one is no longer needed.
    pub(crate) fn begin(&mut self, events: &Events) {
        match self {
            Self::Frames(frames) => frames.begin(),
            Self::Streams(streams) => streams.begin(events),
        }
    }

    /// The connection, if it can be handed over in its present state.
    pub(crate) fn hold(&self) -> Result<Held, String> {
        match self {
            Self::Frames(frames) => frames.hold().map(Held::Frames),
            Self::Streams(streams) => {
                let (stream, credit) = streams.hold()?;
                Ok(Held::Streams { stream, credit })
            }
        }
    }

    /// Resumes an open connection; there must be none now.
    pub(crate) fn resume(&mut self, now: u64, held: &Held) -> Result<(), String> {
        match (self, held) {
            (Self::Frames(frames), Held::Frames(state)) => frames.resume(now, state),
            (Self::Streams(streams), &Held::Streams { stream, credit }) => {
                streams.resume(stream, credit)
            }
            _ => Err("the connection is over another kind of network".into()),
        }
    }

    /// Opens the connection; there must be none now.
    pub(crate) fn connect(&mut self, now: u64, address: SocketAddr) {
        match self {
            Self::Frames(frames) => frames.connect(now, address),
            Self::Streams(streams) => streams.connect(address),
        }
    }

    pub(crate) fn close(&mut self, now: u64, abort: bool) {
        match self {
            Self::Frames(frames) => frames.close(now, abort),
            Self::Streams(streams) => streams.close(abort),
        }
    }

    pub(crate) fn change(&mut self, now: u64) -> Option<Change> {
        match self {
            Self::Frames(frames) => frames.change(now),
            Self::Streams(streams) => streams.change(),
        }
    }

    /// Passes some received bytes to `take`, which takes all of them. Returns whether
    /// there were any.
    pub(crate) fn receive(
        &mut self,
        events: &Events,
        receive: &Arena,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        match self {
            Self::Frames(frames) => frames.receive(events, receive, take),
            Self::Streams(streams) => streams.receive(events, receive, take),
        }
    }

    /// Has `fill` write bytes to send. Returns how many it wrote; also 0 if there is no
    /// room.
    pub(crate) fn send(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        match self {
            Self::Frames(frames) => frames.send(fill),
            Self::Streams(streams) => streams.send(fill),
        }
    }

    /// Lets the network proceed.
    pub(crate) fn poll(&mut self, now: u64) {
        if let Self::Frames(frames) = self {
            frames.poll(now);
        }
    }

    /// Ends a call: puts the data to send into the effects.
    pub(crate) fn finish(&mut self, now: u64, effects: &mut Effects) -> Option<u64> {
        match self {
            Self::Frames(frames) => frames.finish(now, effects),
            Self::Streams(streams) => {
                streams.finish(effects);
                None
            }
        }
    }
}

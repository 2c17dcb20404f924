//! Streams opened, used and closed as they must not be.

use alloc::string::String;
use alloc::vec;

use vcp_sdk::block::Notice;
use vcp_sdk::net::streams::{CloseOp, ConnectOp, Event, SendOp};
use vcp_sdk::processor::Effects;
use vcp_sdk::types::Span;

use crate::{Misbehave, many};

/// The credit that a stream opens with.
const CREDIT: u32 = 1 << 20;

impl Misbehave {
    /// At the flush.
    pub(crate) fn strike_streams(&mut self, fault: &str, effects: &mut Effects) {
        let connect = |stream| self.connect(stream);
        match fault {
            "streams-on-frames" | "send-beyond-credit" | "close-unsent" | "failed-with-stream"
            | "send-outside" => effects.connects.push(connect(0)),
            "connect-not-granted" => effects.connects.push(ConnectOp {
                address: String::from("192.0.2.1"),
                ..connect(7)
            }),
            "connect-no-address" => effects.connects.push(ConnectOp {
                address: "1".repeat(1 << 20),
                ..connect(7)
            }),
            "connect-twice" => effects.connects = vec![connect(7), connect(7)],
            "connect-many" => effects.connects = (0..65).map(connect).collect(),
            "connect-batch" => effects.connects = many(100_000, connect(7)),
            "send-early" => {
                effects.connects.push(connect(0));
                effects.sends.push(self.send(0, 1));
            }
            "send-unknown" => effects.sends.push(self.send(99, 1)),
            "close-unknown" => effects.closes = many(2, close(99)),
            "close-batch" => effects.closes = many(100_000, close(99)),
            _ => {}
        }
    }

    /// At what comes of it.
    pub(crate) fn on_events(&mut self, fault: &str, events: &[Event], effects: &mut Effects) {
        for event in events {
            match (event, fault) {
                (Event::Opened(id), "send-beyond-credit") => {
                    effects.sends.push(self.send(*id, CREDIT + 1));
                }
                (Event::Opened(id), "send-outside") => {
                    let mut send = self.send(*id, 16);
                    send.data.address = u32::MAX - 7;
                    effects.sends.push(send);
                }
                (Event::Opened(id), "failed-with-stream") => {
                    effects.sends.push(self.send(*id, 4096));
                    effects.notices.push(Notice::Failed(String::from("over")));
                }
                // Again and again: a peer that reads nothing leaves the host with
                // all that was sent.
                (Event::Opened(id), "close-unsent") => {
                    effects.sends.push(self.send(*id, CREDIT));
                }
                (Event::Sent((id, CREDIT)), "close-unsent") => {
                    effects.sends.push(self.send(*id, CREDIT));
                }
                // The network took a part: the rest is with the host.
                (Event::Sent((id, _)), "close-unsent") if *id == self.stream => {
                    effects.closes.push(close(*id));
                    self.stream += 1;
                    effects.connects.push(self.connect(self.stream));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn connect(&self, stream: u32) -> ConnectOp {
        ConnectOp {
            stream,
            address: self.setup.peer.0.clone(),
            port: self.setup.peer.1,
        }
    }

    pub(crate) fn send(&self, stream: u32, length: u32) -> SendOp {
        let data = Span {
            length,
            ..self.zeroes.span()
        };
        SendOp { stream, data }
    }
}

fn close(stream: u32) -> CloseOp {
    CloseOp {
        stream,
        abort: false,
    }
}

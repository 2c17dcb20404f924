//! A stream that one instance opens and the next goes on with.

use alloc::format;

use vcp_sdk::block::Notice;
use vcp_sdk::net::streams::Event;
use vcp_sdk::processor::Effects;

use crate::Misbehave;

/// The stream's name.
const STREAM: u32 = 7;
/// Bytes that each instance sends on it, all zero.
const GREETING: u32 = 16;
/// Length of the state, in bytes.
pub(crate) const STATE: usize = 1;

/// The stream, if there is one.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    #[default]
    None,
    /// Opened by this instance, or being opened.
    Own,
    /// By the one before, and not used by this one yet.
    Inherited,
}

impl Kept {
    pub(crate) fn state(self) -> [u8; STATE] {
        [u8::from(self != Self::None)]
    }

    pub(crate) fn resumed(state: &[u8]) -> Self {
        match state {
            [1] => Self::Inherited,
            _ => Self::None,
        }
    }
}

impl Misbehave {
    /// Opens the stream if that is due. `stream-kept` sends on it: once it is open,
    /// and in the first call of the next instance. With `stream-reused` that one opens
    /// another by the same name instead. Says what it hears of.
    pub(crate) fn keep(&mut self, fault: &str, due: bool, events: &[Event], effects: &mut Effects) {
        match self.kept {
            Kept::None if due => {
                effects.connects.push(self.connect(STREAM));
                self.kept = Kept::Own;
            }
            Kept::Inherited => {
                if fault == "stream-reused" {
                    effects.connects.push(self.connect(STREAM));
                } else {
                    effects.sends.push(self.send(STREAM, GREETING));
                }
                self.kept = Kept::Own;
            }
            _ => {}
        }
        for event in events {
            match event {
                Event::Opened(id) => effects.sends.push(self.send(*id, GREETING)),
                Event::Sent((_, bytes)) => {
                    let line = format!("sent {bytes}");
                    effects.notices.push(Notice::Found(line));
                }
                Event::Closed(_) => self.kept = Kept::None,
            }
        }
    }
}

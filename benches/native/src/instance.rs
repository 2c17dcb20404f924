//! One instance: the VCP, and the arrays of the last call, which the host reads until
//! the next.

use vcp_module_iscsi::Iscsi;
use vcp_sdk::Processor as _;
use vcp_sdk::control::Start;
use vcp_sdk::processor::{self, Events, Network};

use crate::abi::{Areas, Array, Completion, Effects, Notice, Outgoing, Span};
use crate::convert;

/// No deadline.
const NEVER: u64 = u64::MAX;

pub(crate) struct Instance {
    vcp: Option<Iscsi>,
    /// Why there is none.
    refused: String,
    /// Of the call that is under way.
    pub(crate) events: Events,
    completions: Vec<Completion>,
    frames: Vec<Outgoing>,
    notices: Vec<Notice>,
    /// Of the notices.
    lines: Vec<String>,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            vcp: None,
            refused: String::new(),
            events: Events {
                now: 0,
                commands: Vec::new(),
                requests: Vec::new(),
                frames: Vec::new(),
                stream_data: Vec::new(),
                stream_events: Vec::new(),
            },
            completions: Vec::new(),
            frames: Vec::new(),
            notices: Vec::new(),
            lines: Vec::new(),
        }
    }
}

impl Instance {
    /// Starts the VCP; the error is its own.
    pub(crate) fn init(&mut self, (start, network): (Start, Network)) -> Result<Areas, &str> {
        match Iscsi::start(start, network) {
            Ok((vcp, areas)) => {
                self.vcp = Some(vcp);
                Ok(Areas {
                    data: convert::span(areas.data),
                    receive: convert::span(areas.receive),
                })
            }
            Err(why) => {
                self.refused = why;
                Err(&self.refused)
            }
        }
    }

    /// A call with the events that are there.
    pub(crate) fn process(&mut self) -> Effects {
        let vcp = self.vcp.as_mut().expect("the host calls init first");
        let processor::Effects {
            completions,
            notices,
            frames,
            connects,
            sends,
            closes,
            deadline,
        } = vcp.process(&self.events);
        assert!(
            connects.is_empty() && sends.is_empty() && closes.is_empty(),
            "a VCP with a link has no streams"
        );
        self.completions.clear();
        self.completions
            .extend(completions.iter().map(convert::completion));
        self.frames.clear();
        self.frames.extend(frames.iter().map(convert::outgoing));
        // They point at the lines.
        self.notices.clear();
        self.lines = notices.iter().map(convert::line).collect();
        let noticed = notices.iter().zip(&self.lines);
        self.notices
            .extend(noticed.map(|(notice, line)| convert::notice(notice, line)));
        Effects {
            completions: Array::of(&self.completions),
            notices: Array::of(&self.notices),
            frames: Array::of(&self.frames),
            deadline: deadline.unwrap_or(NEVER),
        }
    }

    pub(crate) fn bytes(&self, span: Span) -> Option<&[u8]> {
        self.vcp.as_ref()?.bytes(convert::span_of(span))
    }

    pub(crate) fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        self.vcp.as_mut()?.bytes_mut(convert::span_of(span))
    }
}

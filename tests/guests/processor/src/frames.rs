//! Frames that no link can carry.

use vcp_sdk::net::frames::Outgoing;
use vcp_sdk::processor::Effects;
use vcp_sdk::types::Span;

use crate::{Misbehave, many};

impl Misbehave {
    pub(crate) fn send_frames(&self, fault: &str, effects: &mut Effects) {
        let frame = |length| self.frame(length);
        let frames = &mut effects.frames;
        match fault {
            "frame-outside" => frames.push(frame(u32::MAX)),
            "frame-near-end" => {
                let mut outside = frame(64);
                outside.data.address = u32::MAX - 1;
                frames.push(outside);
            }
            "frame-empty" => frames.push(frame(0)),
            "frame-short" => frames.push(frame(13)),
            "frame-over-mtu" => frames.push(frame(1515)),
            "frame-huge" => frames.push(offload(frame(70_000), (34, 16, 1460))),
            "frames-many" => frames.extend(many(500_000, frame(60))),
            "checksum-unasked" => frames.push(offload(frame(60), (34, 16, 0))),
            "checksum-outside" => frames.push(offload(frame(60), (u16::MAX, u16::MAX, 0))),
            "segment-unasked" => frames.push(offload(frame(1514), (34, 16, 1460))),
            "segment-alone" => frames.push(offload(frame(1514), (0, 0, 1460))),
            // Sound as far as the fields go: what is in the frame is not TCP.
            "segment-odd" => frames.extend([
                offload(frame(65_550), (34, 16, 1)),
                offload(frame(60), (58, 0, u16::MAX)),
                offload(frame(60), (1, 0, 0)),
            ]),
            "frames-on-streams" => frames.push(frame(60)),
            _ => {}
        }
    }

    fn frame(&self, length: u32) -> Outgoing {
        Outgoing {
            data: Span {
                length,
                ..self.zeroes.span()
            },
            checksum_start: 0,
            checksum_offset: 0,
            segment_size: 0,
        }
    }
}

fn offload(frame: Outgoing, (start, offset, segment): (u16, u16, u16)) -> Outgoing {
    Outgoing {
        checksum_start: start,
        checksum_offset: offset,
        segment_size: segment,
        ..frame
    }
}

//! The state of a connection that smoltcp hides and a hand-over needs: sequence numbers,
//! the handshake's results, the peer's window. It is counted from the user's reads and
//! writes and observed in the segments; nothing here changes the connection's behaviour.
//!
//! All sequence numbers are those on the wire, and arithmetic is modulo 2^32.

use crate::handover::ExportError;
use crate::headers::{ACK, RST, SYN, Tcp};

/// The MSS that smoltcp assumes if none was announced, and the least it accepts.
const DEFAULT_MSS: u16 = 536;
pub(crate) const LEAST_MSS: u16 = 48;
/// The largest window scale (RFC 7323 §2.3).
pub(crate) const MAX_SCALE: u8 = 14;

/// The peer's values when it opened or accepted the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    /// Sequence number of its SYN.
    pub(crate) sequence: u32,
    /// The window in bytes; in a SYN not scaled.
    pub(crate) window: u32,
    pub(crate) scale: Option<u8>,
    pub(crate) mss: u16,
    pub(crate) sack_permitted: bool,
    /// The sender of the frame: the peer, or the gateway before it.
    pub(crate) neighbor: [u8; 6],
}

impl Opening {
    /// Reads a SYN.
    pub(crate) fn of(frame: &[u8], tcp: &Tcp) -> Self {
        let options = tcp.options(frame);
        Opening {
            sequence: tcp.sequence(frame),
            window: tcp.window(frame).into(),
            scale: options.window_scale.map(|scale| scale.min(MAX_SCALE)),
            mss: match options.mss {
                None | Some(0) => DEFAULT_MSS,
                Some(mss) => mss.max(LEAST_MSS),
            },
            sack_permitted: options.sack_permitted,
            neighbor: source(frame),
        }
    }
}

fn source(frame: &[u8]) -> [u8; 6] {
    frame[6..12].try_into().expect("the range is 6 long")
}

/// The peer's state, as its segments show it.
#[derive(Debug)]
struct Peer {
    opening: Opening,
    /// The numbers of the segment that the window was last taken from (RFC 9293 §3.3.1,
    /// SND.WL1 and SND.WL2).
    sequence: u32,
    acknowledged: u32,
    /// The end of what it sent, with or without holes.
    highest: u32,
}

/// A connection's numbers.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Sequence number of our SYN.
    sequence: Option<u32>,
    peer: Option<Peer>,
    /// The number of bytes that the user wrote and took.
    written: u32,
    taken: u32,
}

/// The numbers of a connection at rest.
pub(crate) struct Rest {
    /// The sequence number of the next byte we send.
    pub(crate) send_next: u32,
    /// The sequence number of the next byte the peer sends.
    pub(crate) receive_next: u32,
    /// The opening, with the current window and neighbor.
    pub(crate) opening: Opening,
}

impl Observed {
    /// A connection that resumes where another stack's came to rest.
    pub(crate) fn resumed(rest: Rest) -> Self {
        Observed {
            sequence: Some(rest.send_next.wrapping_sub(1)),
            peer: Some(Peer {
                sequence: rest.receive_next,
                acknowledged: rest.send_next,
                highest: rest.receive_next,
                opening: Opening {
                    sequence: rest.receive_next.wrapping_sub(1),
                    ..rest.opening
                },
            }),
            written: 0,
            taken: 0,
        }
    }

    /// Notes that our SYN was sent.
    pub(crate) fn began(&mut self, sequence: u32) {
        self.sequence = Some(sequence);
        if let Some(peer) = &mut self.peer {
            peer.acknowledged = sequence.wrapping_add(1);
        }
    }

    /// Notes that the peer's SYN was accepted.
    pub(crate) fn opened(&mut self, opening: Opening) {
        let next = opening.sequence.wrapping_add(1);
        self.peer = Some(Peer {
            opening,
            sequence: next,
            acknowledged: self.sequence.unwrap_or(0).wrapping_add(1),
            highest: next,
        });
    }

    pub(crate) fn written(&mut self, bytes: usize) {
        self.written = self.written.wrapping_add(bytes as u32);
    }

    pub(crate) fn taken(&mut self, bytes: usize) {
        self.taken = self.taken.wrapping_add(bytes as u32);
    }

    /// Notes a received segment with a right checksum. `buffer` is the most that can be
    /// received ahead. Implausible segments are ignored: they may be old, or an
    /// attacker's.
    pub(crate) fn received(&mut self, frame: &[u8], tcp: &Tcp, buffer: usize) {
        let Some(sent) = self.sent() else { return };
        let Some(peer) = &mut self.peer else { return };
        if tcp.flags & (SYN | RST | ACK) != ACK {
            return;
        }
        let advance = tcp.acknowledgement(frame).wrapping_sub(peer.acknowledged);
        if advance > sent.wrapping_sub(peer.acknowledged) {
            return;
        }
        let sequence = tcp.sequence(frame);
        let end = sequence.wrapping_add(tcp.payload() as u32);
        let ahead = end.wrapping_sub(peer.highest) as i32;
        if i64::from(ahead) > buffer as i64 {
            return;
        }
        if ahead > 0 {
            peer.highest = end;
        }
        if advance > 0 || sequence.wrapping_sub(peer.sequence) as i32 >= 0 {
            peer.sequence = sequence;
            peer.acknowledged = peer.acknowledged.wrapping_add(advance);
            let scale = peer.opening.scale.unwrap_or(0);
            peer.opening.window = u32::from(tcp.window(frame)) << scale;
            peer.opening.neighbor = source(frame);
        }
    }

    /// The sequence number of the next byte that the peer sends in order, if all before
    /// it was taken.
    pub(crate) fn next(&self) -> Option<u32> {
        let peer = self.peer.as_ref()?;
        let first = peer.opening.sequence.wrapping_add(1);
        Some(first.wrapping_add(self.taken))
    }

    /// Whether a segment starts exactly where all data before it was received and taken,
    /// and its acknowledgement is plausible and not old.
    pub(crate) fn continues(&self, frame: &[u8], tcp: &Tcp) -> bool {
        let (Some(next), Some(sent), Some(peer)) = (self.next(), self.sent(), &self.peer) else {
            return false;
        };
        let advance = tcp.acknowledgement(frame).wrapping_sub(peer.acknowledged);
        tcp.sequence(frame) == next
            && peer.highest == next
            && advance <= sent.wrapping_sub(peer.acknowledged)
    }

    /// The peer's latest acknowledgement and window.
    pub(crate) fn heard(&self) -> Option<(u32, u32)> {
        let peer = self.peer.as_ref()?;
        Some((peer.acknowledged, peer.opening.window))
    }

    /// Whether the peer has everything.
    pub(crate) fn all_acknowledged(&self) -> bool {
        let heard = self.heard();
        heard.is_some_and(|(acknowledged, _)| self.sent() == Some(acknowledged))
    }

    /// Whether windows are scaled.
    pub(crate) fn scales(&self) -> bool {
        let peer = self.peer.as_ref();
        peer.is_some_and(|peer| peer.opening.scale.is_some())
    }

    /// The numbers, if the peer has acknowledged everything, and nothing that it sent is
    /// missing. The caller knows that nothing is unread.
    pub(crate) fn at_rest(&self) -> Result<Rest, ExportError> {
        let (Some(send_next), Some(peer)) = (self.sent(), &self.peer) else {
            return Err(ExportError::NotOpen);
        };
        let receive_next = peer.opening.sequence.wrapping_add(1);
        let receive_next = receive_next.wrapping_add(self.taken);
        if peer.acknowledged != send_next {
            let bytes = send_next.wrapping_sub(peer.acknowledged) as usize;
            return Err(ExportError::Unacknowledged(bytes));
        }
        if peer.highest.wrapping_sub(receive_next) as i32 > 0 {
            return Err(ExportError::Missing);
        }
        Ok(Rest {
            send_next,
            receive_next,
            opening: peer.opening,
        })
    }

    /// The sequence number after the last byte written.
    fn sent(&self) -> Option<u32> {
        Some(self.sequence?.wrapping_add(1).wrapping_add(self.written))
    }
}

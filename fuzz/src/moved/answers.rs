//! What the script has the responder say.

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::bhs::RESERVED_TAG;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status as ScsiStatus};

use super::ledger::Outcome;
use super::peer::{Chunk, Peer, Response, Task};
use super::world::World;
use crate::script::Script;

/// Additional sense codes that mean something to somebody.
const CODES: [(u8, u8); 32] = [
    (0x00, 0x00),
    (0x04, 0x00),
    (0x04, 0x01),
    (0x04, 0x02),
    (0x04, 0x0a),
    (0x04, 0x0b),
    (0x04, 0x0c),
    (0x04, 0x14),
    (0x08, 0x00),
    (0x0b, 0x01),
    (0x0c, 0x00),
    (0x0c, 0x0c),
    (0x0c, 0x0d),
    (0x11, 0x00),
    (0x17, 0x01),
    (0x1d, 0x00),
    (0x20, 0x00),
    (0x20, 0x02),
    (0x21, 0x00),
    (0x24, 0x00),
    (0x25, 0x00),
    (0x26, 0x00),
    (0x27, 0x00),
    (0x27, 0x07),
    (0x28, 0x00),
    (0x29, 0x00),
    (0x2a, 0x09),
    (0x38, 0x07),
    (0x3f, 0x03),
    (0x44, 0x00),
    (0x47, 0x01),
    (0x5d, 0x00),
];

impl World {
    /// Something about one of the commands that wait for an answer.
    pub(super) fn answer(&mut self, script: &mut Script<'_>) {
        let (which, what) = (script.byte(), script.byte());
        let Some(peer) = &mut self.peer else { return };
        let open = peer.tasks.iter().enumerate().filter(|(_, t)| !t.answered);
        let open: Vec<usize> = open.map(|(at, _)| at).collect();
        let Some(&at) = open.get(usize::from(which) % open.len().max(1)) else {
            return;
        };
        let task = &mut peer.tasks[at];
        match what & 0x0f {
            0 => self.move_on(at, Some(script.byte())),
            1 => self.move_on(at, None),
            2..=5 => self.say_status(at, script),
            6..=8 if task.read => self.end_in_data(at, script),
            6..=8 => self.say_status(at, script),
            13 => {
                self.say_status(at, script);
                self.trouble(2 | what >> 2 & 4);
            }
            14.. => task.honest = true,
            kind => {
                self.ledger.honest = false;
                match kind {
                    9 => fail(peer, at, script),
                    10 => reject(peer, at, script),
                    11 => skew(peer, at, script),
                    // It is never answered.
                    _ => task.answered = true,
                }
            }
        }
        if let Some(peer) = &mut self.peer {
            peer.go_on(&self.settings, &mut self.ledger);
        }
    }

    /// Moves some bytes, or as many as may be, in order.
    fn move_on(&mut self, at: usize, some: Option<u8>) {
        let Some(peer) = &mut self.peer else { return };
        let settings = &self.settings;
        let task = &peer.tasks[at];
        let rest = task.rest();
        let length = match some {
            Some(byte) if byte < 32 => rest.min(u32::from(byte) * 512),
            Some(byte) => rest.min(u32::from(byte) * 3),
            None => rest,
        };
        if task.read {
            peer.data_ins(at, length, settings, None);
        } else {
            self.ledger.honest &= length > 0 && peer.may_ask(at, settings);
            peer.r2t(at, &Chunk::of(length.min(settings.max_burst)));
        }
    }

    /// A SCSI Response with anything in it.
    fn say_status(&mut self, at: usize, script: &mut Script<'_>) {
        let Some(peer) = &mut self.peer else { return };
        let mut response = verdict(script);
        let more = script.byte();
        response.residual = residual(more, &peer.tasks[at]);
        if more & 0xc0 == 0xc0 {
            response.count_skew = i32::from(script.byte() as i8);
        }
        response.outcome = with_residual(response.outcome, response.residual);
        let honest = response.outcome == Outcome::Done
            && response.residual == Residual::None
            && response.count_skew == 0;
        self.ledger.honest &= honest && peer.is_moved(at, &mut self.ledger);
        peer.respond(at, &response);
    }

    /// The rest of a read, or part of it, with the status in the last Data-In.
    fn end_in_data(&mut self, at: usize, script: &mut Script<'_>) {
        let Some(peer) = &mut self.peer else { return };
        let (verdict, more) = (verdict(script), script.byte());
        let task = &peer.tasks[at];
        let rest = task.rest();
        let residual = residual(more, task);
        let length = match more >> 4 & 3 {
            0 | 1 => rest,
            2 => 0,
            _ => rest.min(u32::from(script.byte()) * 64),
        };
        // There is no room for sense data.
        let outcome = match verdict.status {
            ScsiStatus::CheckCondition => Outcome::Failed,
            _ => with_residual(verdict.outcome, residual),
        };
        self.ledger.honest &=
            outcome == Outcome::Done && residual == Residual::None && length == rest;
        let end = (verdict.status, residual, outcome);
        peer.data_ins(at, length, &self.settings, Some(end));
    }

    /// Something that is about no command.
    pub(super) fn remark(&mut self, script: &mut Script<'_>) {
        let (kind, number) = (script.byte(), script.byte());
        let Some(peer) = &mut self.peer else { return };
        // Before the login is over only the login has a place.
        if !peer.is_serving() {
            return;
        }
        let ping = kind & 1 != 0;
        match kind >> 1 & 3 {
            0 => {
                let ttt = if ping { number.into() } else { RESERVED_TAG };
                return peer.nop_in(ttt);
            }
            1 => {
                let sense = sense(script).0;
                let length = (sense.len() as u16).to_be_bytes();
                let message = AsyncMessage {
                    event: event(number),
                    data_len: 0,
                    lun: Lun::default(),
                    sn: peer.status(),
                };
                peer.send(message, &[&length[..], &sense].concat());
            }
            2 if ping => peer.holds_aborts = true,
            2 => {
                peer.abort = match number % 3 {
                    0 => TaskCode::NoTask,
                    1 => TaskCode::NotSupported,
                    _ => number.into(),
                };
            }
            _ => peer.skip_status(),
        }
        self.ledger.honest = false;
    }

    /// The connection, or the responder as a whole, has a problem.
    pub(super) fn trouble(&mut self, kind: u8) {
        self.ledger.honest = false;
        match (kind & 3, &mut self.peer) {
            (0, _) => self.refuse = 1 + u32::from(kind >> 2 & 3),
            (1, Some(peer)) => peer.mute = true,
            (2, Some(peer)) => peer.repeat_end(kind & 4 != 0),
            (3, Some(peer)) => peer.release_abort(),
            _ => {}
        }
    }
}

/// A response code of iSCSI's own, which the status means nothing beside.
fn fail(peer: &mut Peer, at: usize, script: &mut Script<'_>) {
    let code = match script.byte() {
        byte if byte < 0x80 => 1,
        byte => byte,
    };
    let response = Response {
        code: code.into(),
        outcome: Outcome::Failed,
        ..verdict(script)
    };
    peer.respond(at, &response);
}

fn reject(peer: &mut Peer, at: usize, script: &mut Script<'_>) {
    let reason = match script.byte() {
        byte if byte < 0xf0 => 2 + byte % 11,
        byte => byte,
    };
    peer.reject(at, reason.into());
}

/// A Data-In or an R2T that is not the one that is due, or too long.
fn skew(peer: &mut Peer, at: usize, script: &mut Script<'_>) {
    let (kind, length, delta) = (script.byte(), script.byte(), script.byte());
    let delta = i32::from(delta as i8);
    let task = &peer.tasks[at];
    let unit = if kind & 2 != 0 { 512 } else { 4 };
    let mut chunk = Chunk::of(u32::from(length) * unit);
    match kind & 1 {
        0 => chunk.offset_skew = delta * unit as i32,
        _ => chunk.number_skew = delta,
    }
    chunk.final_skew = kind & 8 != 0;
    // Not below 0, which no field can say.
    chunk.offset_skew = chunk.offset_skew.max(-(task.at.min(1 << 20) as i32));
    // Or one where the other is due.
    if task.read != (kind & 16 != 0) {
        if kind & 4 != 0 {
            chunk.end = Some((ScsiStatus::Good, Residual::None, Outcome::Done));
        }
        peer.data_in(at, &chunk, None);
    } else {
        peer.r2t(at, &chunk);
    }
}

/// A status, and sense data where it has some.
fn verdict(script: &mut Script<'_>) -> Response {
    let kind = script.byte();
    let status: ScsiStatus = match kind & 0x0f {
        0 | 1 => ScsiStatus::Good,
        2 => ScsiStatus::ConditionMet,
        3..=8 => ScsiStatus::CheckCondition,
        9 => ScsiStatus::Busy,
        10 => ScsiStatus::ReservationConflict,
        11 => ScsiStatus::TaskSetFull,
        12 => ScsiStatus::AcaActive,
        13 => ScsiStatus::TaskAborted,
        14 => (0x10 | kind >> 4 & 4).into(),
        _ => script.byte().into(),
    };
    let (sense, outcome) = match status {
        ScsiStatus::Good | ScsiStatus::ConditionMet => (Vec::new(), Outcome::Done),
        ScsiStatus::CheckCondition => sense(script),
        _ => (Vec::new(), Outcome::Failed),
    };
    Response {
        sense,
        ..Response::of(status, outcome)
    }
}

/// Sense data, mostly sound, and what it makes of a command.
fn sense(script: &mut Script<'_>) -> (Vec<u8>, Outcome) {
    let (kind, code) = (script.byte(), script.byte());
    let asc = match kind & 0x10 {
        0 => CODES[usize::from(code) % CODES.len()],
        _ => (code, script.byte()),
    };
    let sense = Sense {
        deferred: kind & 0x80 != 0,
        ..Sense::new(SenseKey::from(kind & 0x0f), Asc(asc.0, asc.1))
    };
    let mut bytes = match kind & 0x40 {
        0 => sense.emit_fixed().to_vec(),
        _ => sense.emit_descriptor(),
    };
    if kind & 0x20 != 0 {
        bytes.truncate(usize::from(script.byte()) % 20);
    }
    // What is cut off is not said, but for the codes, which are zero then.
    let outcome = Sense::parse(&bytes).map_or(Outcome::Failed, |sense| meaning(&sense));
    (bytes, outcome)
}

fn meaning(sense: &Sense) -> Outcome {
    match (sense.key, sense.asc.0) {
        _ if sense.deferred => Outcome::Failed,
        (SenseKey::NoSense | SenseKey::RecoveredError | SenseKey::Completed, _) => Outcome::Done,
        (SenseKey::IllegalRequest, 0x20 | 0x24 | 0x26) => Outcome::Unsupported,
        _ => Outcome::Failed,
    }
}

/// How many bytes were not moved, or so it says.
fn residual(kind: u8, task: &Task) -> Residual {
    let rest = task.rest();
    match kind & 0x0f {
        0..=7 => Residual::None,
        8 | 9 => Residual::Underflow(rest),
        10 => Residual::Underflow(task.length),
        11 => Residual::Underflow(512),
        12 => Residual::Overflow(0),
        13 => Residual::Overflow(512),
        14 => Residual::Overflow(u32::MAX),
        _ => Residual::Underflow(u32::MAX),
    }
}

fn with_residual(outcome: Outcome, residual: Residual) -> Outcome {
    match (outcome, residual) {
        (Outcome::Done, Residual::Underflow(1..) | Residual::Overflow(1..)) => Outcome::Residual,
        _ => outcome,
    }
}

fn event(number: u8) -> AsyncEvent {
    let seconds = u16::from(number >> 4);
    match number & 7 {
        0 | 1 => AsyncEvent::Scsi,
        2 => AsyncEvent::LogoutRequest { within: seconds },
        3 => AsyncEvent::DropConnection {
            cid: 0,
            time2wait: seconds,
            time2retain: 0,
        },
        4 => AsyncEvent::DropSession {
            time2wait: seconds,
            time2retain: 0,
        },
        5 => AsyncEvent::Negotiate { within: seconds },
        6 => AsyncEvent::TasksTerminated,
        _ => AsyncEvent::Other {
            event: number,
            vendor_code: 0,
            parameters: [seconds; 3],
        },
    }
}

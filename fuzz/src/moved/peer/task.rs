//! A command at the responder, and the data of a write that comes for it.

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::bhs::{BhsBytes, RESERVED_TAG};
use vcp_iscsi_proto::pdu::{DataOut, Residual, ScsiCommand};
use vcp_iscsi_proto::scsi::{Command, Status as ScsiStatus, parse_unmap};

use super::{Chunk, Peer, Response, survey};
use crate::moved::ledger::{Kind, Ledger, Order, Outcome};
use crate::moved::settings::Settings;

pub(in crate::moved) struct Task {
    /// Its attempt in the ledger; of a question of the survey there is none.
    pub(super) id: usize,
    pub(super) itt: u32,
    pub(super) lun: Lun,
    pub(super) header: BhsBytes,
    pub(in crate::moved) read: bool,
    pub(in crate::moved) length: u32,
    /// Where the next Data-In starts, or the next R2T.
    pub(in crate::moved) at: u32,
    /// The next DataSN or R2TSN.
    pub(super) sequence: u32,
    /// The tag, the next byte and the end of each R2T.
    pub(super) open: Vec<(u32, u32, u32)>,
    /// Unsolicited data that is to come: the next byte, the end.
    pub(super) unsolicited: Option<(u32, u32)>,
    /// The parameter list of an UNMAP.
    list: Option<Vec<u8>>,
    /// Nothing more will be said.
    pub(in crate::moved) answered: bool,
    /// It is answered as it should be, from here on.
    pub(in crate::moved) honest: bool,
}

impl Task {
    /// Bytes that are not sent, or not asked for, yet.
    pub(in crate::moved) fn rest(&self) -> u32 {
        self.length.saturating_sub(self.at)
    }
}

impl Peer {
    pub(super) fn command(
        &mut self,
        command: &ScsiCommand,
        header: &BhsBytes,
        data: &[u8],
        settings: &Settings,
        ledger: &mut Ledger,
    ) {
        let cdb = Command::parse(&command.cdb).expect("a sound command");
        let length = command.expected_len;
        let mut task = Task {
            id: usize::MAX,
            itt: command.itt,
            lun: command.lun,
            header: *header,
            read: command.read,
            length,
            at: 0,
            sequence: 0,
            open: Vec::new(),
            unsolicited: None,
            list: None,
            answered: false,
            honest: self.honest,
        };
        let Some(order) = order(&cdb, length) else {
            self.tasks.push(task);
            return self.answer_survey(&cdb, settings);
        };
        task.id = ledger.arrived(&order);
        task.list = (order.kind == Kind::Unmap).then(Vec::new);
        assert_eq!(command.read, order.kind == Kind::Read && length > 0);
        let unasked = unasked(command, data, settings);
        task.unsolicited = (!command.is_final).then_some((data.len() as u32, unasked));
        task.at = unasked;
        self.tasks.push(task);
        self.account(self.tasks.len() - 1, 0, data, ledger);
    }

    fn answer_survey(&mut self, cdb: &Command, settings: &Settings) {
        let at = self.tasks.len() - 1;
        let length = self.tasks[at].length;
        match survey::answer(cdb, settings) {
            Ok(data) => {
                let count = length.min(data.len() as u32);
                for piece in data[..count as usize].chunks(settings.max_send as usize) {
                    self.data_in(at, &Chunk::of(piece.len() as u32), Some(piece));
                }
                let residual = match length - count {
                    0 => Residual::None,
                    rest => Residual::Underflow(rest),
                };
                let good = Response {
                    residual,
                    ..Response::of(ScsiStatus::Good, Outcome::Done)
                };
                self.respond(at, &good);
            }
            Err(asc) => {
                let residual = match length {
                    0 => Residual::None,
                    rest => Residual::Underflow(rest),
                };
                self.respond(
                    at,
                    &Response {
                        residual,
                        ..Response::illegal(asc)
                    },
                );
            }
        }
        self.tasks.pop();
    }

    pub(super) fn data_out(
        &mut self,
        pdu: &DataOut,
        data: &[u8],
        settings: &Settings,
        ledger: &mut Ledger,
    ) {
        let length = data.len() as u32;
        assert!(length <= settings.max_recv, "a Data-Out too long");
        let Some(at) = self.tasks.iter().position(|task| task.itt == pdu.itt) else {
            return;
        };
        let task = &mut self.tasks[at];
        let end = pdu.offset + length;
        if pdu.ttt == RESERVED_TAG {
            let (next, last) = task.unsolicited.expect("unsolicited data was announced");
            assert!(pdu.offset == next && end <= last, "unsolicited data");
            assert_eq!(pdu.is_final, end == last, "the end of unsolicited data");
            task.unsolicited = (end < last).then_some((end, last));
        } else {
            let open = task.open.iter_mut().find(|(ttt, _, _)| *ttt == pdu.ttt);
            let (ttt, next, last) = open.expect("data was asked for");
            assert!(
                pdu.offset == *next && end <= *last,
                "data that was asked for"
            );
            assert_eq!(pdu.is_final, end == *last, "the end of what was asked for");
            *next = end;
            let ttt = *ttt;
            if pdu.is_final {
                task.open.retain(|(open, _, _)| *open != ttt);
            }
        }
        self.account(at, pdu.offset, data, ledger);
    }

    /// Notes which bytes have come. Once the command is answered its memory may be
    /// somebody else's, and what still comes is nobody's.
    fn account(&mut self, at: usize, offset: u32, data: &[u8], ledger: &mut Ledger) {
        let task = &mut self.tasks[at];
        if !ledger.is_data_of(task.id, offset, data) {
            assert!(task.answered, "other bytes than those of the request");
            return;
        }
        let attempt = ledger.attempt(task.id);
        attempt.moved.add(offset, offset + data.len() as u32);
        let whole = attempt.moved.covers(task.length);
        let Some(list) = &mut task.list else { return };
        if offset as usize == list.len() {
            list.extend_from_slice(data);
        }
        if whole && list.len() == task.length as usize {
            let extents: Vec<_> = parse_unmap(list).expect("a sound list").collect();
            let [extent] = extents[..] else {
                panic!("one extent at a time");
            };
            ledger.place(task.id, extent.lba, extent.blocks);
            task.list = None;
        }
    }
}

/// A command of a request; `None`: a question about the disk.
fn order(cdb: &Command, length: u32) -> Option<Order> {
    let (kind, lba, blocks, fua) = match *cdb {
        Command::Read { lba, blocks, .. } => (Kind::Read, lba, blocks, false),
        Command::Write {
            lba, blocks, fua, ..
        } => (Kind::Write, lba, blocks, fua),
        Command::WriteSame { lba, blocks, .. } => (Kind::WriteSame, lba, blocks, false),
        Command::Unmap { .. } => (Kind::Unmap, 0, 0, false),
        Command::SynchronizeCache {
            lba,
            blocks,
            immediate,
        } => {
            assert!((lba, blocks, immediate) == (0, 0, false), "all of it, now");
            (Kind::Sync, 0, 0, false)
        }
        _ => return None,
    };
    Some(Order {
        kind,
        fua,
        lba,
        blocks,
        length,
    })
}

/// Bytes that come without being asked for, immediate data included.
fn unasked(command: &ScsiCommand, data: &[u8], settings: &Settings) -> u32 {
    let (length, immediate) = (command.expected_len, data.len() as u32);
    let first = length.min(settings.first_burst);
    assert!(immediate == 0 || command.write && settings.immediate_data);
    assert!(immediate <= first && immediate <= settings.max_recv);
    assert!(command.is_final || command.write && !settings.initial_r2t);
    if command.is_final { immediate } else { first }
}

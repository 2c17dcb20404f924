//! Data for the scripted target: immediate, unsolicited, or requested by an R2T.

use std::collections::VecDeque;

use vcp_iscsi_proto::bhs::RESERVED_TAG;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::text::Key;

use super::Peer;

/// A command whose data is still coming.
pub(super) struct Writing {
    command: ScsiCommand,
    data: Vec<u8>,
    /// The number of unsolicited bytes, and whether all have come.
    unsolicited: bool,
    asked: u32,
    r2t_sn: u32,
    open: VecDeque<(u32, u32, u32)>,
    next_in_burst: u32,
    data_sn: u32,
}

impl Peer {
    pub(super) fn command(&mut self, command: ScsiCommand, data: &[u8]) {
        if !command.write {
            assert!(command.is_final);
            return self.execute(&command, &[]);
        }
        assert!(data.is_empty() || self.yes(Key::ImmediateData));
        assert!(data.len() as u32 <= self.settings.max_recv);
        assert!(
            command.is_final || data.len().is_multiple_of(4),
            "whole words of data where more follows"
        );
        let first = self.number(Key::FirstBurstLength).min(command.expected_len);
        assert!(
            data.len() as u32 <= first,
            "more immediate data than FirstBurstLength"
        );
        let unsolicited = !command.is_final;
        assert!(
            !unsolicited || !self.yes(Key::InitialR2T),
            "unsolicited data"
        );
        let asked = if unsolicited {
            first
        } else {
            data.len() as u32
        };
        self.most_unsolicited = self.most_unsolicited.max(asked);
        self.writing.insert(
            command.itt,
            Writing {
                command,
                data: data.to_vec(),
                unsolicited,
                asked,
                r2t_sn: 0,
                open: VecDeque::new(),
                next_in_burst: data.len() as u32,
                data_sn: 0,
            },
        );
        self.go_on(command.itt);
    }

    pub(super) fn data_out(&mut self, pdu: &DataOut, data: &[u8]) {
        assert!(
            data.len() as u32 <= self.settings.max_recv,
            "a Data-Out too long"
        );
        assert!(
            pdu.is_final || data.len().is_multiple_of(4),
            "whole words of data where more follows"
        );
        let Some(writing) = self.writing.get_mut(&pdu.itt) else {
            return;
        };
        assert_eq!(pdu.offset as usize, writing.data.len(), "data out of order");
        assert_eq!(pdu.data_sn, writing.data_sn, "DataSN");
        writing.data.extend_from_slice(data);
        writing.data_sn = if pdu.is_final { 0 } else { pdu.data_sn + 1 };
        if pdu.ttt == RESERVED_TAG {
            let cmd_sn = writing.command.sn.cmd_sn;
            assert!(
                self.unsolicited_of.is_none_or(|last| last.le(cmd_sn)),
                "unsolicited data in the order of the commands"
            );
            self.unsolicited_of = Some(cmd_sn);
            assert!(
                writing.unsolicited,
                "unsolicited data that was not announced"
            );
            assert!(writing.data.len() as u32 <= writing.asked);
            if pdu.is_final {
                assert_eq!(writing.data.len() as u32, writing.asked);
                writing.unsolicited = false;
                writing.next_in_burst = writing.asked;
            }
        } else {
            let &(ttt, offset, length) = writing.open.front().expect("an R2T");
            assert_eq!(pdu.ttt, ttt, "R2Ts answered in order");
            assert_eq!(pdu.lun, writing.command.lun, "LUN of the R2T");
            let end = offset + length;
            assert!(writing.data.len() as u32 <= end, "more data than asked for");
            let burst = writing.data.len() as u32 - offset;
            self.longest_burst = self.longest_burst.max(burst);
            assert_eq!(pdu.is_final, writing.data.len() as u32 == end);
            if pdu.is_final {
                writing.open.pop_front();
            }
        }
        if pdu.is_final {
            self.go_on(pdu.itt);
        }
    }

    /// Asks for more data, or carries the command out.
    pub(super) fn go_on(&mut self, itt: u32) {
        let max_burst = self.number(Key::MaxBurstLength);
        let most = self.number(Key::MaxOutstandingR2T) as usize;
        let mut r2ts = Vec::new();
        let writing = self.writing.get_mut(&itt).unwrap();
        if writing.unsolicited {
            return;
        }
        let length = writing.command.expected_len;
        while writing.asked < length && writing.open.len() < most {
            let desired_len = (length - writing.asked).min(max_burst);
            let ttt = self.next_ttt;
            self.next_ttt += 1;
            writing.open.push_back((ttt, writing.asked, desired_len));
            r2ts.push((ttt, writing.r2t_sn, writing.asked, desired_len));
            writing.r2t_sn += 1;
            writing.asked += desired_len;
        }
        let (lun, done) = (writing.command.lun, writing.data.len() as u32 == length);
        for (ttt, r2t_sn, offset, desired_len) in r2ts {
            let sn = self.numbers();
            self.send(
                R2t {
                    data_len: 0,
                    lun,
                    itt,
                    ttt,
                    sn,
                    r2t_sn,
                    offset,
                    desired_len,
                },
                &[],
            );
        }
        if done && let Some(writing) = self.writing.remove(&itt) {
            self.execute(&writing.command, &writing.data);
        }
    }
}

//! The scripted target's answers to commands: data, status, sense.

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::bhs::RESERVED_TAG;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status};
use vcp_iscsi_proto::text::Key;

use super::super::disk::Reply;
use super::Peer;

impl Peer {
    /// Carries out a command whose data has come.
    pub fn execute(&mut self, command: &ScsiCommand, data: &[u8]) {
        let reply = self.disk.execute(command.lun, &command.cdb, data);
        match reply {
            Reply::Data(data) => self.send_data(command, &data),
            Reply::Good => {
                self.respond(command.itt, Status::Good, None, command.expected_len, true)
            }
            Reply::Sense(key, asc) => self.check_condition(command, key, asc),
            Reply::Status(status) => self.respond(command.itt, status, None, 0, true),
        }
    }

    pub fn check_condition(&mut self, command: &ScsiCommand, key: SenseKey, asc: Asc) {
        let sense = Sense::new(key, asc).emit_fixed();
        self.respond(command.itt, Status::CheckCondition, Some(&sense), 0, true);
    }

    pub fn respond(
        &mut self,
        itt: u32,
        status: Status,
        sense: Option<&[u8]>,
        _moved: u32,
        _exact: bool,
    ) {
        let sn = self.status();
        let mut data = Vec::new();
        if let Some(sense) = sense {
            data.extend((sense.len() as u16).to_be_bytes());
            data.extend(sense);
        }
        self.send(
            ScsiResponse {
                response: ResponseCode::Completed,
                status,
                data_len: 0,
                itt,
                snack_tag: 0,
                sn,
                exp_data_sn: 0,
                bidi_residual: Residual::None,
                residual: Residual::None,
            },
            &data,
        );
    }

    /// Sends the first bytes of a command's data, and no status.
    pub fn send_first(&mut self, itt: u32, bytes: &[u8]) {
        let sn = self.numbers();
        let data = DataIn {
            is_final: true,
            acknowledge: false,
            status: None,
            data_len: 0,
            lun: Lun::default(),
            itt,
            ttt: RESERVED_TAG,
            sn,
            data_sn: 0,
            offset: 0,
            residual: Residual::None,
        };
        self.send(data, bytes);
    }

    /// Sends a Reject of a PDU with this header.
    pub fn reject(&mut self, reason: RejectReason, header: &[u8]) {
        let sn = self.status();
        let reject = Reject {
            reason,
            data_len: 0,
            sn,
            data_sn: 0,
        };
        self.send(reject, header);
    }

    pub(super) fn send_data(&mut self, command: &ScsiCommand, data: &[u8]) {
        let length = (data.len() as u32).min(command.expected_len);
        let residual = match command.expected_len - length {
            0 => Residual::None,
            rest => Residual::Underflow(rest),
        };
        let max_burst = self.number(Key::MaxBurstLength);
        let segment = self
            .settings
            .data_in
            .min(self.number(Key::MaxRecvDataSegmentLength));
        let (mut offset, mut in_burst, mut data_sn) = (0, 0, 0);
        while offset < length {
            let count = (length - offset).min(segment).min(max_burst - in_burst);
            in_burst += count;
            let last = offset + count == length;
            let is_final = last || in_burst == max_burst;
            if is_final {
                in_burst = 0;
            }
            let status = (last && self.settings.status_in_data).then_some(Status::Good);
            let sn = if status.is_some() {
                self.status()
            } else {
                self.numbers()
            };
            let range = offset as usize..(offset + count) as usize;
            self.send(
                DataIn {
                    is_final,
                    acknowledge: false,
                    status,
                    data_len: count,
                    lun: Lun::default(),
                    itt: command.itt,
                    ttt: RESERVED_TAG,
                    sn,
                    data_sn,
                    offset,
                    residual: if status.is_some() {
                        residual
                    } else {
                        Residual::None
                    },
                },
                &data[range],
            );
            offset += count;
            data_sn += 1;
        }
        if length == 0 || !self.settings.status_in_data {
            let sn = self.status();
            self.send(
                ScsiResponse {
                    response: ResponseCode::Completed,
                    status: Status::Good,
                    data_len: 0,
                    itt: command.itt,
                    snack_tag: 0,
                    sn,
                    exp_data_sn: data_sn,
                    bidi_residual: Residual::None,
                    residual,
                },
                &[],
            );
        }
    }
}

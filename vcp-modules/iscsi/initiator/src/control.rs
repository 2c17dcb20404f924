//! Requests of the initiator that are not SCSI commands. They wait in a queue by their
//! purpose, and get their numbers when they are sent.

use alloc::vec::Vec;

use vcp_iscsi_proto::bhs::{BHS_LEN, BhsBytes, RESERVED_TAG};
use vcp_iscsi_proto::pdu::{
    LoginRequest, LogoutReason, LogoutRequest, NopOut, TaskFunction, TaskRequest, TextRequest,
};
use vcp_iscsi_proto::{Isid, Lun, Serial};

use crate::login;
use crate::task::FIRST_CONTROL_PLACE;
use crate::wire::numbers::Numbers;
use crate::wire::tx::Payload;

/// The connection's identifier; a session has one connection.
pub(crate) const CID: u16 = 0;

/// The places in the tags of requests that are not tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Place {
    Login = FIRST_CONTROL_PLACE,
    Ping,
    Plug,
    Abort,
    Text,
    Logout,
}

/// A request that is not a SCSI command.
#[derive(Debug)]
pub(crate) enum Control {
    Login {
        itt: u32,
        isid: Isid,
        request: login::Request,
    },
    /// A NOP-Out that requests an answer.
    Ping {
        itt: u32,
    },
    /// A NOP-Out that only acknowledges statuses.
    Confirmation,
    /// The answer to a NOP-In.
    Pong {
        lun: Lun,
        ttt: u32,
    },
    /// A NOP-Out in place of a command that the target rejected: its number must not stay
    /// open (RFC 7143 §7.3).
    Plug {
        itt: u32,
        cmd_sn: Serial,
    },
    Abort {
        itt: u32,
        lun: Lun,
        task: u32,
        cmd_sn: Serial,
    },
    Text {
        itt: u32,
        ttt: u32,
        lun: Lun,
        is_final: bool,
        is_continued: bool,
        /// Whether it gets a number of its own, if the window has room: some targets
        /// count every Text Request, and go wrong after one without a number.
        numbered: bool,
        text: Vec<u8>,
    },
    Logout {
        itt: u32,
    },
}

impl Control {
    /// Encodes the header and the data segment.
    pub(crate) fn emit(self, numbers: &mut Numbers) -> (BhsBytes, Payload) {
        let mut header = [0; BHS_LEN];
        let sn = numbers.immediate();
        let mut payload = Payload::None;
        match self {
            Self::Login { itt, isid, request } => {
                LoginRequest {
                    transit: request.transit,
                    is_continued: request.is_continued,
                    stage: request.stage,
                    version_max: 0,
                    version_min: 0,
                    data_len: request.text.len() as u32,
                    isid,
                    tsih: 0,
                    itt,
                    cid: CID,
                    sn,
                }
                .emit(&mut header);
                payload = Payload::Owned(request.text);
            }
            Self::Ping { itt } => {
                nop(itt, RESERVED_TAG, Lun::default(), sn, true).emit(&mut header)
            }
            Self::Confirmation => {
                nop(RESERVED_TAG, RESERVED_TAG, Lun::default(), sn, true).emit(&mut header)
            }
            Self::Pong { lun, ttt } => nop(RESERVED_TAG, ttt, lun, sn, true).emit(&mut header),
            Self::Plug { itt, cmd_sn } => {
                let sn = numbers.repeated(cmd_sn);
                nop(itt, RESERVED_TAG, Lun::default(), sn, false).emit(&mut header);
            }
            Self::Abort {
                itt,
                lun,
                task,
                cmd_sn,
            } => TaskRequest {
                immediate: true,
                function: TaskFunction::AbortTask,
                data_len: 0,
                lun,
                itt,
                ref_itt: task,
                sn,
                ref_cmd_sn: cmd_sn,
                exp_data_sn: 0,
            }
            .emit(&mut header),
            Self::Text {
                itt,
                ttt,
                lun,
                is_final,
                is_continued,
                numbered,
                text,
            } => {
                let data_len = text.len() as u32;
                let numbered = numbered && numbers.window_open();
                let sn = if numbered { numbers.command() } else { sn };
                TextRequest {
                    immediate: !numbered,
                    is_final,
                    is_continued,
                    data_len,
                    lun,
                    itt,
                    ttt,
                    sn,
                }
                .emit(&mut header);
                payload = Payload::Owned(text);
            }
            Self::Logout { itt } => LogoutRequest {
                immediate: true,
                reason: LogoutReason::CloseSession,
                data_len: 0,
                itt,
                cid: CID,
                sn,
            }
            .emit(&mut header),
        }
        (header, payload)
    }
}

fn nop(
    itt: u32,
    ttt: u32,
    lun: Lun,
    sn: vcp_iscsi_proto::pdu::InitiatorSn,
    immediate: bool,
) -> NopOut {
    NopOut {
        immediate,
        data_len: 0,
        lun,
        itt,
        ttt,
        sn,
    }
}

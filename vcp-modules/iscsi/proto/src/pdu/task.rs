//! Task Management Function Request and Response (RFC 7143 §11.5, §11.6).

use super::common::{FINAL, InitiatorSn, TargetSn, begin, expect};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{codes, put_u32, put_u64, u24_at, u32_at, u64_at};
use crate::lun::Lun;
use crate::serial::Serial;

codes! {
    /// Task management functions (RFC 7143 §11.5.1).
    pub enum TaskFunction {
        /// Aborts the task of the referenced task tag.
        AbortTask = 1 => "ABORT TASK",
        /// Aborts all tasks of this session on the LUN.
        AbortTaskSet = 2 => "ABORT TASK SET",
        /// Clears an auto contingent allegiance.
        ClearAca = 3 => "CLEAR ACA",
        /// Aborts all tasks of every initiator on the LUN.
        ClearTaskSet = 4 => "CLEAR TASK SET",
        /// Resets the logical unit.
        LogicalUnitReset = 5 => "LOGICAL UNIT RESET",
        /// Resets all logical units, sessions stay.
        TargetWarmReset = 6 => "TARGET WARM RESET",
        /// Resets all logical units and drops all sessions.
        TargetColdReset = 7 => "TARGET COLD RESET",
        /// Moves a task to this connection.
        TaskReassign = 8 => "TASK REASSIGN",
    }
}

codes! {
    /// Outcome of a task management function (RFC 7143 §11.6.1).
    pub enum TaskCode {
        /// Done.
        Complete = 0 => "function complete",
        /// No task has the referenced tag.
        NoTask = 1 => "task does not exist",
        /// There is no such logical unit.
        NoLun = 2 => "LUN does not exist",
        /// The task still belongs to another connection.
        StillAllegiant = 3 => "task still allegiant",
        /// TASK REASSIGN isn't supported.
        NoReassignment = 4 => "task allegiance reassignment not supported",
        /// The function isn't supported.
        NotSupported = 5 => "task management function not supported",
        /// The initiator may not do that.
        NotAuthorized = 6 => "function authorization failed",
        /// Refused for another reason.
        Rejected = 255 => "function rejected",
    }
}

/// Task Management Function Request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRequest {
    /// The request doesn't use up its CmdSN.
    pub immediate: bool,
    /// The task management function; seven bits.
    pub function: TaskFunction,
    /// Length of the data segment; 0 from a sound initiator.
    pub data_len: u32,
    /// The logical unit, where the function has one.
    pub lun: Lun,
    /// Initiator task tag of this request.
    pub itt: u32,
    /// The tag of the task concerned, or [`RESERVED_TAG`](crate::RESERVED_TAG).
    pub ref_itt: u32,
    /// CmdSN and ExpStatSN.
    pub sn: InitiatorSn,
    /// CmdSN of the task meant, for ABORT TASK.
    pub ref_cmd_sn: Serial,
    /// Next DataSN expected, for TASK REASSIGN.
    pub exp_data_sn: u32,
}

impl TaskRequest {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::TaskRequest)?;
        Ok(Self {
            immediate: b[0] & 0x40 != 0,
            function: (b[1] & 0x7f).into(),
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ref_itt: u32_at(b, 20),
            sn: InitiatorSn::parse(b),
            ref_cmd_sn: Serial(u32_at(b, 32)),
            exp_data_sn: u32_at(b, 36),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        let function = u8::from(self.function) & 0x7f;
        begin(
            b,
            Opcode::TaskRequest,
            self.immediate,
            FINAL | function,
            self.data_len,
        );
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ref_itt);
        self.sn.emit(b);
        put_u32(b, 32, self.ref_cmd_sn.0);
        put_u32(b, 36, self.exp_data_sn);
    }
}

/// Task Management Function Response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskResponse {
    /// Outcome.
    pub code: TaskCode,
    /// Length of the data segment; 0 from a sound target.
    pub data_len: u32,
    /// Initiator task tag of the request.
    pub itt: u32,
    /// StatSN, ExpCmdSN and MaxCmdSN.
    pub sn: TargetSn,
}

impl TaskResponse {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::TaskResponse)?;
        Ok(Self {
            code: b[2].into(),
            data_len: u24_at(b, 5),
            itt: u32_at(b, 16),
            sn: TargetSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(b, Opcode::TaskResponse, false, FINAL, self.data_len);
        b[2] = self.code.into();
        put_u32(b, 16, self.itt);
        self.sn.emit(b);
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, initiator_sn, target_sn};
    use super::*;
    use crate::bhs::BHS_LEN;
    use proptest::prelude::*;

    #[test]
    fn abort_task_layout() {
        let mut b = [0; BHS_LEN];
        b[..2].copy_from_slice(&[0x42, 0x81]);
        b[23] = 9;
        b[35] = 4;
        let request = TaskRequest::parse(&b).unwrap();
        assert!(request.immediate);
        assert_eq!(request.function, TaskFunction::AbortTask);
        assert_eq!((request.ref_itt, request.ref_cmd_sn), (9, Serial(4)));
    }

    proptest! {
        #[test]
        fn request_round_trip(
            (immediate, lun, itt, ref_itt) in any::<(bool, u64, u32, u32)>(),
            (ref_cmd_sn, exp_data_sn) in any::<(u32, u32)>(),
            (function, data_len, sn) in (0u8..0x80, data_len(), initiator_sn()),
        ) {
            let request = TaskRequest {
                immediate, function: function.into(), data_len, lun: Lun(lun), itt, ref_itt, sn,
                ref_cmd_sn: Serial(ref_cmd_sn), exp_data_sn,
            };
            let mut b = [0xff; BHS_LEN];
            request.emit(&mut b);
            prop_assert_eq!(TaskRequest::parse(&b), Ok(request));
        }

        #[test]
        fn response_round_trip(
            (code, itt) in any::<(u8, u32)>(),
            (data_len, sn) in (data_len(), target_sn()),
        ) {
            let response = TaskResponse { code: code.into(), data_len, itt, sn };
            let mut b = [0xff; BHS_LEN];
            response.emit(&mut b);
            prop_assert_eq!(TaskResponse::parse(&b), Ok(response));
        }
    }
}

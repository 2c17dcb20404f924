//! A SCSI command in progress.

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::Serial;
use vcp_iscsi_proto::pdu::Residual;

use crate::lun::{Cdb, LogicalUnit, Refusal};

/// One task.
pub(super) struct Task {
    pub(super) itt: u32,
    pub(super) lun: Lun,
    pub(super) cdb: Cdb,
    pub(super) cmd_sn: Serial,
    /// Its place in the command window is taken until it ends.
    pub(super) counted: bool,
    /// What the initiator expects to be moved, in the direction of the command.
    pub(super) expected: u32,
    /// What the command itself would move.
    pub(super) wanted: u64,
    /// The unit, for commands that reach the medium.
    pub(super) unit: Option<Arc<LogicalUnit>>,
    /// Data-Ins or R2Ts so far.
    pub(super) data_sn: u32,
    pub(super) work: Work,
}

/// What is to be done for a task.
pub(super) enum Work {
    /// Send read data, then status.
    Send(Sending),
    /// Fetch write data, then status.
    Receive(Receiving),
    /// Put these bytes on the medium once the delay is over, then send status.
    Land {
        /// Where on the medium.
        offset: u64,
        bytes: Vec<u8>,
        fua: bool,
    },
    /// Send this, once the delay is over.
    Respond(Result<(), Refusal>),
}

/// Read data on its way.
pub(super) struct Sending {
    pub(super) source: Source,
    pub(super) sent: u32,
    /// Bytes in all.
    pub(super) length: u32,
}

/// Where read data comes from.
pub(super) enum Source {
    /// From the medium, from this offset on.
    Medium(u64),
    /// From memory.
    Bytes(Vec<u8>),
}

/// Write data on its way.
pub(super) struct Receiving {
    pub(super) sink: Sink,
    /// Bytes that are kept; the initiator may send more, which are not.
    pub(super) length: u32,
    /// The unsolicited sequence, while it is open.
    pub(super) unsolicited: Option<Sequence>,
    /// Asked for up to here.
    pub(super) asked: u32,
    /// R2Ts whose data has not all come.
    pub(super) r2ts: Vec<Sequence>,
    /// How the command ends once the data under way has come.
    pub(super) failure: Option<Refusal>,
}

/// Where write data goes.
pub(super) enum Sink {
    /// To the medium, from this offset on.
    Medium { offset: u64, fua: bool },
    /// Kept for a while, and then to the medium.
    Later {
        offset: u64,
        bytes: Vec<u8>,
        fua: bool,
        delay: Duration,
    },
    /// Kept for the command.
    Parameters(Vec<u8>),
    /// Nowhere: the command has failed, or takes none.
    Nothing,
}

/// A run of Data-Outs: unsolicited, or the answer to one R2T.
pub(super) struct Sequence {
    /// Target transfer tag; reserved when unsolicited.
    pub(super) ttt: u32,
    /// Where it begins and ends in the command's data.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Bytes so far.
    pub(super) received: u32,
    /// DataSN of the next PDU.
    pub(super) data_sn: u32,
}

impl Sink {
    /// What is to be done with a write that is held back, all of which has come.
    pub(super) fn land(&mut self) -> Work {
        match self {
            Self::Later {
                offset, bytes, fua, ..
            } => Work::Land {
                offset: *offset,
                bytes: std::mem::take(bytes),
                fua: *fua,
            },
            _ => Work::Respond(Ok(())),
        }
    }

    /// Where the bytes of a write go: to the medium, unless a fault holds them
    /// back.
    pub(super) fn for_write(
        unit: Option<&LogicalUnit>,
        offset: u64,
        length: u32,
        fua: bool,
    ) -> Self {
        let delay = unit.map(|unit| unit.faults().landing_delay);
        match delay.filter(|delay| !delay.is_zero()) {
            None => Self::Medium { offset, fua },
            Some(delay) => Self::Later {
                offset,
                bytes: vec![0; length as usize],
                fua,
                delay,
            },
        }
    }
}

impl Task {
    /// Residual when all went well: what was expected against what the command
    /// moves (RFC 7143 §11.4.5).
    pub(super) fn residual(&self) -> Residual {
        residual(self.expected, self.wanted)
    }
}

/// Of `expected` bytes a command moves `moved`.
pub(super) fn residual(expected: u32, moved: u64) -> Residual {
    let expected = u64::from(expected);
    let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    match moved.cmp(&expected) {
        std::cmp::Ordering::Equal => Residual::None,
        std::cmp::Ordering::Greater => Residual::Overflow(count(moved - expected)),
        std::cmp::Ordering::Less => Residual::Underflow(count(expected - moved)),
    }
}

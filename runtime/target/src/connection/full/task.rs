//! A SCSI command in progress.

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::Serial;
use vcp_iscsi_proto::pdu::Residual;

use crate::lun::{Cdb, LogicalUnit, Refusal};

/// A SCSI task.
pub(super) struct Task {
    pub(super) itt: u32,
    pub(super) lun: Lun,
    pub(super) cdb: Cdb,
    pub(super) cmd_sn: Serial,
    /// Whether it occupies a place in the command window.
    pub(super) counted: bool,
    /// The length that the initiator expects, in the direction of the command.
    pub(super) expected: u32,
    /// The length that the command itself would transfer.
    pub(super) wanted: u64,
    /// The unit, for commands that reach the medium.
    pub(super) unit: Option<Arc<LogicalUnit>>,
    /// The number of Data-Ins or R2Ts so far.
    pub(super) data_sn: u32,
    pub(super) work: Work,
}

/// The work that a task is waiting for.
pub(super) enum Work {
    /// Send read data, then status.
    Send(Sending),
    /// Fetch write data, then status.
    Receive(Receiving),
    /// Write these bytes to the medium once the delay is over, then send status.
    Land {
        /// The offset on the medium.
        offset: u64,
        bytes: Vec<u8>,
        fua: bool,
    },
    /// Send this result, once the delay is over.
    Respond(Result<(), Refusal>),
}

/// The state of a read.
pub(super) struct Sending {
    pub(super) source: Source,
    pub(super) sent: u32,
    /// The total length in bytes.
    pub(super) length: u32,
}

/// The source of read data.
pub(super) enum Source {
    /// From the medium, from this offset on.
    Medium(u64),
    /// From memory.
    Bytes(Vec<u8>),
}

/// The state of a write.
pub(super) struct Receiving {
    pub(super) sink: Sink,
    /// The number of bytes that are kept; the initiator may send more, which are dropped.
    pub(super) length: u32,
    /// The unsolicited sequence, while it is open.
    pub(super) unsolicited: Option<Sequence>,
    /// The offset up to which data has been asked for.
    pub(super) asked: u32,
    /// The R2Ts whose data has not all come.
    pub(super) r2ts: Vec<Sequence>,
    /// The error with which the command ends once the data under way has come.
    pub(super) failure: Option<Refusal>,
}

/// The destination of write data.
pub(super) enum Sink {
    /// To the medium, from this offset on.
    Medium { offset: u64, fua: bool },
    /// A delay, and then the medium.
    Later {
        offset: u64,
        bytes: Vec<u8>,
        fua: bool,
        delay: Duration,
    },
    /// A buffer for the command's parameters.
    Parameters(Vec<u8>),
    /// Nowhere: the command has failed, or takes no data.
    Nothing,
}

/// A run of Data-Outs: unsolicited, or the answer to one R2T.
pub(super) struct Sequence {
    /// The target transfer tag; reserved when unsolicited.
    pub(super) ttt: u32,
    /// The beginning and end in the command's data.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The number of bytes so far.
    pub(super) received: u32,
    /// The DataSN of the next PDU.
    pub(super) data_sn: u32,
}

impl Sink {
    /// The work for a delayed write, all of whose data has come.
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

    /// The destination of a write's data: the medium, unless a fault delays it.
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
    /// The residual of a success: the expected length against the length of the command
    /// (RFC 7143 §11.4.5).
    pub(super) fn residual(&self) -> Residual {
        residual(self.expected, self.wanted)
    }
}

/// The residual of a command that moves `moved` of `expected` bytes.
pub(super) fn residual(expected: u32, moved: u64) -> Residual {
    let expected = u64::from(expected);
    let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    match moved.cmp(&expected) {
        std::cmp::Ordering::Equal => Residual::None,
        std::cmp::Ordering::Greater => Residual::Overflow(count(moved - expected)),
        std::cmp::Ordering::Less => Residual::Underflow(count(expected - moved)),
    }
}

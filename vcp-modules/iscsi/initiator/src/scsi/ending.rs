//! The end of a command, for the log and for the code that decides what follows.

use core::fmt;

use vcp_iscsi_proto::pdu::{RejectReason, ResponseCode};
use vcp_iscsi_proto::scsi::{Sense, Status};

/// A target's answer at the end of a command. Displays with the standard's words and
/// numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A SCSI status, with sense data where there was any.
    Status(Status, Option<Sense>),
    /// A good status, but not all of the command's bytes were moved.
    Short {
        /// The target's status.
        status: Status,
        /// The number of bytes moved.
        moved: u32,
        /// The number of bytes expected.
        due: u32,
    },
    /// There is no status: the target failed (RFC 7143 §11.4.3).
    Failure(ResponseCode),
    /// The command was rejected (RFC 7143 §11.17).
    Rejected(RejectReason),
    /// The command was not answered, and aborted.
    Unanswered,
}

impl Ending {
    pub(crate) fn sense(&self) -> Option<&Sense> {
        match self {
            Self::Status(_, sense) => sense.as_ref(),
            _ => None,
        }
    }

    /// Whether another initiator's reservation was the reason.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Status(Status::ReservationConflict, _))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, sense) => {
                write!(f, "{status} ({:02X}h)", u8::from(*status))?;
                match sense {
                    Some(sense) => write!(f, ": {sense}"),
                    None if *status == Status::CheckCondition => f.write_str(" without sense data"),
                    None => Ok(()),
                }
            }
            Self::Short { status, moved, due } => {
                write!(
                    f,
                    "{status} ({:02X}h) with {moved} of {due} bytes moved",
                    u8::from(*status)
                )
            }
            Self::Failure(code) => {
                write!(f, "{code} (iSCSI response {:02X}h)", u8::from(*code))
            }
            Self::Rejected(reason) => {
                write!(f, "rejected: {reason} (reason {:02X}h)", u8::from(*reason))
            }
            Self::Unanswered => f.write_str("no answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use vcp_iscsi_proto::scsi::{Asc, SenseKey};

    use super::*;

    #[test]
    fn in_words_and_numbers() {
        let shown = |ending: Ending| format!("{ending}");
        let sense = Sense::new(SenseKey::NotReady, Asc::BECOMING_READY);
        assert_eq!(
            shown(Ending::Status(Status::CheckCondition, Some(sense))),
            "CHECK CONDITION (02h): NOT READY (2h): \
             logical unit is in process of becoming ready (04h/01h)"
        );
        assert_eq!(
            shown(Ending::Status(Status::CheckCondition, None)),
            "CHECK CONDITION (02h) without sense data"
        );
        assert_eq!(
            shown(Ending::Status(Status::ReservationConflict, None)),
            "RESERVATION CONFLICT (18h)"
        );
        assert_eq!(
            shown(Ending::Rejected(RejectReason::ProtocolError)),
            "rejected: protocol error (reason 04h)"
        );
        let short = Ending::Short {
            status: Status::Good,
            moved: 512,
            due: 8192,
        };
        assert_eq!(shown(short), "GOOD (00h) with 512 of 8192 bytes moved");
    }
}

//! The meaning of status and sense data for a command (SAM-5 §5.3, SPC-4 §4.5).

use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status as ScsiStatus};

use crate::block::Status;

/// The treatment of a command that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It succeeded, if every byte of it was moved.
    Good,
    /// It was not carried out, for a reason that is gone: retry at once.
    Again,
    /// As `Again`, and the logical unit has changed: survey it again.
    Changed,
    /// It was not carried out now: retry after a while. The target answers, so it may
    /// take as long as it likes; the caller decides how long requests wait.
    Later,
    /// As `Later`, and the target is overloaded: nothing else is sent meanwhile.
    Busy,
    /// As `Later`, and the logical unit has to be started (SBC-3, START STOP UNIT).
    Start,
    /// It was not carried out, for a reason on the way: retry on this session, then on
    /// another, then it has failed.
    Aborted,
    /// It was not carried out, and an earlier command, which was answered as done, has
    /// failed.
    Deferred,
    /// The logical unit does not support this command, or not with these fields.
    Unsupported,
    /// The range is beyond the end of the logical unit: a request's status for that
    /// depends on its operation.
    OutOfRange,
    /// It failed, and will fail again.
    Failed(Status),
}

/// Judges a command that the target completed.
pub(crate) fn judge(status: ScsiStatus, sense: Option<&Sense>) -> Verdict {
    match status {
        ScsiStatus::Good | ScsiStatus::ConditionMet => Verdict::Good,
        ScsiStatus::Busy | ScsiStatus::TaskSetFull | ScsiStatus::AcaActive => Verdict::Busy,
        ScsiStatus::TaskAborted => Verdict::Aborted,
        ScsiStatus::ReservationConflict => Verdict::Failed(Status::NotPermitted),
        ScsiStatus::CheckCondition => match sense {
            Some(sense) if sense.deferred => deferred(sense),
            Some(sense) => judge_sense(sense),
            None => Verdict::Failed(Status::IoError),
        },
        ScsiStatus::Other(_) => Verdict::Failed(Status::IoError),
    }
}

fn judge_sense(sense: &Sense) -> Verdict {
    match sense.key {
        SenseKey::NoSense | SenseKey::RecoveredError | SenseKey::Completed => Verdict::Good,
        SenseKey::UnitAttention => match sense.asc.0 {
            // The medium, the mode or capacity, or inquiry data or LUNs have changed.
            0x28 | 0x2a | 0x3f => Verdict::Changed,
            _ => Verdict::Again,
        },
        SenseKey::NotReady => not_ready(sense.asc),
        SenseKey::AbortedCommand => Verdict::Aborted,
        SenseKey::DataProtect => match sense.asc {
            Asc::SPACE_ALLOCATION_FAILED => Verdict::Failed(Status::NoSpace),
            _ => Verdict::Failed(Status::NotPermitted),
        },
        SenseKey::VolumeOverflow => Verdict::Failed(Status::NoSpace),
        SenseKey::IllegalRequest => match sense.asc.0 {
            0x20 if sense.asc == Asc::ACCESS_DENIED => Verdict::Failed(Status::NotPermitted),
            // These are invalid operation code, field in CDB, and field in parameter
            // list.
            0x20 | 0x24 | 0x26 => Verdict::Unsupported,
            0x21 if sense.asc == Asc(0x21, 0x00) => Verdict::OutOfRange,
            // The logical unit is not supported now, though it was there before.
            0x25 => Verdict::Failed(Status::IoError),
            // The target, not the request, is short of a resource.
            0x55 => Verdict::Failed(Status::IoError),
            _ => Verdict::Failed(Status::Invalid),
        },
        _ => Verdict::Failed(Status::IoError),
    }
}

/// Judges sense data of an earlier command, in place of an answer to this one, which was
/// not carried out (SPC-4 §4.5.7).
fn deferred(sense: &Sense) -> Verdict {
    match sense.key {
        SenseKey::NoSense | SenseKey::RecoveredError | SenseKey::Completed => Verdict::Again,
        _ => Verdict::Deferred,
    }
}

/// Judges NOT READY: most of its reasons end by themselves (SPC-4, annex E.2).
fn not_ready(asc: Asc) -> Verdict {
    match asc {
        Asc::INITIALIZING_REQUIRED => Verdict::Start,
        // The unit is becoming ready; an operation, format, rebuild or self-test is under
        // way; another path is the active one; space is being found; the unit is starting
        // or stopping; or it is sanitising, configuring, giving up or getting back part
        // of the medium.
        Asc(0x04, 0x01 | 0x04..=0x0c | 0x11 | 0x14 | 0x1a | 0x1b | 0x1d | 0x24 | 0x25) => {
            Verdict::Later
        }
        _ => Verdict::Failed(Status::IoError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: SenseKey, asc: u8, ascq: u8) -> Verdict {
        judge(
            ScsiStatus::CheckCondition,
            Some(&Sense::new(key, Asc(asc, ascq))),
        )
    }

    #[test]
    fn sense_maps_to_status() {
        use SenseKey::*;
        use Status::{Invalid, IoError, NoSpace, NotPermitted};
        for (key, asc, ascq, status) in [
            (DataProtect, 0x27, 0x00, NotPermitted),
            (DataProtect, 0x27, 0x02, NotPermitted),
            (DataProtect, 0x27, 0x07, NoSpace),
            (VolumeOverflow, 0x00, 0x00, NoSpace),
            (MediumError, 0x11, 0x00, IoError),
            (MediumError, 0x0c, 0x00, IoError),
            (HardwareError, 0x44, 0x00, IoError),
            (BlankCheck, 0x00, 0x00, IoError),
            (Miscompare, 0x1d, 0x00, IoError),
            (IllegalRequest, 0x20, 0x02, NotPermitted),
            (IllegalRequest, 0x21, 0x04, Invalid),
            (IllegalRequest, 0x25, 0x00, IoError),
            (IllegalRequest, 0x2c, 0x00, Invalid),
            (IllegalRequest, 0x55, 0x03, IoError),
        ] {
            let judged = check(key, asc, ascq);
            assert_eq!(
                judged,
                Verdict::Failed(status),
                "{key:?} {asc:#x} {ascq:#x}"
            );
        }
        assert_eq!(check(IllegalRequest, 0x21, 0x00), Verdict::OutOfRange);
        assert_eq!(check(IllegalRequest, 0x20, 0x00), Verdict::Unsupported);
        assert_eq!(check(IllegalRequest, 0x24, 0x00), Verdict::Unsupported);
        assert_eq!(check(RecoveredError, 0x17, 0x00), Verdict::Good);
        let conflict = judge(ScsiStatus::ReservationConflict, None);
        assert_eq!(conflict, Verdict::Failed(NotPermitted));
    }

    #[test]
    fn transient_conditions_are_tried_again() {
        use SenseKey::*;
        assert_eq!(check(UnitAttention, 0x29, 0x00), Verdict::Again);
        assert_eq!(check(UnitAttention, 0x2a, 0x09), Verdict::Changed);
        assert_eq!(check(UnitAttention, 0x3f, 0x0e), Verdict::Changed);
        for (asc, ascq) in [(0x47, 0x01), (0x0c, 0x0c), (0x80, 0x00)] {
            assert_eq!(check(AbortedCommand, asc, ascq), Verdict::Aborted);
        }
        for ascq in [0x01, 0x04, 0x0a, 0x0b, 0x0c, 0x14, 0x1b] {
            assert_eq!(check(NotReady, 0x04, ascq), Verdict::Later, "{ascq:#x}");
        }
        assert_eq!(check(NotReady, 0x04, 0x02), Verdict::Start);
        assert_eq!(
            check(NotReady, 0x04, 0x03),
            Verdict::Failed(Status::IoError)
        );
        assert_eq!(
            check(NotReady, 0x3a, 0x00),
            Verdict::Failed(Status::IoError)
        );
        assert_eq!(judge(ScsiStatus::Busy, None), Verdict::Busy);
        assert_eq!(judge(ScsiStatus::TaskSetFull, None), Verdict::Busy);
    }

    #[test]
    fn check_condition_without_sense_is_an_error() {
        assert_eq!(
            judge(ScsiStatus::CheckCondition, None),
            Verdict::Failed(Status::IoError)
        );
    }

    #[test]
    fn deferred_errors_are_not_swallowed() {
        for (key, verdict) in [
            (SenseKey::RecoveredError, Verdict::Again),
            (SenseKey::MediumError, Verdict::Deferred),
        ] {
            let mut sense = Sense::new(key, Asc(0, 0));
            sense.deferred = true;
            assert_eq!(judge(ScsiStatus::CheckCondition, Some(&sense)), verdict);
        }
    }
}

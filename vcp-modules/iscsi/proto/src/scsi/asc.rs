//! Additional sense codes (SPC-4 §4.5.6, annex E.2): those that block devices send,
//! with their names.

use core::fmt;

/// An additional sense code and its qualifier (ASC, ASCQ).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asc(pub u8, pub u8);

/// Defines named codes and the table behind [`Asc::name`].
macro_rules! named {
    ($($name:ident = ($asc:literal, $ascq:literal) => $text:literal,)+) => {
        impl Asc {
            $(
                #[doc = concat!("`", stringify!($asc), "`/`", stringify!($ascq), "`: ", $text, ".")]
                pub const $name: Self = Self($asc, $ascq);
            )+

            /// The code's meaning, if it is known here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                Some(match (self.0, self.1) {
                    $(($asc, $ascq) => $text,)+
                    _ => return None,
                })
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

named! {
    NONE = (0x00, 0x00) => "no additional sense information",
    WRITE_FAULT = (0x03, 0x00) => "peripheral device write fault",
    NOT_READY = (0x04, 0x00) => "logical unit not ready, cause not reportable",
    BECOMING_READY = (0x04, 0x01) => "logical unit is in process of becoming ready",
    INITIALIZING_REQUIRED = (0x04, 0x02) => "logical unit not ready, initializing command required",
    MANUAL_INTERVENTION = (0x04, 0x03) => "logical unit not ready, manual intervention required",
    FORMAT_IN_PROGRESS = (0x04, 0x04) => "logical unit not ready, format in progress",
    REBUILD_IN_PROGRESS = (0x04, 0x05) => "logical unit not ready, rebuild in progress",
    RECALCULATION_IN_PROGRESS = (0x04, 0x06) => "logical unit not ready, recalculation in progress",
    OPERATION_IN_PROGRESS = (0x04, 0x07) => "logical unit not ready, operation in progress",
    LONG_WRITE_IN_PROGRESS = (0x04, 0x08) => "logical unit not ready, long write in progress",
    SELF_TEST_IN_PROGRESS = (0x04, 0x09) => "logical unit not ready, self-test in progress",
    ASYMMETRIC_TRANSITION = (0x04, 0x0a) => "logical unit not accessible, asymmetric access state transition",
    TARGET_PORT_STANDBY = (0x04, 0x0b) => "logical unit not accessible, target port in standby state",
    TARGET_PORT_UNAVAILABLE = (0x04, 0x0c) => "logical unit not accessible, target port in unavailable state",
    SPACE_ALLOCATION_IN_PROGRESS = (0x04, 0x14) => "logical unit not ready, space allocation in progress",
    START_STOP_IN_PROGRESS = (0x04, 0x1a) => "logical unit not ready, start stop unit command in progress",
    SANITIZE_IN_PROGRESS = (0x04, 0x1b) => "logical unit not ready, sanitize in progress",
    CONFIGURATION_IN_PROGRESS = (0x04, 0x1d) => "logical unit not ready, configuration in progress",
    COMMUNICATION_FAILURE = (0x08, 0x00) => "logical unit communication failure",
    WRITE_ERROR = (0x0c, 0x00) => "write error",
    WRITE_REALLOCATION_FAILED = (0x0c, 0x02) => "write error, auto reallocation failed",
    UNEXPECTED_UNSOLICITED_DATA = (0x0c, 0x0c) => "write error, unexpected unsolicited data",
    NOT_ENOUGH_UNSOLICITED_DATA = (0x0c, 0x0d) => "write error, not enough unsolicited data",
    GUARD_CHECK_FAILED = (0x10, 0x01) => "logical block guard check failed",
    UNRECOVERED_READ_ERROR = (0x11, 0x00) => "unrecovered read error",
    READ_RETRIES_EXHAUSTED = (0x11, 0x01) => "read retries exhausted",
    PARAMETER_LIST_LENGTH = (0x1a, 0x00) => "parameter list length error",
    MISCOMPARE = (0x1d, 0x00) => "miscompare during verify operation",
    INVALID_OPCODE = (0x20, 0x00) => "invalid command operation code",
    ACCESS_DENIED = (0x20, 0x02) => "access denied, no access rights",
    LBA_OUT_OF_RANGE = (0x21, 0x00) => "logical block address out of range",
    INVALID_FIELD_IN_CDB = (0x24, 0x00) => "invalid field in CDB",
    LUN_NOT_SUPPORTED = (0x25, 0x00) => "logical unit not supported",
    INVALID_FIELD_IN_LIST = (0x26, 0x00) => "invalid field in parameter list",
    PARAMETER_NOT_SUPPORTED = (0x26, 0x01) => "parameter not supported",
    WRITE_PROTECTED = (0x27, 0x00) => "write protected",
    HARDWARE_WRITE_PROTECTED = (0x27, 0x01) => "hardware write protected",
    SOFTWARE_WRITE_PROTECTED = (0x27, 0x02) => "logical unit software write protected",
    SPACE_ALLOCATION_FAILED = (0x27, 0x07) => "space allocation failed write protect",
    MEDIUM_MAY_HAVE_CHANGED = (0x28, 0x00) => "not ready to ready change, medium may have changed",
    POWER_ON_OR_RESET = (0x29, 0x00) => "power on, reset, or bus device reset occurred",
    POWER_ON = (0x29, 0x01) => "power on occurred",
    BUS_RESET = (0x29, 0x02) => "SCSI bus reset occurred",
    DEVICE_RESET = (0x29, 0x03) => "bus device reset function occurred",
    INTERNAL_RESET = (0x29, 0x04) => "device internal reset",
    NEXUS_LOSS = (0x29, 0x07) => "I_T nexus loss occurred",
    MODE_PARAMETERS_CHANGED = (0x2a, 0x01) => "mode parameters changed",
    RESERVATIONS_PREEMPTED = (0x2a, 0x03) => "reservations preempted",
    RESERVATIONS_RELEASED = (0x2a, 0x04) => "reservations released",
    REGISTRATIONS_PREEMPTED = (0x2a, 0x05) => "registrations preempted",
    ASYMMETRIC_STATE_CHANGED = (0x2a, 0x06) => "asymmetric access state changed",
    CAPACITY_CHANGED = (0x2a, 0x09) => "capacity data has changed",
    COMMANDS_CLEARED = (0x2f, 0x00) => "commands cleared by another initiator",
    MEDIUM_FORMAT_CORRUPTED = (0x31, 0x00) => "medium format corrupted",
    THIN_PROVISIONING_THRESHOLD = (0x38, 0x07) => "thin provisioning soft threshold reached",
    SAVING_NOT_SUPPORTED = (0x39, 0x00) => "saving parameters not supported",
    MEDIUM_NOT_PRESENT = (0x3a, 0x00) => "medium not present",
    TARGET_CONDITIONS_CHANGED = (0x3f, 0x00) => "target operating conditions have changed",
    INQUIRY_CHANGED = (0x3f, 0x03) => "inquiry data has changed",
    LUNS_CHANGED = (0x3f, 0x0e) => "reported LUNs data has changed",
    INTERNAL_FAILURE = (0x44, 0x00) => "internal target failure",
    SCSI_PARITY_ERROR = (0x47, 0x00) => "SCSI parity error",
    PROTOCOL_CRC_ERROR = (0x47, 0x05) => "protocol service CRC error",
    COMMAND_PHASE_ERROR = (0x4a, 0x00) => "command phase error",
    DATA_PHASE_ERROR = (0x4b, 0x00) => "data phase error",
    OVERLAPPED_COMMANDS = (0x4e, 0x00) => "overlapped commands attempted",
    INSUFFICIENT_RESOURCES = (0x55, 0x03) => "insufficient resources",
    FAILURE_PREDICTION = (0x5d, 0x00) => "failure prediction threshold exceeded",
}

impl fmt::Display for Asc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().unwrap_or("additional sense code");
        write!(f, "{name} ({:02X}h/{:02X}h)", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name() {
        for (n, code) in Asc::ALL.iter().enumerate() {
            assert!(code.name().is_some());
            assert!(
                Asc::ALL[..n].iter().all(|other| other < code),
                "the table is sorted"
            );
        }
        assert_eq!(
            alloc::format!("{}", Asc(0x80, 0xff)),
            "additional sense code (80h/FFh)"
        );
    }
}

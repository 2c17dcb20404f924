//! Operation codes in words, for messages.

use core::fmt;

use super::op;

/// An operation code: byte 0 of a CDB. Displays with the command's name and the
/// number, as in `WRITE(10) 2Ah`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// The name of the command, if it is known here. Codes that a service action
    /// completes have the name of what this initiator means by them.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            op::TEST_UNIT_READY => "TEST UNIT READY",
            op::REQUEST_SENSE => "REQUEST SENSE",
            op::READ_6 => "READ(6)",
            op::WRITE_6 => "WRITE(6)",
            op::INQUIRY => "INQUIRY",
            op::MODE_SENSE_6 => "MODE SENSE(6)",
            op::START_STOP_UNIT => "START STOP UNIT",
            op::READ_CAPACITY_10 => "READ CAPACITY(10)",
            op::READ_10 => "READ(10)",
            op::WRITE_10 => "WRITE(10)",
            op::SYNCHRONIZE_CACHE_10 => "SYNCHRONIZE CACHE(10)",
            op::WRITE_SAME_10 => "WRITE SAME(10)",
            op::UNMAP => "UNMAP",
            op::MODE_SENSE_10 => "MODE SENSE(10)",
            op::READ_16 => "READ(16)",
            op::WRITE_16 => "WRITE(16)",
            op::SYNCHRONIZE_CACHE_16 => "SYNCHRONIZE CACHE(16)",
            op::WRITE_SAME_16 => "WRITE SAME(16)",
            op::SERVICE_ACTION_IN_16 => "READ CAPACITY(16)",
            op::REPORT_LUNS => "REPORT LUNS",
            op::READ_12 => "READ(12)",
            op::WRITE_12 => "WRITE(12)",
            _ => return None,
        })
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().unwrap_or("command");
        write!(f, "{name} {:02X}h", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words_and_numbers() {
        assert_eq!(alloc::format!("{}", Opcode(0x2a)), "WRITE(10) 2Ah");
        assert_eq!(alloc::format!("{}", Opcode(0xc1)), "command C1h");
    }
}

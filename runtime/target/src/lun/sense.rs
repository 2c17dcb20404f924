//! SCSI status and sense data (SPC-4 §4.5).

/// Status bytes (SAM-5 §5.3).
pub mod status {
    /// The command succeeded.
    pub const GOOD: u8 = 0x00;
    /// The command failed; sense data tells why.
    pub const CHECK_CONDITION: u8 = 0x02;
    /// The unit is busy: try again later.
    pub const BUSY: u8 = 0x08;
    /// The task set is full: try again when a task has ended.
    pub const TASK_SET_FULL: u8 = 0x28;
}

/// Sense data about a command. Built from the constants here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// Sense key, 0 to 15.
    pub key: u8,
    /// The additional sense code.
    pub code: u8,
    /// The additional sense code qualifier.
    pub qualifier: u8,
    /// The logical block concerned.
    pub information: Option<u64>,
}

impl Sense {
    /// Nothing to report.
    pub const NONE: Self = Self::new(0x0, 0x00, 0x00);
    /// Unrecovered read error.
    pub const READ_ERROR: Self = Self::new(0x3, 0x11, 0x00);
    /// Write error.
    pub const WRITE_ERROR: Self = Self::new(0x3, 0x0C, 0x00);
    /// The storage behind the unit failed.
    pub const INTERNAL_FAILURE: Self = Self::new(0x4, 0x44, 0x00);
    /// Parameter list length error.
    pub const PARAMETER_LIST_LENGTH: Self = Self::new(0x5, 0x1A, 0x00);
    /// Invalid command operation code.
    pub const INVALID_OPCODE: Self = Self::new(0x5, 0x20, 0x00);
    /// Logical block address out of range.
    pub const LBA_OUT_OF_RANGE: Self = Self::new(0x5, 0x21, 0x00);
    /// Invalid field in the CDB.
    pub const INVALID_FIELD_IN_CDB: Self = Self::new(0x5, 0x24, 0x00);
    /// Logical unit not supported.
    pub const NO_SUCH_UNIT: Self = Self::new(0x5, 0x25, 0x00);
    /// Invalid field in the parameter list.
    pub const INVALID_FIELD_IN_PARAMETERS: Self = Self::new(0x5, 0x26, 0x00);
    /// Saving parameters is not supported.
    pub const SAVING_NOT_SUPPORTED: Self = Self::new(0x5, 0x39, 0x00);
    /// Power on, reset, or bus device reset occurred.
    pub const POWER_ON: Self = Self::new(0x6, 0x29, 0x00);
    /// Bus device reset function occurred (a LOGICAL UNIT RESET by anyone).
    pub const UNIT_RESET: Self = Self::new(0x6, 0x29, 0x03);
    /// Capacity data has changed.
    pub const CAPACITY_CHANGED: Self = Self::new(0x6, 0x2A, 0x09);
    /// Write protected.
    pub const WRITE_PROTECTED: Self = Self::new(0x7, 0x27, 0x00);
    /// Space allocation failed, write protect: a thin unit is full.
    pub const SPACE_ALLOCATION_FAILED: Self = Self::new(0x7, 0x27, 0x07);
    /// Unexpected unsolicited data (RFC 7143 §11.4.7.2).
    pub const UNEXPECTED_UNSOLICITED_DATA: Self = Self::new(0xB, 0x0C, 0x0C);
    /// Incorrect amount of data (RFC 7143 §11.4.7.2).
    pub const INCORRECT_AMOUNT_OF_DATA: Self = Self::new(0xB, 0x0C, 0x0D);
    /// Protocol service CRC error (RFC 7143 §11.4.7.2).
    pub const CRC_ERROR: Self = Self::new(0xB, 0x47, 0x05);

    const fn new(key: u8, code: u8, qualifier: u8) -> Self {
        Self {
            key,
            code,
            qualifier,
            information: None,
        }
    }

    /// The sense with the address of a logical block.
    #[must_use]
    pub const fn at(mut self, lba: u64) -> Self {
        self.information = Some(lba);
        self
    }

    /// Fixed format (SPC-4 §4.5.3), 18 bytes. A block address that does not fit its four
    /// bytes is left out, as the format requires.
    #[must_use]
    pub fn to_fixed(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[0] = 0x70;
        bytes[2] = self.key;
        if let Some(lba) = self.information.and_then(|lba| u32::try_from(lba).ok()) {
            bytes[0] |= 0x80;
            bytes[3..7].copy_from_slice(&lba.to_be_bytes());
        }
        bytes[7] = 10;
        bytes[12] = self.code;
        bytes[13] = self.qualifier;
        bytes
    }

    /// Descriptor format (SPC-4 §4.5.2), with an information descriptor if there is a
    /// block address.
    #[must_use]
    pub fn to_descriptors(self) -> Vec<u8> {
        let mut bytes = vec![0x72, self.key, self.code, self.qualifier, 0, 0, 0, 0];
        if let Some(lba) = self.information {
            bytes[7] = 12;
            bytes.extend_from_slice(&[0x00, 10, 0x80, 0]);
            bytes.extend_from_slice(&lba.to_be_bytes());
        }
        bytes
    }
}

/// The end of a command that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// CHECK CONDITION with sense data.
    Check(Sense),
    /// BUSY.
    Busy,
    /// TASK SET FULL.
    TaskSetFull,
}

impl Refusal {
    /// The status byte.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Check(_) => status::CHECK_CONDITION,
            Self::Busy => status::BUSY,
            Self::TaskSetFull => status::TASK_SET_FULL,
        }
    }

    /// Sense data, fixed format where the block address fits it.
    #[must_use]
    pub fn sense(self) -> Vec<u8> {
        match self {
            Self::Check(sense) if sense.information.is_some_and(|lba| lba > u32::MAX.into()) => {
                sense.to_descriptors()
            }
            Self::Check(sense) => sense.to_fixed().to_vec(),
            Self::Busy | Self::TaskSetFull => Vec::new(),
        }
    }
}

impl From<Sense> for Refusal {
    fn from(sense: Sense) -> Self {
        Self::Check(sense)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_carries_a_small_address() {
        let bytes = Sense::READ_ERROR.at(0x0102_0304).to_fixed();
        assert_eq!(bytes[..8], [0xF0, 0, 3, 1, 2, 3, 4, 10]);
        assert_eq!(bytes[12..14], [0x11, 0]);
    }

    #[test]
    fn large_address_takes_descriptors() {
        let bytes = Refusal::Check(Sense::READ_ERROR.at(0x1_0000_0000)).sense();
        assert_eq!(bytes[..8], [0x72, 3, 0x11, 0, 0, 0, 0, 12]);
        assert_eq!(bytes[8..], [0, 10, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    }
}

//! Sense data: why a command ended with CHECK CONDITION (SPC-4 §4.5).

use alloc::vec::Vec;
use core::fmt;

use super::{Asc, CdbError};
use crate::error::Error;
use crate::field::{codes, put_u32, u32_at, u64_at};

codes! {
    /// Sense keys (SPC-4 §4.5.6).
    pub enum SenseKey {
        /// There is nothing to report.
        NoSense = 0x0 => "NO SENSE",
        /// The command succeeded, with the device's own recovery.
        RecoveredError = 0x1 => "RECOVERED ERROR",
        /// The logical unit can't be accessed.
        NotReady = 0x2 => "NOT READY",
        /// The medium has an error.
        MediumError = 0x3 => "MEDIUM ERROR",
        /// The hardware has an error.
        HardwareError = 0x4 => "HARDWARE ERROR",
        /// The command makes no sense to the device.
        IllegalRequest = 0x5 => "ILLEGAL REQUEST",
        /// The initiator should know of an event; the command wasn't begun.
        UnitAttention = 0x6 => "UNIT ATTENTION",
        /// The medium is write protected.
        DataProtect = 0x7 => "DATA PROTECT",
        /// Blank medium where data is expected, or the other way round.
        BlankCheck = 0x8 => "BLANK CHECK",
        /// A vendor's.
        VendorSpecific = 0x9 => "VENDOR SPECIFIC",
        /// A copy was aborted.
        CopyAborted = 0xa => "COPY ABORTED",
        /// The device aborted the command; it may be tried again.
        AbortedCommand = 0xb => "ABORTED COMMAND",
        /// Data is left that doesn't fit onto the medium.
        VolumeOverflow = 0xd => "VOLUME OVERFLOW",
        /// Data differs from the medium's.
        Miscompare = 0xe => "MISCOMPARE",
        /// Done, and there is something to say.
        Completed = 0xf => "COMPLETED",
    }
}

/// Sense data, of either format. Displays with its key, the meaning of its additional
/// sense code and the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// The error belongs to an earlier command.
    pub deferred: bool,
    /// Sense key; four bits.
    pub key: SenseKey,
    /// Additional sense code and its qualifier.
    pub asc: Asc,
    /// INFORMATION: for media errors, the first block that failed.
    pub information: Option<u64>,
}

impl Sense {
    /// Sense data of the current command.
    #[must_use]
    pub const fn new(key: SenseKey, asc: Asc) -> Self {
        Self {
            deferred: false,
            key,
            asc,
            information: None,
        }
    }

    /// Reads sense data, without the length that an iSCSI response puts before it. What
    /// a device leaves out, because its data is short, is zero.
    ///
    /// # Errors
    /// [`Error::Truncated`] when not even the key is there, [`Error::Field`] for a
    /// vendor's format.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        const CUT: Error = Error::Truncated("sense data");
        match data.first().ok_or(CUT)? & 0x7f {
            code @ (0x70 | 0x71) => Self::parse_fixed(code == 0x71, data).ok_or(CUT),
            code @ (0x72 | 0x73) => Self::parse_descriptor(code == 0x73, data).ok_or(CUT),
            _ => Err(Error::field("sense data", "RESPONSE CODE")),
        }
    }

    fn parse_fixed(deferred: bool, data: &[u8]) -> Option<Self> {
        let key = (data.get(2)? & 0x0f).into();
        // ADDITIONAL SENSE LENGTH says how much of what follows it is valid.
        let len = 8 + usize::from(data.get(7).copied().unwrap_or(0));
        let byte = |at: usize| data.get(at).copied().filter(|_| at < len).unwrap_or(0);
        let information = (data[0] & 0x80 != 0).then(|| data.get(3..7)).flatten();
        Some(Self {
            deferred,
            key,
            asc: Asc(byte(12), byte(13)),
            information: information.map(|b| u32_at(b, 0).into()),
        })
    }

    fn parse_descriptor(deferred: bool, data: &[u8]) -> Option<Self> {
        let key = (data.get(1)? & 0x0f).into();
        let byte = |at: usize| data.get(at).copied().unwrap_or(0);
        let mut rest = data.get(8..).unwrap_or_default();
        rest = &rest[..rest.len().min(usize::from(byte(7)))];
        let mut information = None;
        while let [kind, len, body @ ..] = rest {
            let Some((body, behind)) = body.split_at_checked(usize::from(*len)) else {
                break;
            };
            if *kind == INFORMATION && body.len() >= 10 && body[0] & 0x80 != 0 {
                information = Some(u64_at(body, 2));
            }
            rest = behind;
        }
        Some(Self {
            deferred,
            key,
            asc: Asc(byte(2), byte(3)),
            information,
        })
    }

    /// Writes 18 bytes of fixed format. Information that has more than 32 bits is left
    /// out.
    #[must_use]
    pub fn emit_fixed(&self) -> [u8; 18] {
        let mut b = [0; 18];
        b[0] = 0x70 | u8::from(self.deferred);
        b[2] = u8::from(self.key) & 0x0f;
        if let Some(information) = self.information.and_then(|i| u32::try_from(i).ok()) {
            b[0] |= 0x80;
            put_u32(&mut b, 3, information);
        }
        b[7] = 10;
        b[12] = self.asc.0;
        b[13] = self.asc.1;
        b
    }

    /// Writes descriptor format, with an information descriptor if there is any.
    #[must_use]
    pub fn emit_descriptor(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        let key = u8::from(self.key) & 0x0f;
        out.extend_from_slice(&[0x72 | u8::from(self.deferred), key, self.asc.0, self.asc.1]);
        out.extend_from_slice(&[0; 4]);
        if let Some(information) = self.information {
            out[7] = 12;
            out.extend_from_slice(&[INFORMATION, 10, 0x80, 0]);
            out.extend_from_slice(&information.to_be_bytes());
        }
        out
    }
}

/// Type of the information descriptor.
const INFORMATION: u8 = 0x00;

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.deferred {
            f.write_str("deferred ")?;
        }
        let key = u8::from(self.key);
        write!(f, "{} ({key:X}h): {}", self.key, self.asc)?;
        match self.information {
            Some(information) => write!(f, " at {information}"),
            None => Ok(()),
        }
    }
}

impl From<CdbError> for Sense {
    fn from(error: CdbError) -> Self {
        let asc = match error {
            CdbError::UnsupportedOpcode { .. } => Asc::INVALID_OPCODE,
            CdbError::InvalidField { .. } => Asc::INVALID_FIELD_IN_CDB,
        };
        Self::new(SenseKey::IllegalRequest, asc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fixed_format() {
        let data = [0xf0, 0, 3, 0, 0, 8, 1, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0];
        let sense = Sense::parse(&data).unwrap();
        assert_eq!(
            (sense.key, sense.asc),
            (SenseKey::MediumError, Asc::UNRECOVERED_READ_ERROR)
        );
        assert_eq!(sense.information, Some(0x801));
        assert_eq!(sense.emit_fixed(), data);
        assert_eq!(
            alloc::format!("{sense}"),
            "MEDIUM ERROR (3h): unrecovered read error (11h/00h) at 2049"
        );
    }

    #[test]
    fn short_data_is_read_as_far_as_it_goes() {
        let sense = Sense::parse(&[0x70, 0, 6]).unwrap();
        assert_eq!((sense.key, sense.asc), (SenseKey::UnitAttention, Asc(0, 0)));
        // The additional length ends before the code.
        let data = [0x70, 0, 6, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x29, 1];
        assert_eq!(Sense::parse(&data).unwrap().asc, Asc(0, 0));
        assert!(Sense::parse(&[]).is_err());
        assert!(Sense::parse(&[0x70, 0]).is_err());
        assert!(Sense::parse(&[0x72]).is_err());
        assert!(Sense::parse(&[0x7f, 0, 0, 0]).is_err());
    }

    #[test]
    fn descriptor_format() {
        let sense = Sense {
            deferred: true,
            information: Some(1 << 40),
            ..Sense::new(SenseKey::HardwareError, Asc(0x44, 0))
        };
        let data = sense.emit_descriptor();
        assert_eq!(data[..8], [0x73, 4, 0x44, 0, 0, 0, 0, 12]);
        assert_eq!(Sense::parse(&data), Ok(sense));
        // An unknown descriptor before it is skipped.
        let mut long = data[..8].to_vec();
        long[7] += 4;
        long.extend_from_slice(&[0x80, 2, 1, 2]);
        long.extend_from_slice(&data[8..]);
        assert_eq!(Sense::parse(&long), Ok(sense));
    }

    #[test]
    fn wide_information_doesnt_fit_the_fixed_format() {
        let sense = Sense {
            information: Some(1 << 32),
            ..Sense::new(SenseKey::MediumError, Asc::UNRECOVERED_READ_ERROR)
        };
        assert_eq!(Sense::parse(&sense.emit_fixed()).unwrap().information, None);
    }

    proptest! {
        #[test]
        fn round_trip(
            (deferred, asc, ascq) in any::<(bool, u8, u8)>(),
            (key, information) in (0u8..16, any::<Option<u32>>()),
        ) {
            let information = information.map(u64::from);
            let sense = Sense { deferred, key: key.into(), asc: Asc(asc, ascq), information };
            prop_assert_eq!(Sense::parse(&sense.emit_fixed()), Ok(sense));
            prop_assert_eq!(Sense::parse(&sense.emit_descriptor()), Ok(sense));
        }

        #[test]
        fn arbitrary_data(mut data: Vec<u8>, code in 0x70u8..0x74) {
            let _ = Sense::parse(&data);
            if let Some(first) = data.first_mut() {
                *first = code | *first & 0x80;
                if let Ok(sense) = Sense::parse(&data) {
                    let _ = alloc::format!("{sense}");
                }
            }
        }
    }
}

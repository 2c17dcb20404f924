//! Parsing of CDB bytes to a [`Command`].

use super::{CdbError, Command, LunSelection, ModeForm, PageControl, op};
use crate::field::{u16_at, u24_at, u32_at, u64_at};

impl Command {
    /// Parses a CDB, of which only the first 16 bytes matter.
    ///
    /// Group numbers and obsolete bits are ignored, protection information is refused:
    /// a device that is formatted with it isn't one of ours.
    ///
    /// # Errors
    /// [`CdbError`], which converts into the sense data that a device answers with.
    pub fn parse(cdb: &[u8; 16]) -> Result<Self, CdbError> {
        let opcode = cdb[0];
        let invalid = |byte| CdbError::InvalidField { opcode, byte };
        Ok(match opcode {
            op::TEST_UNIT_READY => Self::TestUnitReady,
            op::REQUEST_SENSE => Self::RequestSense {
                descriptor: cdb[1] & 1 != 0,
                alloc_len: cdb[4],
            },
            op::START_STOP_UNIT => start_stop_unit(cdb).map_err(invalid)?,
            op::INQUIRY => inquiry(cdb).ok_or(invalid(2))?,
            op::REPORT_LUNS => report_luns(cdb).map_err(invalid)?,
            op::MODE_SENSE_6 => mode_sense(cdb, ModeForm::Six, u16::from(cdb[4])),
            op::MODE_SENSE_10 => mode_sense(cdb, ModeForm::Ten, u16_at(cdb, 7)),
            op::READ_CAPACITY_10 => Self::ReadCapacity10,
            op::READ_6 => {
                let (lba, blocks) = short_range(cdb);
                Self::Read {
                    lba,
                    blocks,
                    fua: false,
                    dpo: false,
                }
            }
            op::WRITE_6 => {
                let (lba, blocks) = short_range(cdb);
                Self::Write {
                    lba,
                    blocks,
                    fua: false,
                    dpo: false,
                }
            }
            op::READ_10 | op::READ_12 | op::READ_16 => {
                let (lba, blocks) = range(cdb);
                let (fua, dpo) = access(cdb).ok_or(invalid(1))?;
                Self::Read {
                    lba,
                    blocks,
                    fua,
                    dpo,
                }
            }
            op::WRITE_10 | op::WRITE_12 | op::WRITE_16 => {
                let (lba, blocks) = range(cdb);
                let (fua, dpo) = access(cdb).ok_or(invalid(1))?;
                Self::Write {
                    lba,
                    blocks,
                    fua,
                    dpo,
                }
            }
            op::SYNCHRONIZE_CACHE_10 | op::SYNCHRONIZE_CACHE_16 => {
                let (lba, blocks) = range(cdb);
                Self::SynchronizeCache {
                    lba,
                    blocks,
                    immediate: cdb[1] & 0x02 != 0,
                }
            }
            op::UNMAP => Self::Unmap {
                anchor: cdb[1] & 1 != 0,
                list_len: u16_at(cdb, 7),
            },
            op::WRITE_SAME_10 | op::WRITE_SAME_16 => write_same(cdb).ok_or(invalid(1))?,
            op::SERVICE_ACTION_IN_16 => service_action(cdb)?,
            _ => return Err(CdbError::UnsupportedOpcode { opcode }),
        })
    }
}

/// A page code without EVPD is invalid (SPC-4 §6.6.1).
fn inquiry(cdb: &[u8; 16]) -> Option<Command> {
    let vpd = (cdb[1] & 1 != 0).then_some(cdb[2]);
    let alloc_len = u16_at(cdb, 3);
    (vpd.is_some() || cdb[2] == 0).then_some(Command::Inquiry { vpd, alloc_len })
}

/// Parses START STOP UNIT without loading or ejecting, and with the power conditions
/// active and stopped only.
fn start_stop_unit(cdb: &[u8]) -> Result<Command, u8> {
    match cdb[4] & !1 {
        0 => Ok(Command::StartStopUnit {
            start: cdb[4] & 1 != 0,
            immediate: cdb[1] & 1 != 0,
        }),
        _ => Err(4),
    }
}

fn report_luns(cdb: &[u8; 16]) -> Result<Command, u8> {
    let select = match cdb[2] {
        0 => LunSelection::Addressed,
        1 => LunSelection::WellKnown,
        2 => LunSelection::All,
        _ => return Err(2),
    };
    let alloc_len = u32_at(cdb, 6);
    if alloc_len < 16 {
        Err(6)
    } else {
        Ok(Command::ReportLuns { select, alloc_len })
    }
}

fn mode_sense(cdb: &[u8; 16], form: ModeForm, alloc_len: u16) -> Command {
    let control = match cdb[2] >> 6 {
        0 => PageControl::Current,
        1 => PageControl::Changeable,
        2 => PageControl::Default,
        _ => PageControl::Saved,
    };
    Command::ModeSense {
        form,
        no_block_descriptors: cdb[1] & 0x08 != 0,
        control,
        page: cdb[2] & 0x3f,
        subpage: cdb[3],
        alloc_len,
    }
}

/// LBA and length of a CDB of 6 bytes, where length 0 is 256.
fn short_range(cdb: &[u8; 16]) -> (u64, u32) {
    let lba = u24_at(cdb, 1) & 0x001f_ffff;
    let blocks = if cdb[4] == 0 { 256 } else { u32::from(cdb[4]) };
    (lba.into(), blocks)
}

/// LBA and length of a CDB of 10, 12 or 16 bytes, by its group code.
fn range(cdb: &[u8; 16]) -> (u64, u32) {
    match cdb[0] >> 5 {
        4 => (u64_at(cdb, 2), u32_at(cdb, 10)),
        5 => (u32_at(cdb, 2).into(), u32_at(cdb, 6)),
        _ => (u32_at(cdb, 2).into(), u16_at(cdb, 7).into()),
    }
}

/// FUA and DPO; `None` when protection information is asked for.
const fn access(cdb: &[u8; 16]) -> Option<(bool, bool)> {
    if cdb[1] >> 5 == 0 {
        Some((cdb[1] & 0x08 != 0, cdb[1] & 0x10 != 0))
    } else {
        None
    }
}

/// `None` when protection information is asked for, or ANCHOR without UNMAP.
fn write_same(cdb: &[u8; 16]) -> Option<Command> {
    let (lba, blocks) = range(cdb);
    let (unmap, anchor) = (cdb[1] & 0x08 != 0, cdb[1] & 0x10 != 0);
    let no_data = cdb[0] == op::WRITE_SAME_16 && cdb[1] & 0x01 != 0;
    let valid = cdb[1] >> 5 == 0 && (unmap || !anchor);
    valid.then_some(Command::WriteSame {
        lba,
        blocks,
        unmap,
        anchor,
        no_data,
    })
}

fn service_action(cdb: &[u8; 16]) -> Result<Command, CdbError> {
    match cdb[1] & 0x1f {
        op::READ_CAPACITY_16 => Ok(Command::ReadCapacity16 {
            alloc_len: u32_at(cdb, 10),
        }),
        op::GET_LBA_STATUS => Ok(Command::GetLbaStatus {
            lba: u64_at(cdb, 2),
            alloc_len: u32_at(cdb, 10),
        }),
        _ => Err(CdbError::InvalidField {
            opcode: cdb[0],
            byte: 1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Command, CdbError> {
        let mut cdb = [0; 16];
        cdb[..bytes.len()].copy_from_slice(bytes);
        Command::parse(&cdb)
    }

    #[test]
    fn short_and_long_reads() {
        let read = |lba, blocks| {
            Ok(Command::Read {
                lba,
                blocks,
                fua: false,
                dpo: false,
            })
        };
        assert_eq!(parse(&[0x08, 0xff, 0xff, 0xfe, 0]), read(0x1f_fffe, 256));
        assert_eq!(parse(&[0x28, 0, 0, 0, 8, 0, 0, 0, 9]), read(0x800, 9));
        assert_eq!(
            parse(&[0xa8, 0, 0, 0, 8, 0, 1, 0, 0, 0]),
            read(0x800, 0x0100_0000)
        );
        let sixteen = [0x88, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3];
        assert_eq!(parse(&sixteen), read(0x0100_0000_0000_0002, 3));
    }

    #[test]
    fn writes_with_fua() {
        let write = Command::Write {
            lba: 1,
            blocks: 2,
            fua: true,
            dpo: false,
        };
        assert_eq!(parse(&[0x2a, 0x08, 0, 0, 0, 1, 0, 0, 2]), Ok(write));
        assert_eq!(parse(&[0xaa, 0x08, 0, 0, 0, 1, 0, 0, 0, 2]), Ok(write));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let invalid = |opcode, byte| Err(CdbError::InvalidField { opcode, byte });
        assert_eq!(
            parse(&[0x2a, 0x20]),
            invalid(0x2a, 1),
            "protection information"
        );
        assert_eq!(
            parse(&[0x12, 0, 0x83]),
            invalid(0x12, 2),
            "page without EVPD"
        );
        assert_eq!(parse(&[0xa0, 0, 9]), invalid(0xa0, 2), "selection");
        assert_eq!(parse(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 15]), invalid(0xa0, 6));
        assert_eq!(
            parse(&[0x93, 0x10]),
            invalid(0x93, 1),
            "ANCHOR without UNMAP"
        );
        assert_eq!(parse(&[0x9e, 0x11]), invalid(0x9e, 1), "service action");
        assert_eq!(
            parse(&[0xff]),
            Err(CdbError::UnsupportedOpcode { opcode: 0xff })
        );
    }

    proptest! {
        /// A command that was parsed means the same after it is encoded again.
        #[test]
        fn understanding_is_stable(cdb: [u8; 16], opcode in prop::sample::select(
            &[0u8, 3, 8, 0x0a, 0x12, 0x1a, 0x25, 0x28, 0x2a, 0x35, 0x41, 0x42, 0x5a, 0x88, 0x8a,
              0x91, 0x93, 0x9e, 0xa0, 0xa8, 0xaa][..]
        )) {
            let cdb = [&[opcode], &cdb[1..]].concat().try_into().unwrap();
            if let Ok(command) = Command::parse(&cdb) {
                prop_assert_eq!(Command::parse(&command.emit()), Ok(command));
            }
        }
    }
}

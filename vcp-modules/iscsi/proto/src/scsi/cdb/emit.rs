//! Encoding of a [`Command`] as CDB bytes.

use super::{Command, LunSelection, ModeForm, op};
use crate::field::{put_u16, put_u32, put_u64};

impl Command {
    /// Writes the CDB, filled with zeros to 16 bytes. Reads, writes, SYNCHRONIZE CACHE
    /// and WRITE SAME take the form of 10 bytes where LBA and length fit, else 16.
    #[must_use]
    pub fn emit(&self) -> [u8; 16] {
        let mut cdb = [0; 16];
        match *self {
            Self::TestUnitReady => cdb[0] = op::TEST_UNIT_READY,
            Self::RequestSense {
                descriptor,
                alloc_len,
            } => {
                cdb[0] = op::REQUEST_SENSE;
                cdb[1] = descriptor.into();
                cdb[4] = alloc_len;
            }
            Self::Inquiry { vpd, alloc_len } => {
                cdb[0] = op::INQUIRY;
                cdb[1] = vpd.is_some().into();
                cdb[2] = vpd.unwrap_or(0);
                put_u16(&mut cdb, 3, alloc_len);
            }
            Self::ReportLuns { select, alloc_len } => {
                cdb[0] = op::REPORT_LUNS;
                cdb[2] = match select {
                    LunSelection::Addressed => 0,
                    LunSelection::WellKnown => 1,
                    LunSelection::All => 2,
                };
                put_u32(&mut cdb, 6, alloc_len);
            }
            Self::ModeSense {
                form,
                no_block_descriptors,
                control,
                page,
                subpage,
                alloc_len,
            } => {
                cdb[1] = if no_block_descriptors { 0x08 } else { 0 };
                cdb[2] = (control as u8) << 6 | page & 0x3f;
                cdb[3] = subpage;
                match form {
                    ModeForm::Six => {
                        cdb[0] = op::MODE_SENSE_6;
                        cdb[4] = alloc_len.min(255) as u8;
                    }
                    ModeForm::Ten => {
                        cdb[0] = op::MODE_SENSE_10;
                        put_u16(&mut cdb, 7, alloc_len);
                    }
                }
            }
            Self::StartStopUnit { start, immediate } => {
                cdb[0] = op::START_STOP_UNIT;
                cdb[1] = immediate.into();
                cdb[4] = start.into();
            }
            Self::ReadCapacity10 => cdb[0] = op::READ_CAPACITY_10,
            Self::ReadCapacity16 { alloc_len } => {
                service_action(&mut cdb, op::READ_CAPACITY_16, 0, alloc_len);
            }
            Self::Read {
                lba,
                blocks,
                fua,
                dpo,
            } => {
                range(&mut cdb, op::READ_10, op::READ_16, lba, blocks, false);
                cdb[1] = access(fua, dpo);
            }
            Self::Write {
                lba,
                blocks,
                fua,
                dpo,
            } => {
                range(&mut cdb, op::WRITE_10, op::WRITE_16, lba, blocks, false);
                cdb[1] = access(fua, dpo);
            }
            Self::SynchronizeCache {
                lba,
                blocks,
                immediate,
            } => {
                let (short, long) = (op::SYNCHRONIZE_CACHE_10, op::SYNCHRONIZE_CACHE_16);
                range(&mut cdb, short, long, lba, blocks, false);
                cdb[1] = if immediate { 0x02 } else { 0 };
            }
            Self::Unmap { anchor, list_len } => {
                cdb[0] = op::UNMAP;
                cdb[1] = anchor.into();
                put_u16(&mut cdb, 7, list_len);
            }
            Self::WriteSame {
                lba,
                blocks,
                unmap,
                anchor,
                no_data,
            } => {
                range(
                    &mut cdb,
                    op::WRITE_SAME_10,
                    op::WRITE_SAME_16,
                    lba,
                    blocks,
                    no_data,
                );
                cdb[1] = u8::from(anchor) << 4 | u8::from(unmap) << 3 | u8::from(no_data);
            }
            Self::GetLbaStatus { lba, alloc_len } => {
                service_action(&mut cdb, op::GET_LBA_STATUS, lba, alloc_len);
            }
        }
        cdb
    }
}

fn access(fua: bool, dpo: bool) -> u8 {
    u8::from(dpo) << 4 | u8::from(fua) << 3
}

/// Operation code, LBA and length, in 10 bytes if they fit and `long_only` isn't set.
fn range(cdb: &mut [u8; 16], short: u8, long: u8, lba: u64, blocks: u32, long_only: bool) {
    match (u32::try_from(lba), u16::try_from(blocks)) {
        (Ok(lba), Ok(blocks)) if !long_only => {
            cdb[0] = short;
            put_u32(cdb, 2, lba);
            put_u16(cdb, 7, blocks);
        }
        _ => {
            cdb[0] = long;
            put_u64(cdb, 2, lba);
            put_u32(cdb, 10, blocks);
        }
    }
}

fn service_action(cdb: &mut [u8; 16], action: u8, lba: u64, alloc_len: u32) {
    cdb[0] = op::SERVICE_ACTION_IN_16;
    cdb[1] = action;
    put_u64(cdb, 2, lba);
    put_u32(cdb, 10, alloc_len);
}

#[cfg(test)]
mod tests {
    use super::super::PageControl;
    use super::*;

    fn starts_with(command: Command, expected: &[u8]) {
        let cdb = command.emit();
        assert_eq!(&cdb[..expected.len()], expected);
        assert!(cdb[expected.len()..].iter().all(|&b| b == 0));
        assert_eq!(Command::parse(&cdb), Ok(command));
    }

    #[test]
    fn ten_bytes_where_they_suffice() {
        let read = |lba, blocks| Command::Read {
            lba,
            blocks,
            fua: true,
            dpo: false,
        };
        starts_with(
            read(0xffff_ffff, 0xffff),
            &[0x28, 8, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff],
        );
        starts_with(
            read(1 << 32, 1),
            &[0x88, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        );
        starts_with(
            read(0, 0x1_0000),
            &[0x88, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        );
        let flush = Command::SynchronizeCache {
            lba: 0,
            blocks: 0,
            immediate: false,
        };
        starts_with(flush, &[0x35]);
    }

    #[test]
    fn layouts() {
        let inquiry = Command::Inquiry {
            vpd: Some(0xb0),
            alloc_len: 0x1234,
        };
        starts_with(inquiry, &[0x12, 1, 0xb0, 0x12, 0x34]);
        let luns = Command::ReportLuns {
            select: LunSelection::All,
            alloc_len: 8192,
        };
        starts_with(luns, &[0xa0, 0, 2, 0, 0, 0, 0, 0, 0x20]);
        starts_with(Command::ReadCapacity16 { alloc_len: 32 }, &{
            let mut cdb = [0; 14];
            (cdb[0], cdb[1], cdb[13]) = (0x9e, 0x10, 32);
            cdb
        });
        starts_with(
            Command::Unmap {
                anchor: false,
                list_len: 24,
            },
            &[0x42, 0, 0, 0, 0, 0, 0, 0, 24],
        );
        let mode = |form, alloc_len| Command::ModeSense {
            form,
            no_block_descriptors: true,
            control: PageControl::Current,
            page: 8,
            subpage: 0,
            alloc_len,
        };
        starts_with(mode(ModeForm::Six, 255), &[0x1a, 8, 8, 0, 255]);
        starts_with(mode(ModeForm::Ten, 256), &[0x5a, 8, 8, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn write_same_without_data_takes_sixteen_bytes() {
        let command = Command::WriteSame {
            lba: 1,
            blocks: 2,
            unmap: true,
            anchor: false,
            no_data: true,
        };
        starts_with(command, &[0x93, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
    }
}

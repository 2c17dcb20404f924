//! Commands against a unit, as a transport would issue them.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::*;
use crate::disk::SparseMemory;

const NEXUS: Nexus = 1;

fn unit_with(size: u64, change: impl FnOnce(&mut UnitOptions)) -> Arc<LogicalUnit> {
    let mut options = UnitOptions {
        attention_on_login: false,
        ..UnitOptions::default()
    };
    change(&mut options);
    let unit = LogicalUnit::new(Box::new(SparseMemory::new(size)), options).unwrap();
    unit.attach(NEXUS);
    Arc::new(unit)
}

fn unit() -> Arc<LogicalUnit> {
    unit_with(1 << 20, |_| ())
}

fn cdb(bytes: &[u8]) -> Cdb {
    let mut cdb = [0; 16];
    cdb[..bytes.len()].copy_from_slice(bytes);
    cdb
}

fn start(unit: &LogicalUnit, bytes: &[u8]) -> Result<Action, Refusal> {
    unit.start(NEXUS, &cdb(bytes))
}

fn data(unit: &LogicalUnit, bytes: &[u8]) -> Vec<u8> {
    match start(unit, bytes) {
        Ok(Action::Data(data)) => data,
        other => panic!("{other:?}"),
    }
}

fn sense(result: Result<Action, Refusal>) -> Sense {
    match result {
        Err(Refusal::Check(sense)) => sense,
        other => panic!("{other:?}"),
    }
}

fn vpd(unit: &LogicalUnit, page: u8) -> Vec<u8> {
    let data = data(unit, &[opcode::INQUIRY, 1, page, 1, 0, 0]);
    assert_eq!(data[1], page);
    assert_eq!(
        usize::from(u16::from_be_bytes([data[2], data[3]])),
        data.len() - 4
    );
    data[4..].to_vec()
}

fn contents(unit: &LogicalUnit, offset: u64, length: usize) -> Vec<u8> {
    let mut out = vec![];
    unit.read(offset, length, &mut out).unwrap();
    out
}

#[test]
fn inquiry_names_the_device() {
    let data = data(&unit(), &[opcode::INQUIRY, 0, 0, 0, 255, 0]);
    assert_eq!(data.len(), usize::from(data[4]) + 5);
    assert_eq!(data[0], 0);
    assert_eq!(&data[8..32], b"VCP     VIRTUAL-DISK    ");
    let short = self::data(&unit(), &[opcode::INQUIRY, 0, 0, 0, 5, 0]);
    assert_eq!(short, data[..5]);
    let bad_page = start(&unit(), &[opcode::INQUIRY, 0, 0x80, 0, 255, 0]);
    assert_eq!(sense(bad_page), Sense::INVALID_FIELD_IN_CDB);
}

#[test]
fn vital_product_data() {
    let unit = unit_with(1 << 20, |o| o.block_size = 4096);
    let pages = vpd(&unit, 0);
    for page in &pages {
        vpd(&unit, *page);
    }
    assert!(!pages.contains(&0x84));
    assert_eq!(
        sense(start(&unit, &[opcode::INQUIRY, 1, 0x84, 0, 255, 0])),
        Sense::INVALID_FIELD_IN_CDB
    );
    assert_eq!(vpd(&unit, 0x80), b"0000000000000001");
    let names = vpd(&unit, 0x83);
    assert_eq!((names[1] & 0x0F, names[3], names[4] >> 4), (3, 8, 3));
    let limits = vpd(&unit, 0xB0);
    assert_eq!(limits[4..8], ((32 << 20) / 4096_u32).to_be_bytes());
    assert_eq!(limits[32..40], ((128 << 20) / 4096_u64).to_be_bytes());
    assert_eq!(vpd(&unit, 0xB2), [0, 0xE4, 2, 0]);
    assert_eq!(
        vpd(&unit_with(1 << 20, |o| o.thin = false), 0xB2),
        [0, 0, 1, 0]
    );
}

#[test]
fn capacity_of_large_and_small() {
    let small = data(&unit(), &[opcode::READ_CAPACITY_10]);
    assert_eq!(small, [0, 0, 7, 0xFF, 0, 0, 2, 0]);
    let large = unit_with(3 << 40, |_| ());
    assert_eq!(data(&large, &[opcode::READ_CAPACITY_10])[..4], [0xFF; 4]);
    let long = data(&large, &[0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32]);
    assert_eq!(long[..8], ((3_u64 << 40) / 512 - 1).to_be_bytes());
    assert_eq!((long.len(), long[14]), (32, 0xC0));
}

#[test]
fn reads_and_writes_name_bytes() {
    let unit = unit();
    let write = start(&unit, &[opcode::WRITE_10, 8, 0, 0, 0, 2, 0, 0, 3, 0]);
    assert_eq!(
        write,
        Ok(Action::Write {
            offset: 1024,
            length: 1536,
            fua: true
        })
    );
    let read = start(&unit, &[opcode::READ_6, 0, 0, 7, 1, 0]);
    assert_eq!(
        read,
        Ok(Action::Read {
            offset: 3584,
            length: 512
        })
    );
    let none = start(&unit, &[opcode::READ_10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        none,
        Ok(Action::Read {
            offset: 0,
            length: 0
        })
    );
}

#[test]
fn bad_commands_get_their_sense() {
    let unit = unit();
    let beyond = start(&unit, &[opcode::READ_10, 0, 0, 0, 8, 0, 0, 0, 1, 0]);
    assert_eq!(sense(beyond), Sense::LBA_OUT_OF_RANGE);
    let protected = start(&unit, &[opcode::READ_10, 0x20, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(sense(protected), Sense::INVALID_FIELD_IN_CDB);
    assert_eq!(sense(start(&unit, &[0xC1])), Sense::INVALID_OPCODE);
    assert_eq!(
        sense(start(&unit, &[0x9E, 0x1F])),
        Sense::INVALID_FIELD_IN_CDB
    );
    let large = unit_with(1 << 30, |o| o.max_transfer = 1 << 20);
    let too_long = start(&large, &[opcode::READ_10, 0, 0, 0, 0, 0, 0, 8, 1, 0]);
    assert_eq!(sense(too_long), Sense::INVALID_FIELD_IN_CDB);
}

#[test]
fn read_only_refuses_every_way_of_writing() {
    let unit = unit_with(1 << 20, |o| o.read_only = true);
    let writes: [&[u8]; 4] = [
        &[opcode::WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[opcode::UNMAP, 0, 0, 0, 0, 0, 0, 0, 24, 0],
        &[opcode::WRITE_SAME_10, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[opcode::WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ];
    for write in writes {
        assert_eq!(sense(start(&unit, write)), Sense::WRITE_PROTECTED);
    }
    assert_eq!(
        data(&unit, &[opcode::MODE_SENSE_6, 0, 0x3F, 0, 255, 0])[2],
        0x90
    );
}

#[test]
fn mode_pages() {
    let unit = unit();
    let six = data(&unit, &[opcode::MODE_SENSE_6, 8, 0x08, 0, 255, 0]);
    assert_eq!((six.len(), usize::from(six[0]) + 1), (24, 24));
    assert_eq!(six[..7], [23, 0, 0x10, 0, 0x08, 18, 0x04]);
    let ten = data(
        &unit,
        &[opcode::MODE_SENSE_10, 0, 0x3F, 0, 0, 0, 0, 1, 0, 0],
    );
    assert_eq!(
        usize::from(u16::from_be_bytes([ten[0], ten[1]])) + 2,
        ten.len()
    );
    assert_eq!(ten[8..16], [0, 0, 8, 0, 0, 0, 2, 0]);
    let changeable = data(&unit, &[opcode::MODE_SENSE_6, 8, 0x48, 0, 255, 0]);
    assert!(changeable[6..].iter().all(|&b| b == 0));
    let saved = start(&unit, &[opcode::MODE_SENSE_6, 8, 0xC8, 0, 255, 0]);
    assert_eq!(sense(saved), Sense::SAVING_NOT_SUPPORTED);
    let unknown = start(&unit, &[opcode::MODE_SENSE_6, 8, 0x01, 0, 255, 0]);
    assert_eq!(sense(unknown), Sense::INVALID_FIELD_IN_CDB);
}

fn unmap_list(runs: &[(u64, u32)]) -> Vec<u8> {
    let length = runs.len() as u16 * 16;
    let mut list = (length + 6).to_be_bytes().to_vec();
    list.extend_from_slice(&length.to_be_bytes());
    list.extend_from_slice(&[0; 4]);
    for (lba, count) in runs {
        list.extend_from_slice(&lba.to_be_bytes());
        list.extend_from_slice(&count.to_be_bytes());
        list.extend_from_slice(&[0; 4]);
    }
    list
}

#[test]
fn unmap_forgets_runs() {
    let unit = unit();
    unit.write(0, &[9; 4096]).unwrap();
    let command = cdb(&[opcode::UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0]);
    assert_eq!(
        unit.start(NEXUS, &command),
        Ok(Action::Parameters { length: 40 })
    );
    unit.finish(&command, &unmap_list(&[(0, 1), (3, 2)]))
        .unwrap();
    let bytes = contents(&unit, 0, 4096);
    let zero = |block: usize| bytes[block * 512..][..512].iter().all(|&b| b == 0);
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(zero),
        [true, false, false, true, true, false]
    );
    let beyond = unit.finish(&command, &unmap_list(&[(1, 1), (2047, 2)]));
    assert_eq!(beyond, Err(Sense::LBA_OUT_OF_RANGE.into()));
    assert_ne!(
        contents(&unit, 512, 1),
        [0],
        "nothing is unmapped when one run is bad"
    );
    let short = start(&unit, &[opcode::UNMAP, 0, 0, 0, 0, 0, 0, 0, 7, 0]);
    assert_eq!(sense(short), Sense::PARAMETER_LIST_LENGTH);
}

#[test]
fn write_same_repeats_a_block() {
    let unit = unit_with(8 << 20, |_| ());
    let command = cdb(&[
        opcode::WRITE_SAME_16,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        0x20,
        1,
    ]);
    assert_eq!(
        unit.start(NEXUS, &command),
        Ok(Action::Parameters { length: 512 })
    );
    let block: Vec<u8> = (0..512).map(|n| n as u8).collect();
    unit.finish(&command, &block).unwrap();
    assert!(
        contents(&unit, 512, 0x2001 * 512 - 512)
            .chunks(512)
            .take(0x2001)
            .all(|c| c == block)
    );
    assert_eq!(contents(&unit, 0, 512), [0; 512]);
    assert_eq!(contents(&unit, 512 * 0x2002, 512), [0; 512]);
    let unmap = [opcode::WRITE_SAME_16, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1];
    assert_eq!(start(&unit, &unmap), Ok(Action::Good));
    assert_eq!(contents(&unit, 1024, 512), [0; 512]);
    assert_eq!(contents(&unit, 1536, 512), block);
    let none = [opcode::WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
    assert_eq!(sense(start(&unit, &none)), Sense::INVALID_FIELD_IN_CDB);
}

#[test]
fn lba_status_shows_holes() {
    let unit = unit_with(3 << 40, |_| ());
    unit.write(1 << 20, &[1; 512]).unwrap();
    let bytes = data(&unit, &[0x9E, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    let extent = |n: usize| {
        let bytes = &bytes[8 + 16 * n..][..16];
        (
            u32::from_be_bytes(bytes[8..12].try_into().unwrap()),
            bytes[12],
        )
    };
    assert_eq!(
        [extent(0), extent(1), extent(2)],
        [(2048, 1), (128, 0), (u32::MAX, 1)]
    );
}

#[test]
fn attentions_come_once_per_nexus() {
    let unit = unit_with(1 << 20, |o| o.attention_on_login = true);
    assert!(start(&unit, &[opcode::INQUIRY, 0, 0, 0, 36, 0]).is_ok());
    assert_eq!(sense(start(&unit, &[0])), Sense::POWER_ON);
    assert_eq!(start(&unit, &[0]), Ok(Action::Good));
    unit.attach(2);
    unit.raise_attention(Sense::UNIT_RESET, Some(2));
    let sensed = data(&unit, &[opcode::REQUEST_SENSE, 0, 0, 0, 252, 0]);
    assert_eq!((sensed[2], sensed[12], sensed[13]), (6, 0x29, 3));
    assert_eq!(start(&unit, &[0]), Ok(Action::Good));
    assert_eq!(unit.start(2, &cdb(&[0])), Err(Sense::POWER_ON.into()));
    assert_eq!(unit.start(2, &cdb(&[0])), Ok(Action::Good));
}

#[test]
fn faults_hit() {
    let unit = unit();
    unit.set_faults(Faults {
        medium_errors: vec![10..12, 5..6],
        busy_every: NonZeroU32::new(3),
        ..Faults::default()
    });
    let read = |lba, n| start(&unit, &[opcode::READ_10, 0, 0, 0, 0, lba, 0, 0, n, 0]);
    assert_eq!(sense(read(4, 10)), Sense::READ_ERROR.at(5));
    assert!(read(6, 4).is_ok());
    assert_eq!(read(0, 1), Err(Refusal::Busy));
    assert_eq!(sense(read(11, 3)), Sense::READ_ERROR.at(11));
}

#[test]
fn absent_units_are_reported_absent() {
    let mut node = Node::default();
    node.insert(1, unit());
    node.insert(300, unit());
    let Ok(Action::Data(luns)) = node.start(
        NEXUS,
        0,
        &cdb(&[opcode::REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ) else {
        panic!()
    };
    assert_eq!(
        luns,
        [
            0, 0, 0, 16, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x41, 0x2C, 0, 0, 0, 0, 0, 0
        ]
    );
    assert!(node.unit(1 << 48).is_some() && node.unit(0x412C << 48).is_some());
    assert!(node.unit(0).is_none() && node.unit(1).is_none() && node.unit(1 << 48 | 1).is_none());
    assert_eq!(
        node.start(NEXUS, 0, &cdb(&[0])),
        Err(Sense::NO_SUCH_UNIT.into())
    );
    let inquiry = node.start(NEXUS, 0, &cdb(&[opcode::INQUIRY, 0, 0, 0, 36, 0]));
    assert!(matches!(inquiry, Ok(Action::Data(d)) if d[0] == 0x7F));
}

#[test]
fn sizes_must_fit() {
    let new = |size, block_size| {
        let options = UnitOptions {
            block_size,
            ..UnitOptions::default()
        };
        LogicalUnit::new(Box::new(SparseMemory::new(size)), options)
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(new(1 << 20, 520), UnitError::BlockSize(520));
    assert_eq!(
        new(4608, 4096),
        UnitError::Size {
            size: 4608,
            block_size: 4096
        }
    );
    assert_eq!(
        new(0, 512),
        UnitError::Size {
            size: 0,
            block_size: 512
        }
    );
}

//! The table against a model device: requests of any shape, completed in any
//! order, with the VCP dying in between.

mod clock;
mod extents;
mod overlap;
mod properties;
mod suspect;
mod turns;

use crate::area::{Area, Loan};
use crate::block::{Geometry, Modifiers, Operation, Status};
use crate::client::ClientRequest;
use crate::extent::{EXTENT, Extent};
use crate::table::{Blame, ClientId, Data, Finished, Limits, Source, Table, Violation};

const SIZE: usize = 64 << 10;

pub(crate) fn geometry() -> Geometry {
    Geometry {
        size: SIZE as u64,
        block_size: 512,
        preferred_block_size: 4096,
        max_transfer: 4096,
        max_discard: 8192,
        max_write_zeroes: 8192,
        extents: true,
        read_only: false,
        write_cache: true,
        identity: String::new(),
    }
}

fn request(cookie: u64, operation: Operation, offset: u64, length: u32) -> ClientRequest {
    let write = operation == Operation::Write;
    ClientRequest {
        cookie,
        operation,
        modifiers: Modifiers::default(),
        offset,
        length,
        payload: if write {
            vec![cookie as u8; length as usize]
        } else {
            Vec::new()
        },
    }
}

/// A VCP in its simplest form: entries wait in it until they are completed.
struct Device {
    contents: Vec<u8>,
    memory: Vec<u8>,
    area: Area,
    entries: Vec<crate::table::Entry>,
}

impl Device {
    fn new() -> Self {
        Self {
            contents: vec![0xee; SIZE],
            memory: vec![0; 64 << 10],
            area: Area::new(0, 64 << 10),
            entries: Vec::new(),
        }
    }

    fn take_all(&mut self, table: &mut Table) {
        while let Some((entry, source)) = table.next(&mut self.area) {
            assert_eq!((entry.offset % 512, entry.length % 512), (0, 0));
            assert!(entry.offset + u64::from(entry.length) <= SIZE as u64);
            let limit = match entry.operation {
                Operation::Read | Operation::Write => 4096,
                _ => 8192,
            };
            assert!(entry.length <= limit);
            if let Some(loan) = entry.loan {
                let room = &mut self.memory[range(loan)];
                match source {
                    Source::Bytes(bytes) => room.copy_from_slice(bytes),
                    Source::Zeroes => room.fill(0),
                    Source::Nothing => {}
                }
            }
            self.entries.push(entry);
        }
    }

    /// Carries out and completes one entry.
    fn complete(&mut self, which: usize, table: &mut Table) -> Option<Answered> {
        let entry = self.entries.swap_remove(which);
        let at = entry.offset as usize..entry.offset as usize + entry.length as usize;
        let data = match entry.operation {
            Operation::Read => {
                let loan = range(entry.loan.unwrap());
                self.memory[loan.clone()].copy_from_slice(&self.contents[at]);
                loan
            }
            Operation::Write => {
                self.contents[at].copy_from_slice(&self.memory[range(entry.loan.unwrap())]);
                0..0
            }
            Operation::WriteZeroes | Operation::Discard => {
                self.contents[at].fill(0);
                0..0
            }
            Operation::Flush => 0..0,
            Operation::Extents => {
                let loan = range(entry.loan.unwrap());
                let all = Extent {
                    length: entry.length,
                    hole: true,
                    zero: true,
                };
                let told = loan.start..loan.start + EXTENT;
                self.memory[told.clone()].copy_from_slice(&all.encode());
                told
            }
        };
        let (loan, finished) = table
            .complete(entry.tag, Status::Ok, &self.memory[data.clone()])
            .unwrap();
        let answered = finished.map(|finished| Answered::new(finished, &self.memory[data]));
        if let Some(loan) = loan {
            self.area.give_back(loan);
        }
        answered
    }

    /// The instance dies, having carried out some of what it was given.
    fn crash(&mut self, table: &mut Table) {
        for entry in std::mem::take(&mut self.entries) {
            if entry.operation == Operation::Write && entry.tag % 2 == 0 {
                let at = entry.offset as usize..entry.offset as usize + entry.length as usize;
                self.contents[at].copy_from_slice(&self.memory[range(entry.loan.unwrap())]);
            }
        }
        table.restart();
        self.replace();
    }

    /// Replaces the instance by one that holds nothing.
    fn replace(&mut self) {
        self.entries.clear();
        self.area = Area::new(0, 64 << 10);
    }
}

fn range(loan: Loan) -> std::ops::Range<usize> {
    loan.address as usize..loan.address as usize + loan.length as usize
}

struct Answered {
    cookie: u64,
    bytes: Vec<u8>,
}

impl Answered {
    fn new(finished: Finished, in_place: &[u8]) -> Self {
        assert_eq!(finished.status, Status::Ok);
        let bytes = match finished.data {
            Data::None => Vec::new(),
            Data::InPlace => in_place.to_vec(),
            Data::Buffer {
                bytes,
                start,
                length,
            } => bytes[start..start + length].to_vec(),
        };
        Self {
            cookie: finished.cookie,
            bytes,
        }
    }
}

fn run_dry(device: &mut Device, table: &mut Table) -> Vec<Answered> {
    let mut answered = Vec::new();
    loop {
        device.take_all(table);
        if device.entries.is_empty() {
            break;
        }
        answered.extend(device.complete(0, table));
    }
    assert!(table.is_empty());
    answered
}

#[test]
fn reads_of_any_alignment_and_length() {
    let mut device = Device::new();
    for (n, byte) in device.contents.iter_mut().enumerate() {
        *byte = (n / 7) as u8;
    }
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    for (offset, length) in [
        (0, 512),
        (1, 1),
        (511, 2),
        (512, 4096),
        (100, 20_000),
        (3, 61_000),
    ] {
        table.submit(ClientId(1), request(1, Operation::Read, offset, length));
        let answered = run_dry(&mut device, &mut table);
        let at = offset as usize..offset as usize + length as usize;
        assert!(
            answered[0].bytes == device.contents[at],
            "{offset}+{length}"
        );
    }
}

#[test]
fn completions_are_checked() {
    let mut device = Device::new();
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    assert_eq!(
        table.complete(0, Status::Ok, &[]).unwrap_err(),
        Violation::UnknownTag(0)
    );
    table.submit(ClientId(1), request(1, Operation::Read, 0, 512));
    device.take_all(&mut table);
    let tag = device.entries[0].tag;
    let short = table.complete(tag, Status::Ok, &[0; 511]).unwrap_err();
    assert_eq!(
        short,
        Violation::WrongLength {
            tag,
            expected: 512,
            got: 511
        }
    );
    device.complete(0, &mut table).unwrap();
    assert_eq!(
        table.complete(tag, Status::Ok, &[]).unwrap_err(),
        Violation::UnknownTag(tag)
    );
}

#[test]
fn a_client_that_left_gets_no_answer_and_leaves_nothing_behind() {
    let mut device = Device::new();
    let mut table = Table::new(Limits {
        depth: 1,
        ..Limits::default()
    });
    table.set_geometry(geometry());
    table.submit(ClientId(1), request(1, Operation::Write, 0, 512));
    table.submit(ClientId(1), request(2, Operation::Write, 512, 512));
    table.submit(ClientId(2), request(3, Operation::Write, 1024, 512));
    device.take_all(&mut table);
    table.forget(ClientId(1));
    let answered = run_dry(&mut device, &mut table);
    assert_eq!(answered.iter().map(|a| a.cookie).collect::<Vec<_>>(), [3]);
}

#[test]
fn flush_needs_no_vcp_where_there_is_no_cache() {
    let mut table = Table::new(Limits::default());
    table.set_geometry(Geometry {
        write_cache: false,
        ..geometry()
    });
    table.submit(ClientId(1), request(1, Operation::Flush, 0, 0));
    assert!(table.next(&mut Area::new(0, 4096)).is_none());
    assert_eq!(table.take_done().len(), 1);
}

#[test]
fn a_flush_offered_again_stays_behind_the_writes_before_it() {
    let mut device = Device::new();
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    let client = ClientId(1);
    table.submit(client, request(1, Operation::Write, 0, 512));
    table.submit(client, request(2, Operation::Flush, 0, 0));
    table.submit(client, request(3, Operation::Write, 512, 512));
    device.take_all(&mut table);
    assert_eq!(device.entries.len(), 3, "a first time, nothing waits");
    device.crash(&mut table);
    device.take_all(&mut table);
    let operations: Vec<_> = device.entries.iter().map(|e| e.operation).collect();
    assert_eq!(operations, [Operation::Write]);
    device.complete(0, &mut table).unwrap();
    device.take_all(&mut table);
    let operations: Vec<_> = device.entries.iter().map(|e| e.operation).collect();
    assert_eq!(operations, [Operation::Flush, Operation::Write]);
}

#[test]
fn nothing_beyond_the_end_goes_to_the_vcp() {
    let mut device = Device::new();
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    let client = ClientId(1);
    table.submit(
        client,
        request(1, Operation::Write, SIZE as u64 - 512, 1024),
    );
    table.submit(client, request(2, Operation::Read, u64::MAX - 511, 512));
    table.submit(client, request(3, Operation::Read, SIZE as u64 - 512, 512));
    device.take_all(&mut table);
    assert_eq!(device.entries.len(), 1);
    let refused = table.take_done();
    let refused: Vec<_> = refused.iter().map(|f| (f.cookie, f.status)).collect();
    assert_eq!(refused, [(1, Status::NoSpace), (2, Status::Invalid)]);
}

#[test]
fn while_draining_only_what_is_half_done_goes_on() {
    let mut device = Device::new();
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    let client = ClientId(1);
    // This is less than a block: it is read, then written.
    table.submit(client, request(1, Operation::Write, 10, 20));
    table.submit(client, request(2, Operation::Write, 100, 20));
    device.take_all(&mut table);
    table.set_draining(true);
    assert!(device.complete(0, &mut table).is_none());
    device.take_all(&mut table);
    assert_eq!(device.entries.len(), 1, "the block is written");
    assert!(device.complete(0, &mut table).is_some());
    device.take_all(&mut table);
    assert_eq!(table.outstanding(), 0);
    assert!(table.has_waiting());
    table.set_draining(false);
    device.take_all(&mut table);
    assert_eq!(device.entries.len(), 1);
}

#[test]
fn everything_can_be_failed() {
    let mut device = Device::new();
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    table.submit(ClientId(1), request(1, Operation::Write, 3, 9000));
    table.submit(ClientId(1), request(2, Operation::Read, 0, 512));
    device.take_all(&mut table);
    let failed = table.fail_all(Status::IoError);
    assert_eq!(failed.len(), 2);
    assert!(
        failed
            .iter()
            .all(|f| f.status == Status::IoError && f.data == Data::None)
    );
    assert!(table.is_empty());
}

#[test]
fn what_is_reclaimed_can_be_submitted_to_another_table() {
    let mut device = Device::new();
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    let asked = [
        (1, Operation::Write, 100, 9000),
        (2, Operation::Read, 0, 512),
        (3, Operation::Flush, 0, 0),
        (4, Operation::Write, 16384, 512),
    ];
    for (cookie, operation, offset, length) in asked {
        let client = ClientId(cookie % 3);
        table.submit(client, request(cookie, operation, offset, length));
    }
    table.submit(ClientId(7), request(5, Operation::Write, 0, 512));
    // The first is half done, and the client of the last is gone.
    device.take_all(&mut table);
    table.forget(ClientId(7));
    let reclaimed = table.reclaim();
    assert!(table.is_empty() && table.outstanding() == 0 && !table.has_waiting());
    let told = |(client, r): &(ClientId, ClientRequest)| {
        assert_eq!(*client, ClientId(r.cookie % 3));
        let length = if r.operation == Operation::Write {
            r.length
        } else {
            0
        };
        assert_eq!(r.payload, vec![r.cookie as u8; length as usize]);
        (r.cookie, r.operation, r.offset, r.length)
    };
    assert_eq!(reclaimed.iter().map(told).collect::<Vec<_>>(), asked);
    let mut next = Table::new(Limits::default());
    next.set_geometry(geometry());
    for (client, request) in reclaimed {
        next.submit(client, request);
    }
    let mut device = Device {
        contents: device.contents,
        ..Device::new()
    };
    let answered = run_dry(&mut device, &mut next);
    assert_eq!(answered.len(), asked.len());
    assert_eq!(device.contents[100..9100], [1; 9000]);
    assert_eq!(device.contents[16384..16896], [4; 512]);
}

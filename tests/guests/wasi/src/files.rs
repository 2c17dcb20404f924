//! Ill use of files that were granted.

use vcp_sdk::block::Status;
use vcp_sdk::files::{Access, File};
use vcp_sdk::types::Span;

const PATH: &str = "/data/f";

/// Does it, and says what came of it.
pub(crate) fn act(fault: &str) -> String {
    let access = match fault {
        "file-not-to-be-written" => Access::empty(),
        _ => Access::WRITE,
    };
    let file = File::open(PATH, access).expect("it is granted");
    let outside = Span {
        address: u32::MAX - 4,
        length: 100,
    };
    match fault {
        "file-read-outside" => told(&[file.read(0, outside)]),
        "file-write-outside" => told(&[file.write(0, outside)]),
        "file-extents-outside" => told(&[file.extents(0, 4096, outside).map(drop)]),
        "file-odd" => odd(&file),
        "file-many" => many(),
        "file-sync-endless" => endless(&file),
        _ => not_to_be_written(&file),
    }
}

fn told(results: &[Result<(), Status>]) -> String {
    let name =
        |result: &Result<(), Status>| result.map_or_else(|status| status.name(), |()| "done");
    results.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// Whatever is wrong with a range or a length is said, and is no fault.
fn odd(file: &File) -> String {
    let mut room = [0_u8; 64];
    let mut span = |length| Span {
        address: room.as_mut_ptr().addr() as u32,
        length,
    };
    let most = 16 << 20;
    let results = [
        file.read(u64::MAX, span(8)),
        file.read(i64::MAX as u64, span(8)),
        file.read(0, span(most + 1)),
        file.write(0, span(most + 1)),
        file.write(i64::MAX as u64 - 7, span(8)),
        file.zero(0, most + 1),
        file.zero(u64::MAX, 1),
        file.punch(0, (64 << 20) + 1),
        file.punch(i64::MAX as u64, 1),
        file.grow(4095),
        file.grow(u64::MAX),
        file.extents(0, 0, span(64)).map(drop),
        file.extents(0, 4096, span(7)).map(drop),
        file.extents(u64::MAX, 1, span(64)).map(drop),
    ];
    let invalid = results.iter().filter(|r| **r == Err(Status::Invalid));
    let beyond = told(&[file.read(4090, span(10))]);
    format!("{} of {}, {beyond}", invalid.count(), results.len())
}

fn many() -> String {
    let mut files = Vec::new();
    loop {
        match File::open(PATH, Access::empty()) {
            Ok(file) if files.len() < 10_000 => files.push(file),
            Ok(_) => return "no end".to_owned(),
            Err(error) => return format!("{} {error}", files.len() < 1000),
        }
    }
}

/// Waits for the storage again and again, and computes nothing.
fn endless(file: &File) -> String {
    let bytes = [7_u8; 4096];
    let data = Span {
        address: bytes.as_ptr().addr() as u32,
        length: 4096,
    };
    while file.write(0, data).is_ok() && file.sync().is_ok() {}
    "an error".to_owned()
}

fn not_to_be_written(file: &File) -> String {
    let nothing = Span {
        address: 0,
        length: 0,
    };
    let results = [
        file.write(0, nothing),
        file.punch(0, 512),
        file.zero(0, 512),
        file.grow(8192),
    ];
    let made = File::open("/data/new", Access::CREATE).err();
    format!("{}, {}", told(&results), made.unwrap_or_default())
}

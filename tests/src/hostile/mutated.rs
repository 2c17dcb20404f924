//! A dialogue that a client may have, with something of it changed.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{Place, Shared};
use crate::image::Random;

/// How long an answer to it is waited for.
const PATIENCE: Duration = Duration::from_millis(20);

/// Options that clients send; a few are of no kind.
const OPTIONS: [u32; 9] = [1, 2, 3, 5, 6, 7, 8, 9, 10];

/// The commands, and one of no kind.
const COMMANDS: [u16; 8] = [0, 1, 3, 4, 5, 6, 7, 99];

/// One connection: some of the bytes of a dialogue of options and requests are others.
pub(super) fn act(place: &Place, random: &mut Random, shared: &Shared) -> io::Result<()> {
    let mut stream = UnixStream::connect(&place.socket)?;
    shared.connected();
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = 3_u32.to_be_bytes().to_vec();
    for _ in 0..random.below(4) {
        let option = OPTIONS[random.below(OPTIONS.len() as u64) as usize];
        let data = data_of(option, &place.export, random);
        push_option(&mut bytes, option, &data);
    }
    // Half of them get as far as transmission, whatever was said before.
    if random.below(2) == 0 {
        let go = go(&place.export);
        push_option(&mut bytes, 7, &go);
    }
    for _ in 0..random.below(20) {
        push_request(&mut bytes, place, random);
    }
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] = match random.below(3) {
            0 => random.next() as u8,
            1 => 0xff,
            _ => bytes[at] ^ 1 << random.below(8),
        };
    }
    keep_off(&mut bytes, place);
    let mut answers = vec![0; 64 << 10];
    // In a few pieces, some of which never come.
    let pieces = 1 + random.below(4) as usize;
    for piece in bytes.chunks(bytes.len() / pieces + 1) {
        stream.write_all(piece)?;
        let _ = stream.read(&mut answers);
        if random.below(16) == 0 {
            break;
        }
    }
    Ok(())
}

fn data_of(option: u32, export: &str, random: &mut Random) -> Vec<u8> {
    match option {
        1 => export.as_bytes().to_vec(),
        6 | 7 => go(export),
        9 | 10 => {
            let mut data = counted(export.as_bytes());
            data.extend(1_u32.to_be_bytes());
            data.extend(counted(b"base:allocation"));
            data
        }
        _ => vec![b'x'; random.below(40) as usize],
    }
}

fn go(export: &str) -> Vec<u8> {
    [&*counted(export.as_bytes()), &[0, 1, 0, 3]].concat()
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn push_option(bytes: &mut Vec<u8>, option: u32, data: &[u8]) {
    bytes.extend(b"IHAVEOPT");
    bytes.extend(option.to_be_bytes());
    bytes.extend(counted(data));
}

fn push_request(bytes: &mut Vec<u8>, place: &Place, random: &mut Random) {
    let command = COMMANDS[random.below(COMMANDS.len() as u64) as usize];
    let (from, span) = place.span;
    let length = match random.below(8) {
        0 => random.next() as u32,
        _ => random.below(8192) as u32,
    };
    bytes.extend(0x2560_9513_u32.to_be_bytes());
    bytes.extend((random.below(4) as u16).to_be_bytes());
    bytes.extend(command.to_be_bytes());
    bytes.extend(random.next().to_be_bytes());
    bytes.extend((from + random.below(span)).to_be_bytes());
    bytes.extend(length.to_be_bytes());
    if command == 1 {
        bytes.extend(vec![0x5a; length.min(8192) as usize]);
    }
}

/// Nothing that is said may change what is outside of the span, however it was mutated:
/// others verify that. What would is made a read.
fn keep_off(bytes: &mut [u8], place: &Place) {
    let magic = 0x2560_9513_u32.to_be_bytes();
    let (from, span) = place.span;
    for at in 0..bytes.len().saturating_sub(27) {
        if bytes[at..at + 4] != magic {
            continue;
        }
        let offset = u64::from_be_bytes(std::array::from_fn(|i| bytes[at + 16 + i]));
        let length = u32::from_be_bytes(std::array::from_fn(|i| bytes[at + 24 + i]));
        let end = offset.saturating_add(u64::from(length));
        if offset < from || end > from + span {
            bytes[at + 6..at + 8].fill(0);
        }
    }
}

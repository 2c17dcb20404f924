//! The contents of a disk as bytes, for the next version, without zeroes.
//!
//! ```text
//! magic 8 | version 1 | size of the disk 8 | of a block 4 | number of pieces 4 | pieces
//! piece: its number 4 | its bytes: 4096, or what the disk's end leaves of that
//! ```
//!
//! Numbers are little-endian, and those of pieces ascend. `state` is not trusted, and is
//! checked before use.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::disk::{BLOCK, Disk, is_zero};

const MAGIC: &[u8; 8] = b"vcp-ram\n";
const VERSION: u8 = 1;
/// The size of a piece, which is kept or left out as a whole.
const PIECE: usize = 4096;
/// The longest state, in bytes: within the host's limit.
const MAX_STATE: usize = 15 << 20;
const HEADER: usize = 25;

/// The bytes of memory that a state takes, at either end, for a disk of `size` bytes.
pub(crate) fn room(size: u64) -> u64 {
    let pieces = size.div_ceil(PIECE as u64);
    let state = size.saturating_add(4 * pieces + HEADER as u64);
    // This includes the allocator's overhead.
    state.min(MAX_STATE as u64) + (1 << 20)
}

/// The contents, or why they can't be handed over.
pub(crate) fn save(disk: &Disk) -> Result<Vec<u8>, String> {
    let bytes = disk.bytes();
    let (count, length) = used(bytes).fold((0_u32, HEADER), |(count, length), (_, piece)| {
        (count + 1, length + 4 + piece.len())
    });
    if length > MAX_STATE {
        return Err(format!(
            "contents of {length} bytes; no more than {MAX_STATE} can be handed over"
        ));
    }
    let mut state = Vec::new();
    state
        .try_reserve_exact(length)
        .map_err(|_| format!("no memory left for a copy of {length} bytes; raise `memory`"))?;
    state.extend_from_slice(MAGIC);
    state.push(VERSION);
    state.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    state.extend_from_slice(&BLOCK.to_le_bytes());
    state.extend_from_slice(&count.to_le_bytes());
    for (number, piece) in used(bytes) {
        state.extend_from_slice(&(number as u32).to_le_bytes());
        state.extend_from_slice(piece);
    }
    Ok(state)
}

/// Fills a new disk, which is all zero, with the contents of another of its size. After
/// an error the contents are undefined.
pub(crate) fn load(disk: &mut Disk, state: &[u8]) -> Result<(), String> {
    let size = disk.bytes().len();
    let (count, mut pieces) = header(state, size)?;
    let mut least = 0;
    for _ in 0..count {
        let cut = || "the state is cut short".to_string();
        let (number, rest) = pieces.split_first_chunk().ok_or_else(cut)?;
        let number = u32::from_le_bytes(*number) as usize;
        let start = number.checked_mul(PIECE).filter(|start| *start < size);
        let start = start.filter(|_| number >= least).ok_or_else(|| {
            format!("a piece {number}, which is none of this disk or out of order")
        })?;
        let length = PIECE.min(size - start);
        let (piece, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        disk.write(start, piece);
        least = number + 1;
        pieces = rest;
    }
    if pieces.is_empty() {
        Ok(())
    } else {
        Err(format!("{} bytes too many", pieces.len()))
    }
}

/// Checks the header before the pieces, and returns their number and the pieces.
fn header(state: &[u8], size: usize) -> Result<(u32, &[u8]), String> {
    let foreign = || "not the state of a RAM disk".to_string();
    let rest = state.strip_prefix(MAGIC).ok_or_else(foreign)?;
    let (version, rest) = rest.split_first().ok_or_else(foreign)?;
    if *version != VERSION {
        return Err(format!(
            "a state of version {version}; this RAM disk takes {VERSION}"
        ));
    }
    let (theirs, rest) = rest.split_first_chunk().ok_or_else(foreign)?;
    let (block, rest) = rest.split_first_chunk().ok_or_else(foreign)?;
    let (theirs, block) = (u64::from_le_bytes(*theirs), u32::from_le_bytes(*block));
    if (theirs, block) != (size as u64, BLOCK) {
        return Err(format!(
            "the state is of a disk of {theirs} bytes in blocks of {block}, this one has \
             {size} in blocks of {BLOCK}"
        ));
    }
    let (count, rest) = rest.split_first_chunk().ok_or_else(foreign)?;
    Ok((u32::from_le_bytes(*count), rest))
}

/// The pieces that are not all zero.
fn used(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let pieces = bytes.chunks(PIECE).enumerate();
    pieces.filter(|(_, piece)| !is_zero(piece))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// The size is not a whole number of pieces.
    const SIZE: usize = 10 * PIECE + 512;

    fn disk(fill: &[usize]) -> Disk {
        let mut disk = Disk::new(SIZE as u64).unwrap();
        for at in fill {
            disk.write(*at, &[*at as u8 | 1]);
        }
        disk
    }

    #[test]
    fn contents_arrive_and_zeroes_are_left_out() {
        for fill in [
            &[][..],
            &[0],
            &[PIECE - 1, PIECE, 3 * PIECE + 77],
            &[SIZE - 1],
        ] {
            let old = disk(fill);
            let state = save(&old).unwrap();
            assert!(state.len() <= HEADER + fill.len() * (4 + PIECE));
            let mut new = disk(&[]);
            load(&mut new, &state).unwrap();
            assert!(new.bytes() == old.bytes());
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let state = save(&disk(&[0, 5 * PIECE, SIZE - 1])).unwrap();
        for length in 0..state.len() {
            assert!(load(&mut disk(&[]), &state[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let state = save(&disk(&[0, PIECE])).unwrap();
        let broken = |at: usize, byte: u8| {
            let mut state = state.clone();
            state[at] = byte;
            load(&mut disk(&[]), &state).unwrap_err()
        };
        assert!(broken(0, b'x').contains("not the state"));
        assert!(broken(8, 2).contains("version 2"));
        assert!(broken(10, 99).contains("this one has"));
        assert!(broken(18, 99).contains("blocks of"));
        assert!(broken(HEADER, 11).contains("a piece 11"));
        assert!(broken(HEADER + 3, 255).contains("none of this disk"));
        assert!(broken(HEADER, 1).contains("out of order"));
        let long = [&state[..], &[0; 3]].concat();
        assert!(load(&mut disk(&[]), &long).is_err());
    }

    #[test]
    fn too_much_is_not_handed_over() {
        let mut disk = Disk::new(16 << 20).unwrap();
        disk.write(0, &vec![1; 16 << 20]);
        assert!(save(&disk).unwrap_err().contains("handed over"));
        disk.write(0, &vec![0; 2 << 20]);
        assert!(save(&disk).unwrap().len() <= MAX_STATE);
    }
}

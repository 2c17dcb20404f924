//! UNMAP parameter lists and GET LBA STATUS data (SBC-3).

use alloc::vec::Vec;

use crate::error::Error;
use crate::field::{u16_at, u32_at, u64_at};

/// Consecutive logical blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First block.
    pub lba: u64,
    /// How many.
    pub blocks: u32,
}

/// Length of an UNMAP parameter list's header, and of each descriptor behind it.
const UNMAP_HEADER: usize = 8;
const UNMAP_DESCRIPTOR: usize = 16;

/// Reads an UNMAP parameter list. Its descriptor length may not promise more than is
/// there; a last descriptor that this length cuts is left out, as the standard wants it.
///
/// # Errors
/// [`Error::Truncated`] when there is a list, but its header or what its descriptor
/// length promises isn't there. An empty list is no error and has no extents.
pub fn parse_unmap(list: &[u8]) -> Result<impl Iterator<Item = Extent>, Error> {
    const CUT: Error = Error::Truncated("UNMAP parameter list");
    let descriptors = if list.is_empty() {
        list
    } else {
        let (header, rest) = list.split_at_checked(UNMAP_HEADER).ok_or(CUT)?;
        rest.get(..usize::from(u16_at(header, 2))).ok_or(CUT)?
    };
    Ok(descriptors.chunks_exact(UNMAP_DESCRIPTOR).map(|b| Extent {
        lba: u64_at(b, 0),
        blocks: u32_at(b, 8),
    }))
}

/// Writes an UNMAP parameter list.
///
/// # Panics
/// If there are more than 4095 extents.
#[must_use]
pub fn emit_unmap(extents: &[Extent]) -> Vec<u8> {
    let len = u16::try_from(extents.len() * UNMAP_DESCRIPTOR)
        .ok()
        .filter(|len| *len <= u16::MAX - 6)
        .expect("an UNMAP parameter list holds 4095 extents");
    let mut out = Vec::with_capacity(UNMAP_HEADER + usize::from(len));
    out.extend_from_slice(&(len + 6).to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    for extent in extents {
        out.extend_from_slice(&extent.lba.to_be_bytes());
        out.extend_from_slice(&extent.blocks.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
    }
    out
}

/// The provisioning status of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LbaState {
    /// 0: mapped, or unknown.
    Mapped,
    /// 1: deallocated.
    Deallocated,
    /// 2: anchored.
    Anchored,
    /// A state unknown here; four bits.
    Other(u8),
}

/// One descriptor of GET LBA STATUS data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LbaStatus {
    /// The blocks.
    pub extent: Extent,
    /// Their state.
    pub state: LbaState,
}

/// Reads GET LBA STATUS data, which an allocation length may have cut.
///
/// # Errors
/// [`Error::Truncated`] below the header's 8 bytes.
pub fn parse_lba_status(data: &[u8]) -> Result<impl Iterator<Item = LbaStatus>, Error> {
    let (header, rest) = data
        .split_at_checked(8)
        .ok_or(Error::Truncated("GET LBA STATUS data"))?;
    // The length field counts the four bytes behind it too.
    let len = (u32_at(header, 0) as usize)
        .saturating_sub(4)
        .min(rest.len());
    Ok(rest[..len].chunks_exact(16).map(|b| LbaStatus {
        extent: Extent {
            lba: u64_at(b, 0),
            blocks: u32_at(b, 8),
        },
        state: match b[12] & 0x0f {
            0 => LbaState::Mapped,
            1 => LbaState::Deallocated,
            2 => LbaState::Anchored,
            other => LbaState::Other(other),
        },
    }))
}

/// Writes GET LBA STATUS data.
///
/// # Panics
/// If there are more descriptors than a 32-bit length can express.
#[must_use]
pub fn emit_lba_status(descriptors: &[LbaStatus]) -> Vec<u8> {
    let len = u32::try_from(4 + descriptors.len() * 16).expect("the data's length has 32 bits");
    let mut out = Vec::with_capacity(8 + descriptors.len() * 16);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    for LbaStatus { extent, state } in descriptors {
        out.extend_from_slice(&extent.lba.to_be_bytes());
        out.extend_from_slice(&extent.blocks.to_be_bytes());
        let state = match state {
            LbaState::Mapped => 0,
            LbaState::Deallocated => 1,
            LbaState::Anchored => 2,
            LbaState::Other(other) => other & 0x0f,
        };
        out.extend_from_slice(&[state, 0, 0, 0]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unmap_layout() {
        let list = emit_unmap(&[Extent {
            lba: 0x0102,
            blocks: 8,
        }]);
        assert_eq!(list[..8], [0, 22, 0, 16, 0, 0, 0, 0]);
        assert_eq!(list[8..], [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 8, 0, 0, 0, 0]);
    }

    #[test]
    fn unmap_lengths_must_agree() {
        assert_eq!(parse_unmap(&[]).unwrap().count(), 0);
        assert!(parse_unmap(&[0; 7]).is_err());
        let mut list = emit_unmap(&[Extent { lba: 1, blocks: 8 }; 2]);
        assert!(parse_unmap(&list[..list.len() - 1]).is_err());
        list[3] = 31;
        assert_eq!(parse_unmap(&list).unwrap().count(), 1, "the second is cut");
    }

    #[test]
    fn unknown_states_survive() {
        let status = LbaStatus {
            extent: Extent { lba: 7, blocks: 1 },
            state: LbaState::Other(9),
        };
        let data = emit_lba_status(&[status]);
        assert_eq!(data[..8], [0, 0, 0, 20, 0, 0, 0, 0]);
        assert!(parse_lba_status(&data).unwrap().eq([status]));
        assert_eq!(parse_lba_status(&data[..23]).unwrap().count(), 0);
        assert!(parse_lba_status(&data[..7]).is_err());
    }

    proptest! {
        #[test]
        fn round_trips(extents in prop::collection::vec(any::<(u64, u32, u8)>(), 0..64)) {
            let plain: Vec<_> =
                extents.iter().map(|&(lba, blocks, _)| Extent { lba, blocks }).collect();
            let list = emit_unmap(&plain);
            prop_assert!(parse_unmap(&list).unwrap().eq(plain.iter().copied()));
            let states = [LbaState::Mapped, LbaState::Deallocated, LbaState::Anchored];
            let status: Vec<_> = extents
                .iter()
                .zip(&plain)
                .map(|(&(_, _, n), &extent)| LbaStatus { extent, state: states[usize::from(n) % 3] })
                .collect();
            let data = emit_lba_status(&status);
            prop_assert!(parse_lba_status(&data).unwrap().eq(status));
        }

        #[test]
        fn arbitrary_data(data: Vec<u8>) {
            prop_assert!(parse_unmap(&data).map_or(0, Iterator::count) <= data.len() / 16);
            prop_assert!(parse_lba_status(&data).map_or(0, Iterator::count) <= data.len() / 16);
        }
    }
}

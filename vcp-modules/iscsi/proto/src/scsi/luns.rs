//! REPORT LUNS data (SPC-4 §6.33).

use alloc::vec::Vec;

use crate::error::Error;
use crate::field::{u32_at, u64_at};
use crate::lun::Lun;

/// Reads REPORT LUNS data: how many LUNs the target has, and those of them that are in
/// `data`, which an allocation length may have cut.
///
/// # Errors
/// [`Error::Truncated`] below the header's 8 bytes.
pub fn parse_luns(data: &[u8]) -> Result<(usize, impl Iterator<Item = Lun>), Error> {
    let (header, rest) = data
        .split_at_checked(8)
        .ok_or(Error::Truncated("REPORT LUNS data"))?;
    let count = u32_at(header, 0) as usize / 8;
    Ok((
        count,
        rest.chunks_exact(8).take(count).map(|b| Lun(u64_at(b, 0))),
    ))
}

/// Writes REPORT LUNS data.
///
/// # Panics
/// If there are more than 2²⁹ − 1 LUNs.
#[must_use]
pub fn emit_luns(luns: &[Lun]) -> Vec<u8> {
    let len = u32::try_from(luns.len() * 8).expect("the LUN list's length has 32 bits");
    let mut out = Vec::with_capacity(8 + luns.len() * 8);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    luns.iter()
        .for_each(|lun| out.extend_from_slice(&lun.to_bytes()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_list_tells_how_many_there_are() {
        let luns: Vec<_> = (0..3).filter_map(Lun::new).collect();
        let data = emit_luns(&luns);
        assert_eq!(data.len(), 32);
        let (count, found) = parse_luns(&data[..31]).unwrap();
        assert_eq!(count, 3);
        assert!(found.eq(luns[..2].iter().copied()));
        assert!(parse_luns(&data[..7]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(luns: Vec<u64>) {
            let luns: Vec<_> = luns.into_iter().map(Lun).collect();
            let data = emit_luns(&luns);
            let (count, found) = parse_luns(&data).unwrap();
            prop_assert_eq!(count, luns.len());
            prop_assert!(found.eq(luns));
        }

        #[test]
        fn arbitrary_data(data: Vec<u8>) {
            if let Ok((count, luns)) = parse_luns(&data) {
                prop_assert!(luns.count() <= count.min(data.len() / 8));
            }
        }
    }
}

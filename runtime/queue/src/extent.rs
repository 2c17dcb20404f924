//! How a range of a device is allocated: what a completion of
//! [`Operation::Extents`](crate::Operation::Extents) says, and whether it may say so.
//!
//! On the queue an extent is eight bytes, as `vcp:block/types.operation.extents` has
//! them. They come from a guest, and go to clients only after [`checked`].

/// A run of bytes of one kind, from where the one before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes; not 0.
    pub length: u32,
    /// Whether nothing is allocated for it, as far as the device knows.
    pub hole: bool,
    /// Whether it reads as zeroes.
    pub zero: bool,
}

/// Bytes of an extent on the queue.
pub const EXTENT: usize = 8;
/// The most extents that an answer may have.
pub const MOST_EXTENTS: usize = 512;
/// Bytes of the room that an entry has for its answer.
pub(crate) const ROOM: u32 = (MOST_EXTENTS * EXTENT) as u32;
/// The longest range that the VCP is asked about, in bytes: with the blocks at both ends
/// it is still a `u32`.
pub(crate) const MOST: u32 = 1 << 31;

const HOLE: u32 = 1;
const ZERO: u32 = 2;

impl Extent {
    /// The extents of an answer. A part of an extent at the end of `bytes` is ignored.
    pub fn parse(bytes: &[u8]) -> impl Iterator<Item = Self> + Clone + '_ {
        bytes.chunks_exact(EXTENT).map(|bytes| {
            let (length, flags) = words(bytes);
            Self {
                length,
                hole: flags & HOLE != 0,
                zero: flags & ZERO != 0,
            }
        })
    }

    /// Its form on the queue.
    #[must_use]
    pub fn encode(self) -> [u8; EXTENT] {
        let flags = if self.hole { HOLE } else { 0 } | if self.zero { ZERO } else { 0 };
        let [a, b, c, d] = self.length.to_le_bytes();
        let [e, f, g, h] = flags.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

fn words(bytes: &[u8]) -> (u32, u32) {
    let word = |at: usize| {
        let bytes = bytes
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        u32::from_le_bytes(bytes.unwrap_or_default())
    };
    (word(0), word(4))
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadExtents {
    /// There are none, too many, or not a whole number of them.
    #[error("{0} bytes are not 1 to {MOST_EXTENTS} extents of {EXTENT}")]
    Count(usize),
    /// One has a length of 0, or one that is no multiple of the block size.
    #[error("an extent of {length} bytes on a device with blocks of {block}")]
    Length {
        /// The extent's length.
        length: u32,
        /// The device's block size.
        block: u32,
    },
    /// One has unknown flags.
    #[error("an extent with the flags {0:#x}")]
    Flags(u32),
    /// Together they are longer than the range that was asked about.
    #[error("extents that reach beyond the {0} bytes asked about")]
    Beyond(u32),
}

/// Checks an answer about `length` bytes, and cuts from it what lies before the byte
/// `skip` and from the byte `end` on: the host asked about whole blocks for a client that
/// did not. `skip` is less than a block, and less than `end`.
pub(crate) fn checked(
    bytes: &[u8],
    length: u32,
    block: u32,
    skip: u32,
    end: u32,
) -> Result<Vec<u8>, BadExtents> {
    let count = bytes.len() / EXTENT;
    if !bytes.len().is_multiple_of(EXTENT) || !(1..=MOST_EXTENTS).contains(&count) {
        return Err(BadExtents::Count(bytes.len()));
    }
    let mut kept = Vec::with_capacity(bytes.len());
    let mut at = 0_u64;
    for (extent, raw) in Extent::parse(bytes).zip(bytes.chunks_exact(EXTENT)) {
        if extent.length == 0 || !extent.length.is_multiple_of(block.max(1)) {
            let length = extent.length;
            return Err(BadExtents::Length { length, block });
        }
        let (_, flags) = words(raw);
        if flags & !(HOLE | ZERO) != 0 {
            return Err(BadExtents::Flags(flags));
        }
        let from = at.max(u64::from(skip));
        at += u64::from(extent.length);
        if at > u64::from(length) {
            return Err(BadExtents::Beyond(length));
        }
        let to = at.min(u64::from(end));
        if to > from {
            let length = u32::try_from(to - from).unwrap_or(extent.length);
            kept.extend_from_slice(&Extent { length, ..extent }.encode());
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLE: Extent = Extent {
        length: 1024,
        hole: true,
        zero: true,
    };
    const DATA: Extent = Extent {
        length: 512,
        hole: false,
        zero: false,
    };

    fn bytes(extents: &[Extent]) -> Vec<u8> {
        extents.iter().flat_map(|extent| extent.encode()).collect()
    }

    fn cut(extents: &[Extent], skip: u32, end: u32) -> Vec<Extent> {
        let kept = checked(&bytes(extents), 4096, 512, skip, end).unwrap();
        Extent::parse(&kept).collect()
    }

    #[test]
    fn an_answer_is_cut_to_what_the_client_asked() {
        let sized = |extent, length| Extent { length, ..extent };
        assert_eq!(cut(&[HOLE, DATA], 0, 4096), [HOLE, DATA]);
        assert_eq!(cut(&[DATA, HOLE], 100, 4096), [sized(DATA, 412), HOLE]);
        assert_eq!(
            cut(&[DATA, HOLE], 511, 600),
            [sized(DATA, 1), sized(HOLE, 88)]
        );
        assert_eq!(cut(&[DATA, HOLE, DATA], 0, 512), [DATA]);
        assert_eq!(cut(&[sized(HOLE, 4096)], 7, 9), [sized(HOLE, 2)]);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_refused() {
        let sized = |length| Extent { length, ..DATA };
        let judge = |bytes: &[u8]| checked(bytes, 4096, 512, 0, 4096).unwrap_err();
        assert_eq!(judge(&[]), BadExtents::Count(0));
        assert_eq!(judge(&bytes(&[DATA])[..7]), BadExtents::Count(7));
        let many = bytes(&[DATA; MOST_EXTENTS + 1]);
        assert_eq!(judge(&many), BadExtents::Count(many.len()));
        for length in [0, 1, 513, u32::MAX] {
            let expected = BadExtents::Length { length, block: 512 };
            assert_eq!(judge(&bytes(&[DATA, sized(length)])), expected);
        }
        assert_eq!(
            judge(&bytes(&[DATA, sized(4096)])),
            BadExtents::Beyond(4096)
        );
        let huge = sized(1 << 31);
        assert_eq!(judge(&bytes(&[huge, huge, huge])), BadExtents::Beyond(4096));
        let mut odd = bytes(&[DATA]);
        odd[4] = 4;
        assert_eq!(judge(&odd), BadExtents::Flags(4));
    }
}

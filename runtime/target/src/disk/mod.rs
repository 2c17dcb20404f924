//! Backing stores for the data of logical units.
//!
//! A store knows bytes and offsets. Blocks, sense data and injected faults are
//! the logical unit's business, in [`crate::lun`].

mod file;
mod memory;

use std::io;

pub use file::FileDisk;
pub use memory::SparseMemory;

/// Why a store refused.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The range is not inside the store. Offsets and lengths in bytes.
    #[error("{length} bytes at {offset} lie outside a store of {size} bytes")]
    OutOfRange {
        /// The range's offset.
        offset: u64,
        /// The range's length.
        length: u64,
        /// The store's size.
        size: u64,
    },
    /// The store is thin and its underlying storage is full.
    #[error("no space left behind the store")]
    NoSpace,
    /// The underlying storage failed.
    #[error("store: {0}")]
    Io(#[from] io::Error),
}

/// A run of bytes that are all backed or all holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The length in bytes from the given offset; never 0.
    pub length: u64,
    /// Whether data is stored there. A hole reads as zeroes.
    pub mapped: bool,
}

/// A store of `size` bytes, used by several connections at once.
///
/// Offsets and lengths are bytes and need no alignment. A range that is not inside the
/// store is [`DiskError::OutOfRange`] and changes nothing. Where two simultaneous writes
/// overlap, each piece has the bytes of either.
pub trait Disk: Send + Sync {
    /// The size in bytes; fixed for the store's life.
    fn size(&self) -> u64;

    /// Appends `length` bytes from `offset` to `out`. On an error `out` is as
    /// long as it was.
    fn read_into(&self, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), DiskError>;

    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError>;

    /// Makes written data durable, as far as the store can.
    fn flush(&self) -> Result<(), DiskError>;

    /// Forgets a range, which then reads as zeroes.
    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError>;

    /// Makes a range read as zeroes, and keeps it backed.
    fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError>;

    /// The extent that starts at `offset`, which is inside the store.
    fn extent(&self, offset: u64) -> Result<Extent, DiskError>;

    /// Reads into a slice; for callers off the data path.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let mut bytes = Vec::with_capacity(buffer.len());
        self.read_into(offset, buffer.len(), &mut bytes)?;
        buffer.copy_from_slice(&bytes);
        Ok(())
    }
}

/// Checks that a range is inside a store of `size` bytes.
fn check_range(size: u64, offset: u64, length: u64) -> Result<(), DiskError> {
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(DiskError::OutOfRange {
            offset,
            length,
            size,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u64 = 300_000;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, usize, u8),
        Discard(u64, u64),
        Zero(u64, u64),
        Read(u64, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let range = || (0..SIZE + 10_000, 0..150_000_u64);
        let step = prop_oneof![
            (range(), any::<u8>()).prop_map(|((o, l), b)| Step::Write(o, l as usize, b)),
            range().prop_map(|(o, l)| Step::Discard(o, l)),
            range().prop_map(|(o, l)| Step::Zero(o, l)),
            range().prop_map(|(o, l)| Step::Read(o, l as usize)),
        ];
        proptest::collection::vec(step, 1..24)
    }

    /// Every store behaves as a plain array of bytes.
    fn behaves_as_array(disk: &dyn Disk, steps: &[Step]) {
        let mut model = vec![0_u8; SIZE as usize];
        let span = |o: u64, l: u64| (o + l <= SIZE).then_some(o as usize..(o + l) as usize);
        for step in steps {
            match *step {
                Step::Write(o, l, b) => {
                    let ok = disk.write_at(o, &vec![b; l]).is_ok();
                    let span = span(o, l as u64);
                    assert_eq!(ok, span.is_some());
                    if let Some(s) = span {
                        model[s].fill(b);
                    }
                }
                Step::Discard(o, l) => {
                    assert_eq!(disk.discard(o, l).is_ok(), span(o, l).is_some());
                    if let Some(s) = span(o, l) {
                        model[s].fill(0);
                    }
                }
                Step::Zero(o, l) => {
                    assert_eq!(disk.write_zeroes(o, l).is_ok(), span(o, l).is_some());
                    if let Some(s) = span(o, l) {
                        model[s].fill(0);
                    }
                }
                Step::Read(o, l) => {
                    let mut out = b"before".to_vec();
                    let ok = disk.read_into(o, l, &mut out).is_ok();
                    assert_eq!(&out[..6], b"before");
                    match span(o, l as u64) {
                        Some(s) => assert!(ok && out[6..] == model[s]),
                        None => assert!(!ok && out.len() == 6),
                    }
                }
            }
        }
        let mut all = vec![1; SIZE as usize];
        disk.read_at(0, &mut all).unwrap();
        assert!(all == model);
        holes_are_zero(disk, &model);
    }

    fn holes_are_zero(disk: &dyn Disk, model: &[u8]) {
        let mut at = 0;
        while at < SIZE {
            let extent = disk.extent(at).unwrap();
            assert!(extent.length > 0 && at + extent.length <= SIZE);
            let span = at as usize..(at + extent.length) as usize;
            assert!(extent.mapped || model[span].iter().all(|&b| b == 0));
            at += extent.length;
        }
        assert!(disk.extent(SIZE).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn memory_behaves_as_array(steps in steps()) {
            behaves_as_array(&SparseMemory::new(SIZE), &steps);
        }

        #[test]
        fn file_behaves_as_array(steps in steps()) {
            let file = tempfile::tempfile().unwrap();
            file.set_len(SIZE).unwrap();
            behaves_as_array(&FileDisk::new(file).unwrap(), &steps);
        }
    }

    #[test]
    fn ranges_do_not_wrap() {
        let disk = SparseMemory::new(SIZE);
        assert!(disk.discard(u64::MAX, 2).is_err());
        assert!(disk.write_at(u64::MAX - 3, b"four").is_err());
    }
}

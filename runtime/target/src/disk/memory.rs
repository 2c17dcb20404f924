//! A sparse store in memory: only written pages take memory.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Disk, DiskError, Extent, check_range};

/// Bytes per page. Large enough that a sequential transfer takes few look-ups.
const PAGE: usize = 64 * 1024;

type Pages = BTreeMap<u64, Box<[u8]>>;

/// A store of any size in memory, page by page as it is written. A page that is discarded
/// as a whole is freed.
#[derive(Debug)]
pub struct SparseMemory {
    size: u64,
    limit: usize,
    pages: RwLock<Pages>,
}

impl SparseMemory {
    /// An empty store of `size` bytes without a limit on its memory.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self::with_limit(size, u64::MAX)
    }

    /// An empty store of `size` bytes that runs out of space
    /// ([`DiskError::NoSpace`]) once it would hold more than `limit` bytes.
    #[must_use]
    pub fn with_limit(size: u64, limit: u64) -> Self {
        let limit = usize::try_from(limit / PAGE as u64).unwrap_or(usize::MAX);
        Self {
            size,
            limit,
            pages: RwLock::default(),
        }
    }

    /// The bytes of memory that hold data, a multiple of the page size.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.read().len() as u64 * PAGE as u64
    }

    // A page is whole at every instant, so the store is consistent after a panic
    // elsewhere.
    fn read(&self) -> RwLockReadGuard<'_, Pages> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Pages> {
        self.pages.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pieces of a range: page number, and the part of that page.
fn pieces(mut offset: u64, length: u64) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + length;
    std::iter::from_fn(move || {
        let (page, start) = (offset / PAGE as u64, (offset % PAGE as u64) as usize);
        let length = (end - offset).min((PAGE - start) as u64) as usize;
        offset += length as u64;
        (length > 0).then_some((page, start..start + length))
    })
}

impl Disk for SparseMemory {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_into(&self, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), DiskError> {
        check_range(self.size, offset, length as u64)?;
        let pages = self.read();
        out.reserve(length);
        for (page, part) in pieces(offset, length as u64) {
            match pages.get(&page) {
                Some(bytes) => out.extend_from_slice(&bytes[part]),
                None => out.resize(out.len() + part.len(), 0),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, mut data: &[u8]) -> Result<(), DiskError> {
        check_range(self.size, offset, data.len() as u64)?;
        let mut pages = self.write();
        for (page, part) in pieces(offset, data.len() as u64) {
            let (now, later) = data.split_at(part.len());
            data = later;
            if let Some(bytes) = pages.get_mut(&page) {
                bytes[part].copy_from_slice(now);
                continue;
            }
            if pages.len() >= self.limit {
                return Err(DiskError::NoSpace);
            }
            let mut bytes = Vec::with_capacity(PAGE);
            bytes.resize(part.start, 0);
            bytes.extend_from_slice(now);
            bytes.resize(PAGE, 0);
            pages.insert(page, bytes.into_boxed_slice());
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        check_range(self.size, offset, length)?;
        let mut pages = self.write();
        let (first, last) = (
            offset / PAGE as u64,
            (offset + length).div_ceil(PAGE as u64),
        );
        // This goes by the stored pages, not by the range: a discard of 3 TiB examines
        // only what is stored.
        let held: Vec<u64> = pages
            .range(first..last.max(first))
            .map(|(&page, _)| page)
            .collect();
        for page in held {
            let base = page * PAGE as u64;
            let start = offset.saturating_sub(base) as usize;
            let end = (offset + length - base).min(PAGE as u64) as usize;
            if (start, end) == (0, PAGE) {
                pages.remove(&page);
            } else if let Some(bytes) = pages.get_mut(&page) {
                bytes[start..end].fill(0);
            }
        }
        Ok(())
    }

    /// Memory has nothing to reserve, so this is a discard.
    fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.discard(offset, length)
    }

    fn extent(&self, offset: u64) -> Result<Extent, DiskError> {
        check_range(self.size, offset, 1)?;
        let pages = self.read();
        let first = offset / PAGE as u64;
        let mapped = pages.contains_key(&first);
        let end = if mapped {
            let run = pages
                .range(first..)
                .zip(first..)
                .take_while(|((page, _), n)| *page == n);
            first + run.count() as u64
        } else {
            pages
                .range(first..)
                .next()
                .map_or(u64::MAX, |(&page, _)| page)
        };
        let end = end.saturating_mul(PAGE as u64).min(self.size);
        Ok(Extent {
            length: end - offset,
            mapped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIB: u64 = 1 << 40;

    #[test]
    fn costs_only_what_is_written() {
        let disk = SparseMemory::new(3 * TIB);
        disk.write_at(3 * TIB - 512, &[7; 512]).unwrap();
        assert_eq!(disk.allocated(), PAGE as u64);
        let hole = Extent {
            length: 3 * TIB - PAGE as u64,
            mapped: false,
        };
        assert_eq!(disk.extent(0).unwrap(), hole);
        disk.discard(0, 3 * TIB).unwrap();
        assert_eq!(disk.allocated(), 0);
    }

    #[test]
    fn limit_is_no_space() {
        let disk = SparseMemory::with_limit(TIB, 2 * PAGE as u64);
        disk.write_at(0, &vec![1; 2 * PAGE]).unwrap();
        assert!(matches!(
            disk.write_at(TIB / 2, b"x"),
            Err(DiskError::NoSpace)
        ));
        disk.write_at(5, b"x").unwrap();
    }
}

//! The target's disk, watched: a write that nobody asked for shows the moment it
//! arrives, and who was in charge then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vcp_target::disk::{Disk, DiskError, Extent, SparseMemory};

use super::content::{BLOCK, version_of};
use super::load::Shared;

/// A write that was not asked for, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// Which block it hit.
    pub block: u32,
    /// Whether the code in charge was not to be trusted.
    pub doubtful: bool,
}

/// Strays kept; what is beyond is counted only.
const MAX_STRAYS: usize = 1 << 16;

/// A disk in memory that compares what is written with what was asked for.
pub struct Watched {
    memory: SparseMemory,
    client: Arc<Shared>,
    strays: Mutex<Vec<Stray>>,
}

impl Watched {
    /// A disk for this client.
    pub fn new(size: u64, client: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            memory: SparseMemory::new(size),
            client,
            strays: Mutex::default(),
        })
    }

    /// The strays since the last call.
    pub fn take_strays(&self) -> Vec<Stray> {
        std::mem::take(&mut *self.strays())
    }

    /// All of it, past the watch.
    pub fn contents(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.memory.size() as usize];
        self.memory
            .read_at(0, &mut bytes)
            .expect("the range is that of the disk");
        bytes
    }

    /// Replaces all of it, past the watch.
    pub fn reset(&self) {
        self.memory
            .discard(0, self.memory.size())
            .expect("the range is that of the disk");
    }

    fn strays(&self) -> MutexGuard<'_, Vec<Stray>> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares; `bytes` is `None` for zeroes.
    fn watch(&self, offset: u64, length: u64, bytes: Option<&[u8]>) {
        if length == 0 || offset.saturating_add(length) > self.memory.size() {
            return;
        }
        let first = (offset / BLOCK as u64) as u32;
        let last = (offset + length).div_ceil(BLOCK as u64) as u32;
        let aligned = (offset | length).is_multiple_of(BLOCK as u64);
        let client = self.client.lock();
        let mut strays = self.strays();
        for (at, block) in (first..last).enumerate() {
            let version = match bytes {
                _ if !aligned => None,
                None => Some(0),
                Some(bytes) => version_of(&bytes[at * BLOCK..(at + 1) * BLOCK], block),
            };
            let expected = client.model.may_hold(block, version);
            if !expected && strays.len() < MAX_STRAYS {
                let doubtful = client.doubt;
                strays.push(Stray { block, doubtful });
            }
        }
    }
}

/// A handle to it for the target.
pub struct WatchedDisk(pub Arc<Watched>);

impl Disk for WatchedDisk {
    fn size(&self) -> u64 {
        self.0.memory.size()
    }

    fn read_into(&self, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), DiskError> {
        self.0.memory.read_into(offset, length, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        self.0.watch(offset, data.len() as u64, Some(data));
        self.0.memory.write_at(offset, data)
    }

    fn flush(&self) -> Result<(), DiskError> {
        self.0.memory.flush()
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.0.watch(offset, length, None);
        self.0.memory.discard(offset, length)
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.0.watch(offset, length, None);
        self.0.memory.write_zeroes(offset, length)
    }

    fn extent(&self, offset: u64) -> Result<Extent, DiskError> {
        self.0.memory.extent(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::fill;
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_a_stray_and_what_was_asked_for_is_not() {
        let client = Shared::new(16 * BLOCK as u64, 1).unwrap();
        let disk = Watched::new(16 * BLOCK as u64, Arc::clone(&client));
        let handle = WatchedDisk(Arc::clone(&disk));
        client.lock().model.write(2..4, 7);
        let mut bytes = vec![0; 2 * BLOCK];
        fill(&mut bytes, 2, 7);
        handle.write_at(2 * BLOCK as u64, &bytes).unwrap();
        assert_eq!(disk.take_strays(), []);
        // The same bytes elsewhere, others here, and part of a block.
        handle.write_at(3 * BLOCK as u64, &bytes).unwrap();
        let blocks = |strays: Vec<Stray>| strays.iter().map(|s| s.block).collect::<Vec<_>>();
        assert_eq!(blocks(disk.take_strays()), [3, 4]);
        fill(&mut bytes, 2, 8);
        handle.write_at(2 * BLOCK as u64, &bytes).unwrap();
        assert_eq!(blocks(disk.take_strays()), [2, 3]);
        handle.write_at(BLOCK as u64 + 1, &[1]).unwrap();
        assert_eq!(blocks(disk.take_strays()), [1]);
        // Zeroes are what blocks hold that were never written.
        handle.discard(0, 2 * BLOCK as u64).unwrap();
        assert_eq!(disk.take_strays(), []);
        client.lock().doubt(true);
        handle.write_zeroes(0, 4 * BLOCK as u64).unwrap();
        assert_eq!(disk.take_strays(), []);
        handle.write_at(5 * BLOCK as u64, &bytes).unwrap();
        assert!(disk.take_strays().iter().all(|stray| stray.doubtful));
    }
}

//! The disk itself: bytes, and the operations on them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use vcp_sdk::block::{Geometry, Operation, Request, Status};
use vcp_sdk::types::Span;
use vcp_sdk::{Arena, Extent};

/// The longest transfer of one request, in bytes.
pub(crate) const MAX_TRANSFER: u32 = 1 << 20;

pub(crate) const BLOCK: u32 = 512;

/// The unit, in bytes, in which zeroes are looked for.
const PAGE: usize = 4096;
/// The longest zeroing of one request, in bytes: it is quick even if all of it has to be
/// written. The host cuts longer ones.
const MAX_ZEROES: u32 = 16 << 20;
/// The most bytes that one request has examined: a client that wants to know more asks
/// again.
const MAX_SCAN: usize = 4 << 20;

pub(crate) struct Disk {
    bytes: Arena,
    /// One bit for each page: whether it may hold anything but zeroes. A page that was
    /// never written takes no memory, and is not examined.
    used: Vec<u64>,
}

impl Disk {
    pub(crate) fn new(size: u64) -> Result<Self, String> {
        let size = u32::try_from(size)
            .map_err(|_| format!("config.size: {size} bytes are more than a component can hold"))?;
        let bytes = Arena::try_new(size, 0).ok_or_else(|| {
            format!("config.size: {size} bytes do not fit into this VCP's memory; raise `memory`")
        })?;
        let words = (size as usize).div_ceil(64 * PAGE);
        let mut used = Vec::new();
        used.try_reserve_exact(words)
            .map_err(|_| format!("config.size: no memory left for a disk of {size} bytes"))?;
        used.resize(words, 0);
        Ok(Self { bytes, used })
    }

    /// The contents.
    pub(crate) fn bytes(&self) -> &[u8] {
        let all = self.bytes.span();
        self.bytes.get(all).expect("an arena holds its own span")
    }

    /// Writes bytes; the caller has checked that they fit.
    pub(crate) fn write(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        for page in start / PAGE..end.div_ceil(PAGE) {
            self.used[page / 64] |= 1 << (page % 64);
        }
        self.all()[start..end].copy_from_slice(bytes);
    }

    /// Makes a range zero and returns how many bytes had to be written for that.
    fn clear(&mut self, range: Range<usize>) -> usize {
        let mut written = 0;
        let mut page = range.start / PAGE;
        while page * PAGE < range.end {
            let used = self.used[page / 64] >> (page % 64);
            if used & 1 == 0 {
                // This is the next used page within this word.
                page += (used.trailing_zeros() as usize).min(64 - page % 64);
                continue;
            }
            let whole = page * PAGE..((page + 1) * PAGE).min(self.bytes().len());
            let part = range.start.max(whole.start)..range.end.min(whole.end);
            written += part.len();
            if part == whole {
                self.used[page / 64] &= !(1 << (page % 64));
            }
            self.all()[part].fill(0);
            page += 1;
        }
        written
    }

    fn all(&mut self) -> &mut [u8] {
        let all = self.bytes.span();
        self.bytes
            .get_mut(all)
            .expect("an arena holds its own span")
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            size: self.bytes().len() as u64,
            block_size: BLOCK,
            preferred_block_size: 4096,
            max_transfer: MAX_TRANSFER,
            max_discard: MAX_ZEROES,
            max_write_zeroes: MAX_ZEROES,
            extents: true,
            read_only: false,
            write_cache: false,
            identity: "ramdisk".to_string(),
        }
    }

    /// Executes a request and returns where the data of a read is: in place, as the host
    /// reads it before the next call.
    pub(crate) fn execute(&mut self, request: &Request, data: &mut Arena) -> Result<Span, Status> {
        let range = self.range(request)?;
        match request.operation {
            Operation::Read => self.read(request, range, data),
            Operation::Write => {
                let payload = data.get(request.data).ok_or(Status::Invalid)?;
                if payload.len() != range.len() {
                    return Err(Status::Invalid);
                }
                self.write(range.start, payload);
                Ok(NOTHING)
            }
            Operation::Discard | Operation::WriteZeroes => {
                self.clear(range);
                Ok(NOTHING)
            }
            Operation::Flush => Ok(NOTHING),
            Operation::Extents => self.extents(request, range, data),
        }
    }

    /// Reports which pages hold only zeroes. Whether they take memory is not known.
    fn extents(
        &self,
        request: &Request,
        range: Range<usize>,
        data: &mut Arena,
    ) -> Result<Span, Status> {
        let room = data.get_mut(request.data).ok_or(Status::Invalid)?;
        let mut told = room.chunks_exact_mut(Extent::SIZE).take(Extent::MOST);
        let mut used = 0;
        let mut tell = |extent: Extent| {
            let Some(place) = told.next() else {
                return false;
            };
            place.copy_from_slice(&extent.encode());
            used += Extent::SIZE as u32;
            true
        };
        let end = range.end.min(range.start.saturating_add(MAX_SCAN));
        let mut run: Option<Extent> = None;
        for page in self.bytes()[range.start..end].chunks(PAGE) {
            let zero = is_zero(page);
            let length = page.len() as u32;
            match &mut run {
                Some(run) if run.zero == zero => run.length += length,
                run => {
                    let before = run.replace(Extent {
                        length,
                        hole: false,
                        zero,
                    });
                    if before.is_some_and(|before| !tell(before)) {
                        *run = None;
                        break;
                    }
                }
            }
        }
        if let Some(run) = run {
            tell(run);
        }
        Ok(Span {
            length: used,
            ..request.data
        })
    }

    #[cfg(target_arch = "wasm32")]
    #[expect(clippy::unused_self, reason = "same shape as the native one")]
    fn read(
        &self,
        _request: &Request,
        range: Range<usize>,
        _data: &mut Arena,
    ) -> Result<Span, Status> {
        Ok(Span {
            address: self.bytes.span().address + range.start as u32,
            length: range.len() as u32,
        })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn read(
        &self,
        request: &Request,
        range: Range<usize>,
        data: &mut Arena,
    ) -> Result<Span, Status> {
        let room = data.get_mut(request.data).ok_or(Status::Invalid)?;
        if room.len() != range.len() {
            return Err(Status::Invalid);
        }
        room.copy_from_slice(&self.bytes()[range]);
        Ok(request.data)
    }

    fn range(&self, request: &Request) -> Result<Range<usize>, Status> {
        let start = usize::try_from(request.offset).map_err(|_| Status::Invalid)?;
        let end = start
            .checked_add(request.length as usize)
            .ok_or(Status::Invalid)?;
        if end > self.bytes().len() {
            return Err(Status::Invalid);
        }
        Ok(start..end)
    }
}

/// Whether all bytes are zero. It compares eight of them at a time.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    rest.iter().all(|byte| *byte == 0) && words.iter().all(|word| u64::from_ne_bytes(*word) == 0)
}

const NOTHING: Span = Span {
    address: 0,
    length: 0,
};

#[cfg(test)]
mod tests {
    use alloc::vec;

    use vcp_sdk::block::Modifiers;

    use super::*;

    fn told(disk: &mut Disk, offset: u64, length: u32, room: u32) -> Vec<[u32; 2]> {
        let mut data = Arena::new(room, 0);
        let request = Request {
            tag: 1,
            operation: Operation::Extents,
            modifiers: Modifiers::empty(),
            offset,
            length,
            data: data.span(),
        };
        let answer = disk.execute(&request, &mut data).unwrap();
        let words = |bytes: &[u8]| {
            [0, 4].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
        };
        let bytes = data.get(answer).unwrap();
        bytes.chunks_exact(Extent::SIZE).map(words).collect()
    }

    #[test]
    fn pages_of_zeroes_are_told() {
        let mut disk = Disk::new(64 << 10).unwrap();
        assert_eq!(told(&mut disk, 0, 64 << 10, 4096), [[64 << 10, 2]]);
        disk.write(10_000, &[1]);
        disk.write(13_000, &[1]);
        let all = [[8192, 2], [8192, 0], [49_152, 2]];
        assert_eq!(told(&mut disk, 0, 64 << 10, 4096), all);
        assert_eq!(told(&mut disk, 0, 64 << 10, 16), all[..2]);
        assert_eq!(told(&mut disk, 512, 512, 4096), [[512, 2]]);
        // Pages are counted from the start of the request.
        assert_eq!(told(&mut disk, 9728, 1024, 4096), [[1024, 0]]);
    }

    #[test]
    fn only_what_was_written_is_written_again() {
        // The size is neither a whole number of pages, nor of words of them.
        const SIZE: usize = (100 * PAGE) + 512;
        let mut disk = Disk::new(SIZE as u64).unwrap();
        assert_eq!(disk.clear(0..SIZE), 0);
        for at in [0, 5000, 9000, 70 * PAGE, SIZE - 1] {
            disk.write(at, &[1]);
        }
        // The range covers a part of the first page, all of the second, and a part of the
        // third.
        assert_eq!(disk.clear(1..9000), 4095 + 4096 + 808);
        assert_eq!((disk.bytes()[0], disk.bytes()[9000]), (1, 1));
        assert_eq!(disk.clear(64 * PAGE..SIZE), 4096 + 512);
        assert_eq!(disk.clear(0..SIZE), 2 * 4096);
        assert!(is_zero(disk.bytes()));
        assert_eq!(disk.clear(0..SIZE), 0);
        disk.write(PAGE - 1, &[1; 2]);
        assert_eq!(disk.clear(0..SIZE), 2 * 4096);
        for at in [0, 7, 8, 512] {
            let mut bytes = [0; 513];
            bytes[at] = 1;
            assert!(!is_zero(&bytes), "{at}");
        }
    }

    #[test]
    fn zeroes_and_trims_clear_their_range() {
        for operation in [Operation::WriteZeroes, Operation::Discard] {
            let mut disk = Disk::new(64 << 10).unwrap();
            let geometry = disk.geometry();
            assert_eq!(geometry.max_discard, 16 << 20);
            assert_eq!(geometry.max_write_zeroes, 16 << 20);
            disk.write(0, &vec![1; 64 << 10]);
            let request = Request {
                tag: 1,
                operation,
                modifiers: Modifiers::empty(),
                offset: 512,
                length: 9216,
                data: NOTHING,
            };
            let answer = disk.execute(&request, &mut Arena::new(4096, 0)).unwrap();
            assert_eq!(answer.length, 0);
            let zeroes = |byte: &usize| disk.bytes()[*byte] == 0;
            let cleared: Vec<usize> = (0..64 << 10).filter(zeroes).collect();
            assert_eq!(cleared, (512..9728).collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_so_much_is_looked_at() {
        let mut disk = Disk::new(16 << 20).unwrap();
        assert_eq!(told(&mut disk, 512, 8 << 20, 4096), [[4 << 20, 2]]);
    }
}

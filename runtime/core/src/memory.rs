//! Linear memories whose bytes the host can reach: receive into and send from
//! them without a copy.
//!
//! The host touches guest memory only while
//! that guest is not running, through [`GuestMemory`], which checks every span.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munmap,
};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

thread_local! {
    /// Mappings made on this thread since they were last collected: wasmtime
    /// doesn't say which instance it makes a memory for, but an instance is made
    /// by one future.
    static CREATED: RefCell<Vec<Arc<Mapping>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `future`, which instantiates a component, and returns the memories made
/// meanwhile by it.
pub(crate) async fn collect<F: Future>(future: F) -> (F::Output, Vec<GuestMemory>) {
    let mut future = pin!(future);
    let mut memories = Vec::new();
    let output = poll_fn(|context| {
        // Other instances may make memories while this future gives the thread back.
        CREATED.with_borrow_mut(Vec::clear);
        let polled = future.as_mut().poll(context);
        let created = CREATED.with_borrow_mut(std::mem::take).into_iter();
        memories.extend(created.map(|mapping| GuestMemory { mapping }));
        polled
    })
    .await;
    (output, memories)
}

/// Makes memories for the engine.
pub(crate) struct Creator;

// SAFETY: `new_memory` returns memories that meet the contract of
// `LinearMemory`: `reserved` bytes of address space (plus guard) that stay where
// they are, inaccessible beyond the current size.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let limit = maximum.unwrap_or(usize::MAX);
        let reserved = reserved.unwrap_or(0).max(minimum);
        let mapping = Mapping::new(reserved, guard)
            .map_err(|e| format!("reserving {reserved} bytes of address space: {e}"))?;
        let mapping = Arc::new(mapping);
        let mut memory = Memory {
            mapping: Arc::clone(&mapping),
            limit,
        };
        memory
            .grow(minimum)
            .map_err(|e| format!("committing {minimum} bytes: {e}"))?;
        CREATED.with_borrow_mut(|created| created.push(mapping));
        Ok(Box::new(memory))
    }
}

/// Address space for one memory; it is unmapped with its last owner.
struct Mapping {
    base: NonNull<u8>,
    reserved: usize,
    total: usize,
    /// Accessible bytes from the base; only ever grows.
    size: AtomicUsize,
}

// SAFETY: the mapping is plain memory; access to its bytes is governed by
// `GuestMemory` and wasmtime.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(reserved: usize, guard: usize) -> rustix::io::Result<Self> {
        let total = (reserved + guard).next_multiple_of(rustix::param::page_size());
        // SAFETY: a fresh private mapping at an address the kernel chooses.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                total,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self {
            base,
            reserved,
            total,
            size: AtomicUsize::new(0),
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no other owner is left. It can only fail for
        // arguments that were never those of a mapping.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.total) };
    }
}

struct Memory {
    mapping: Arc<Mapping>,
    limit: usize,
}

impl Memory {
    fn grow(&mut self, new_size: usize) -> rustix::io::Result<()> {
        if new_size > self.limit || new_size > self.mapping.reserved {
            return Err(rustix::io::Errno::NOMEM);
        }
        let flags = MprotectFlags::READ | MprotectFlags::WRITE;
        let length = new_size.next_multiple_of(rustix::param::page_size());
        if length > 0 {
            // SAFETY: the range lies in our mapping, as checked above.
            unsafe { mprotect(self.mapping.base.as_ptr().cast(), length, flags)? };
        }
        self.mapping.size.store(new_size, Ordering::Release);
        Ok(())
    }
}

// SAFETY: the address never changes, `byte_size` bytes are accessible, and the
// memory beyond, up to `byte_capacity` and the guard, faults.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.mapping.size.load(Ordering::Acquire)
    }

    fn byte_capacity(&self) -> usize {
        self.mapping.reserved
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        self.grow(new_size)
            .map_err(|e| wasmtime::format_err!("growing a memory to {new_size} bytes: {e}"))
    }

    fn as_ptr(&self) -> *mut u8 {
        self.mapping.base.as_ptr()
    }
}

/// The host's view of one guest's memory.
///
/// Holding one keeps the address space, not the instance. There are two of an instance:
/// one beside its store, for between calls, and one in its store, for host functions. The
/// borrows that their methods return end before the guest runs again, and never meet:
/// running a guest needs `&mut` to the owner of the store and the first, and a host
/// function, during which the guest stands still, has `&mut` to what is in the store.
pub(crate) struct GuestMemory {
    mapping: Arc<Mapping>,
}

/// A span that reaches outside the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfBounds;

impl GuestMemory {
    /// The second view of the same memory, for its store.
    pub(crate) fn within(&self) -> Self {
        Self {
            mapping: Arc::clone(&self.mapping),
        }
    }

    /// Bytes of the memory now.
    pub(crate) fn size(&self) -> usize {
        self.mapping.size.load(Ordering::Acquire)
    }

    /// The bytes of a span.
    pub(crate) fn slice(&self, address: u32, length: u32) -> Result<&[u8], OutOfBounds> {
        let start = self.check(address, length)?;
        // SAFETY: the range was checked to lie in accessible memory, which never
        // shrinks or moves. The guest does not run while the borrow lives, and
        // writers in the host need `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(start.as_ptr(), length as usize) })
    }

    /// The bytes of a span, to write.
    pub(crate) fn slice_mut(
        &mut self,
        address: u32,
        length: u32,
    ) -> Result<&mut [u8], OutOfBounds> {
        let start = self.check(address, length)?;
        // SAFETY: as in `slice`, and `&mut self` makes it exclusive.
        Ok(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), length as usize) })
    }

    /// Has the kernel provide the pages of a span now, so that nobody waits for
    /// them later. Where it can't, they come when they are needed.
    pub(crate) fn populate(&self, address: u32, length: u32) {
        let page = rustix::param::page_size();
        let start = address as usize / page * page;
        let end = (address as usize + length as usize).min(self.size()) / page * page;
        if start >= end {
            return;
        }
        // SAFETY: the range lies in accessible memory of ours, and populating it
        // changes no byte of it.
        let _ = unsafe {
            let base = self.mapping.base.add(start).as_ptr().cast();
            madvise(base, end - start, Advice::LinuxPopulateWrite)
        };
    }

    fn check(&self, address: u32, length: u32) -> Result<NonNull<u8>, OutOfBounds> {
        if length == 0 {
            return Ok(NonNull::dangling());
        }
        let end = address as usize + length as usize;
        if end > self.size() {
            return Err(OutOfBounds);
        }
        // SAFETY: `address` lies inside the mapping.
        Ok(unsafe { self.mapping.base.add(address as usize) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(minimum: usize) -> (Memory, GuestMemory) {
        let mapping = Arc::new(Mapping::new(1 << 20, 1 << 16).unwrap());
        let mut memory = Memory {
            mapping: Arc::clone(&mapping),
            limit: 1 << 18,
        };
        memory.grow(minimum).unwrap();
        (memory, GuestMemory { mapping })
    }

    #[test]
    fn spans_are_checked_against_the_current_size() {
        let (mut memory, mut view) = memory(65536);
        assert_eq!(view.slice(65535, 1).unwrap(), [0]);
        assert_eq!(view.slice(65535, 2), Err(OutOfBounds));
        assert_eq!(view.slice(u32::MAX, u32::MAX), Err(OutOfBounds));
        assert_eq!(view.slice(u32::MAX, 0).unwrap(), []);
        memory.grow(2 * 65536).unwrap();
        view.slice_mut(65535, 2).unwrap().copy_from_slice(&[1, 2]);
        assert_eq!(view.slice(65536, 1).unwrap(), [2]);
    }

    #[test]
    fn growth_stops_at_the_limit() {
        let (mut memory, view) = memory(0);
        assert!(memory.grow((1 << 18) + 1).is_err());
        assert_eq!(view.size(), 0);
    }
}

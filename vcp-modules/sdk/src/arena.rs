//! Memory that the host writes into between calls. Besides this, the SDK has unsafe code
//! for a component's instance (`instance.rs`) and for use without `std`
//! (`standalone.rs`).

use core::cell::UnsafeCell;

use crate::types::Span;

/// A fixed block of the VCP's memory for the host (see `vcp:io/control.areas`), or for
/// other large and lasting data.
///
/// Natively an address is the offset in the arena plus its [`base`](Arena::new); in a
/// component it is the address in linear memory.
///
/// In a component the memory is fresh, and so zero without being written: unused parts
/// take only address space. It is never freed while the instance lives.
pub struct Arena {
    bytes: Block,
    base: u32,
}

#[cfg(target_arch = "wasm32")]
type Block = &'static mut [UnsafeCell<u8>];
#[cfg(not(target_arch = "wasm32"))]
type Block = alloc::boxed::Box<[UnsafeCell<u8>]>;

// SAFETY: `Arena` owns its bytes; shared access hands out only shared slices,
// exclusive access only exclusive ones. In a component there is one thread.
unsafe impl Send for Arena {}

impl Arena {
    /// Allocates `length` bytes, zeroed. `base` is the first address of spans into the
    /// arena where there is no linear memory, and ignored in a component.
    ///
    /// # Panics
    /// If the memory is not large enough.
    pub fn new(length: u32, base: u32) -> Self {
        Self::try_new(length, base).expect("the VCP's memory holds its areas; raise `memory`")
    }

    /// Does as [`Arena::new`]; `None` if the memory is not large enough.
    pub fn try_new(length: u32, base: u32) -> Option<Self> {
        let (bytes, base) = zeroed(length, base)?;
        Some(Self { bytes, base })
    }

    /// The whole arena as a span, for `areas`.
    pub fn span(&self) -> Span {
        Span {
            address: self.base,
            length: self.bytes.len() as u32,
        }
    }

    /// The bytes that a span names, or `None` when it reaches outside.
    pub fn get(&self, span: Span) -> Option<&[u8]> {
        let cells = self.bytes.get(self.range(span)?)?;
        // SAFETY: the host writes only between calls, while no borrow is live;
        // within a call `&self` excludes `get_mut`.
        Some(unsafe { &*(core::ptr::from_ref(cells) as *const [u8]) })
    }

    /// The bytes that a span names, for writing, or `None` when it reaches outside.
    pub fn get_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        let range = self.range(span)?;
        let cells = self.bytes.get_mut(range)?;
        // SAFETY: as for `get`, and `&mut self` makes the access exclusive.
        Some(unsafe { &mut *(core::ptr::from_mut(cells) as *mut [u8]) })
    }

    fn range(&self, span: Span) -> Option<core::ops::Range<usize>> {
        if span.length == 0 {
            return Some(0..0);
        }
        let start = span.address.checked_sub(self.base)? as usize;
        let end = start.checked_add(span.length as usize)?;
        Some(start..end)
    }
}

/// Adds whole pages to the memory, which no allocator knows of.
#[cfg(target_arch = "wasm32")]
fn zeroed(length: u32, _base: u32) -> Option<(Block, u32)> {
    const PAGE: usize = 1 << 16;
    let length = length as usize;
    let before = core::arch::wasm32::memory_grow(0, length.div_ceil(PAGE));
    if before == usize::MAX {
        return None;
    }
    let start = core::ptr::with_exposed_provenance_mut(before * PAGE);
    // SAFETY: the pages were not there before, so nothing else is in them, and they
    // hold `length` bytes; memory never shrinks. `UnsafeCell<u8>` has the layout of
    // `u8`, of which 0 is one. The address is not 0: there was memory before.
    let bytes = unsafe { core::slice::from_raw_parts_mut(start, length) };
    Some((bytes, (before * PAGE) as u32))
}

#[cfg(not(target_arch = "wasm32"))]
#[expect(clippy::unnecessary_wraps, reason = "same shape as in a component")]
fn zeroed(length: u32, base: u32) -> Option<(Block, u32)> {
    use alloc::boxed::Box;
    let zeroed = alloc::vec![0u8; length as usize].into_boxed_slice();
    // SAFETY: `UnsafeCell<u8>` has the same memory layout as `u8`, and the box is the
    // only owner of the bytes.
    let bytes = unsafe { Box::from_raw(Box::into_raw(zeroed) as *mut [UnsafeCell<u8>]) };
    Some((bytes, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_resolve_inside_and_not_outside() {
        let mut arena = Arena::new(64, 4096);
        let span = |address, length| Span { address, length };
        assert_eq!(arena.get(arena.span()), Some(&[0; 64][..]));
        arena
            .get_mut(span(4096, 4))
            .unwrap()
            .copy_from_slice(b"abcd");
        assert_eq!(arena.get(span(4097, 2)), Some(&b"bc"[..]));
        assert_eq!(arena.get(span(4095, 2)), None);
        assert_eq!(arena.get(span(4096 + 63, 2)), None);
        assert_eq!(arena.get(span(0, 0)), Some(&b""[..]));
        assert_eq!(arena.get(span(u32::MAX, u32::MAX)), None);
    }
}

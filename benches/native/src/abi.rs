//! What the program `native` and the VCP in a shared object say to each other: the
//! records of `wit/` in C's layout, for frames. Included by both, and built for both
//! from this file; both sides are trusted. No logic but what makes views of arrays.

/// What both sides must have been built with: this file, by its text (FNV-1a).
pub(crate) const VERSION: u64 = {
    let text = include_str!("abi.rs").as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < text.len() {
        hash = (hash ^ text[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
};

/// An array of the caller's or the callee's, which lives until the next call.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Array<T> {
    start: *const T,
    count: usize,
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Array<T> {}

/// UTF-8.
pub(crate) type Text = Array<u8>;

impl<T> Array<T> {
    pub(crate) fn of(entries: &[T]) -> Self {
        Self {
            start: entries.as_ptr(),
            count: entries.len(),
        }
    }

    /// Entries that may be written to.
    pub(crate) fn of_mut(entries: &mut [T]) -> Self {
        Self {
            start: entries.as_mut_ptr(),
            count: entries.len(),
        }
    }

    /// Nothing, and not even an empty array.
    pub(crate) fn none() -> Self {
        Self {
            start: std::ptr::null(),
            count: 0,
        }
    }

    /// The entries; `None` of [`Array::none`].
    ///
    /// # Safety
    /// What it was made of must still be there, and stay unchanged for `'a`.
    pub(crate) unsafe fn entries<'a>(self) -> Option<&'a [T]> {
        // SAFETY: the caller's word, and `of` had a slice.
        (!self.start.is_null())
            .then(|| unsafe { std::slice::from_raw_parts(self.start, self.count) })
    }

    /// The entries of [`Array::of_mut`], to write.
    ///
    /// # Safety
    /// As for [`Array::entries`], and nobody else uses them for `'a`.
    pub(crate) unsafe fn entries_mut<'a>(self) -> Option<&'a mut [T]> {
        let start = self.start.cast_mut();
        // SAFETY: the caller's word, and `of_mut` had a slice.
        (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts_mut(start, self.count) })
    }
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) address: u32,
    pub(crate) length: u32,
}

#[repr(C)]
#[derive(Debug)]
pub(crate) struct Areas {
    pub(crate) data: Span,
    pub(crate) receive: Span,
}

#[repr(C)]
pub(crate) struct Pair {
    pub(crate) key: Text,
    pub(crate) value: Text,
}

/// Start and network.
#[repr(C)]
pub(crate) struct Start {
    pub(crate) generation: u32,
    pub(crate) now: u64,
    pub(crate) seed: Array<u8>,
    pub(crate) config: Array<Pair>,
    pub(crate) queue_depth: u32,
    pub(crate) identity: Text,
    pub(crate) mac: Array<u8>,
    pub(crate) mtu: u32,
    pub(crate) addresses: Array<Text>,
    pub(crate) gateways: Array<Text>,
    pub(crate) checksum_offload: bool,
    pub(crate) segmentation_offload: bool,
}

#[repr(C)]
pub(crate) struct Request {
    pub(crate) tag: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) data: Span,
    /// The place of the word in `vcp:block/types.operation`.
    pub(crate) operation: u8,
    pub(crate) fua: bool,
    pub(crate) no_unmap: bool,
}

#[repr(C)]
pub(crate) struct Received {
    pub(crate) data: Span,
    /// The place of the word in `vcp:net/frames.checksum`.
    pub(crate) checksum: u8,
}

#[repr(C)]
pub(crate) struct Events {
    pub(crate) now: u64,
    pub(crate) stop: bool,
    pub(crate) requests: Array<Request>,
    pub(crate) frames: Array<Received>,
}

#[repr(C)]
pub(crate) struct Completion {
    pub(crate) tag: u64,
    pub(crate) data: Span,
    /// The place of the word in `vcp:block/types.status`.
    pub(crate) status: u8,
}

#[repr(C)]
pub(crate) struct Outgoing {
    pub(crate) data: Span,
    pub(crate) checksum_start: u16,
    pub(crate) checksum_offset: u16,
    pub(crate) segment_size: u16,
}

/// The place of the word in `vcp:block/types.notice`, what goes with `ready`, and the
/// line that goes with the others; of `ready` that is the device's identity.
#[repr(C)]
pub(crate) struct Notice {
    pub(crate) what: u8,
    pub(crate) geometry: Geometry,
    pub(crate) text: Text,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Geometry {
    pub(crate) size: u64,
    pub(crate) block_size: u32,
    pub(crate) preferred_block_size: u32,
    pub(crate) max_transfer: u32,
    pub(crate) max_discard: u32,
    pub(crate) max_write_zeroes: u32,
    pub(crate) read_only: bool,
    pub(crate) write_cache: bool,
}

#[repr(C)]
pub(crate) struct Effects {
    pub(crate) completions: Array<Completion>,
    pub(crate) notices: Array<Notice>,
    pub(crate) frames: Array<Outgoing>,
    /// `u64::MAX`: none.
    pub(crate) deadline: u64,
}

/// What the shared object exports, under the name [`ENTRY`]: a function without
/// arguments that returns this.
#[repr(C)]
pub(crate) struct Functions {
    /// [`VERSION`]; the first field for ever.
    pub(crate) version: u64,
    /// A VCP that is not started yet.
    pub(crate) make: unsafe extern "C" fn() -> *mut Instance,
    /// Starts it. What is returned is why not, and nothing if it did.
    pub(crate) init: unsafe extern "C" fn(*mut Instance, *const Start, *mut Areas) -> Text,
    pub(crate) process: unsafe extern "C" fn(*mut Instance, *const Events) -> Effects,
    /// The bytes of a span; nothing when it reaches outside.
    pub(crate) bytes: unsafe extern "C" fn(*const Instance, Span) -> Array<u8>,
    /// The same, to write.
    pub(crate) bytes_mut: unsafe extern "C" fn(*mut Instance, Span) -> Array<u8>,
    pub(crate) drop: unsafe extern "C" fn(*mut Instance),
}

/// Of the shared object's own.
#[repr(C)]
pub(crate) struct Instance {
    _private: [u8; 0],
}

/// The name of the one function exported.
pub(crate) const ENTRY: &str = "vcp_native";

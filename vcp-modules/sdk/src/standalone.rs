//! An allocator and a panic handler, which `std` would otherwise bring along
//! with its imports of WASI.

use core::alloc::Layout;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::log::{Level, write};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Whether a panic is being reported. Another may come from the reporting, for want of
/// memory.
static TELLING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if TELLING.swap(true, Relaxed) {
        write(Level::Error, "no memory left to say why");
    } else {
        write(Level::Error, &alloc::format!("{info}"));
    }
    core::arch::wasm32::unreachable()
}

/// The canonical ABI's allocator hook, which on this target comes with `std`.
///
/// # Safety
/// As the canonical ABI prescribes: `old_ptr` and the sizes and alignments are
/// those of an allocation made here, or `old_len` is 0.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(
    old_ptr: *mut u8,
    old_len: usize,
    align: usize,
    new_len: usize,
) -> *mut u8 {
    if new_len == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    let result = if old_len == 0 {
        // SAFETY: the size is not 0, and the ABI gives a valid alignment.
        unsafe { alloc::alloc::alloc(Layout::from_size_align_unchecked(new_len, align)) }
    } else {
        // SAFETY: the caller made the old allocation here with this layout.
        unsafe {
            let layout = Layout::from_size_align_unchecked(old_len, align);
            alloc::alloc::realloc(old_ptr, layout, new_len)
        }
    };
    if result.is_null() {
        core::arch::wasm32::unreachable();
    }
    result
}

// `memcmp` and its kin, which `core` expects and which on this target come with
// `std` too: from the same library, whose other parts stay out.
#[link(name = "c")]
unsafe extern "C" {}

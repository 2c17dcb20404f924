//! Asking the host for memory (`vcp:io/memory`).

use alloc::string::String;

/// Asks for so many bytes of linear memory in all, in `start` and before the memory grows.
/// Without the box there is nobody to ask, and nothing that limits it.
///
/// # Errors
/// One line, with what was asked for and what can be had.
#[cfg(target_arch = "wasm32")]
pub fn request(bytes: u64) -> Result<(), String> {
    crate::bindings::raw_memory::request(bytes)
}

/// As in a component, but there is nobody to ask, and nothing that limits it.
///
/// # Errors
/// None.
#[cfg(not(target_arch = "wasm32"))]
pub fn request(_bytes: u64) -> Result<(), String> {
    Ok(())
}

//! Requesting memory from the host (`vcp:io/memory`).

use alloc::string::String;

/// Requests `bytes` of linear memory in total, in `start` and before the memory grows.
/// Natively there is no limit, and this always succeeds.
///
/// # Errors
/// One line, with the requested and the available size.
#[cfg(target_arch = "wasm32")]
pub fn request(bytes: u64) -> Result<(), String> {
    crate::bindings::raw_memory::request(bytes)
}

/// Stands for the component's function; there is no limit, and this always succeeds.
///
/// # Errors
/// None.
#[cfg(not(target_arch = "wasm32"))]
pub fn request(_bytes: u64) -> Result<(), String> {
    Ok(())
}

//! The log. Natively, where there is no host, lines are dropped.

pub use crate::bindings::raw_log::Level;

/// Writes one line to the host's log.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::raw_log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (level, message);
}

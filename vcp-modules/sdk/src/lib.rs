//! The parts for writing a VCP in Rust: the queue interfaces of `wit/` as Rust types, the
//! memory areas, the log.
//!
//! A VCP implements [`Device`] or [`Processor`] and names its type in [`export_device!`]
//! or [`export_processor!`]; one that hands its state to its next version implements
//! [`Handover`] too. Everything here also compiles natively, so that a VCP's logic can be
//! tested and measured without the sandbox.
//!
//! With the feature `standalone` the crate brings an allocator and a panic handler: a
//! `#![no_std]` component then imports nothing but its log and, if it requests it, more
//! memory.
//!
//! Start reading at `vcp-modules/ramdisk`, the smallest complete VCP.
#![no_std]

extern crate alloc;

mod arena;
mod bindings;
mod export;
mod extent;
mod instance;
mod log;
mod memory;
mod size;
#[cfg(all(feature = "standalone", target_arch = "wasm32"))]
mod standalone;

pub use arena::Arena;
pub use bindings::{block, control, device, files, net, processor, types};
pub use extent::Extent;
pub use instance::{Device, Handover, Processor};
pub use log::{Level, write as log};
pub use memory::request as request_memory;
pub use size::parse_size;

/// Logs one formatted line: `log!(Info, "{n} blocks")`.
#[macro_export]
macro_rules! log {
    ($level:ident, $($arg:tt)*) => {
        $crate::log($crate::Level::$level, &$crate::__format!($($arg)*))
    };
}

#[doc(hidden)]
pub use alloc::format as __format;

#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::handover;
    pub use crate::instance::Instance;
    pub use alloc::{string::String, vec::Vec};
}

//! What a VCP written in Rust is made with: the queue interfaces of `wit/` as
//! Rust types, the memory areas, the log.
//!
//! A VCP implements [`Device`] or [`Processor`] and names its type in
//! [`export_device!`] or [`export_processor!`]. Everything here also compiles
//! natively, so that a VCP's logic can be tested and measured without the box.
//!
//! With the feature `standalone` the crate brings an allocator and a panic
//! handler: a `#![no_std]` component built so imports nothing but its log.
//!
//! Start reading at `vcp-modules/ramdisk`, the smallest complete VCP.
#![no_std]

extern crate alloc;

mod arena;
mod bindings;
mod instance;
mod log;
mod size;
#[cfg(all(feature = "standalone", target_arch = "wasm32"))]
mod standalone;

pub use arena::Arena;
pub use bindings::{block, control, device, net, processor, types};
pub use instance::{Device, Processor};
pub use log::{Level, write as log};
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
    pub use crate::instance::Instance;
    pub use alloc::{string::String, vec::Vec};
}

/// Exports a [`Device`] as a component of the world `device`.
#[macro_export]
macro_rules! export_device {
    ($ty:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::__private::{Instance, String, Vec};
            use $crate::{Device, block, control, device, types};

            static INSTANCE: Instance<$ty> = Instance::new();
            struct Export;
            impl device::Guest for Export {
                fn init(start: control::Start) -> Result<control::Areas, String> {
                    let (vcp, areas) = <$ty as Device>::start(start)?;
                    INSTANCE.set(vcp);
                    Ok(areas)
                }
                fn process(
                    now: types::Instant,
                    commands: Vec<control::Command>,
                    requests: Vec<block::Request>,
                ) -> device::Effects {
                    INSTANCE.with(|vcp| vcp.process(now, &commands, &requests))
                }
            }
    device::__export!(Export with_types_in device::__bindings);
        };
    };
}

/// Exports a [`Processor`] as a component of the world `processor`.
#[macro_export]
macro_rules! export_processor {
    ($ty:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::__private::{Instance, String};
            use $crate::{Processor, control, processor};

            static INSTANCE: Instance<$ty> = Instance::new();
            struct Export;
            impl processor::Guest for Export {
                fn init(
                    start: control::Start,
                    network: processor::Network,
                ) -> Result<control::Areas, String> {
                    let (vcp, areas) = <$ty as Processor>::start(start, network)?;
                    INSTANCE.set(vcp);
                    Ok(areas)
                }
                fn process(events: processor::Events) -> processor::Effects {
                    INSTANCE.with(|vcp| vcp.process(&events))
                }
            }
    processor::__export!(Export with_types_in processor::__bindings);
        };
    };
}

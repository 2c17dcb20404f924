//! Generated from `wit/`, and re-exported under short names. No logic here.

#[doc(hidden)]
pub mod processor_world {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "vcp:worlds/processor",
        pub_export_macro: true,
        export_macro_name: "__export_processor",
        generate_all,
    });
}

#[doc(hidden)]
pub mod device_world {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "vcp:worlds/device",
        pub_export_macro: true,
        export_macro_name: "__export_device",
        with: {
            "vcp:io/types@0.1.0": super::processor_world::vcp::io::types,
            "vcp:io/log@0.1.0": super::processor_world::vcp::io::log,
            "vcp:io/memory@0.1.0": super::processor_world::vcp::io::memory,
            "vcp:io/control@0.1.0": super::processor_world::vcp::io::control,
            "vcp:block/types@0.1.0": super::processor_world::vcp::block::types,
        },
    });
}

#[doc(hidden)]
pub mod handover_world {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "vcp:worlds/handover",
        pub_export_macro: true,
        export_macro_name: "__export_handover_world",
        with: {
            "vcp:io/types@0.1.0": super::processor_world::vcp::io::types,
        },
    });
}

#[doc(hidden)]
#[expect(unreachable_pub, reason = "as its siblings, which macros name")]
pub mod files_world {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "vcp:worlds/files",
        with: {
            "vcp:io/types@0.1.0": super::processor_world::vcp::io::types,
            "vcp:block/types@0.1.0": super::processor_world::vcp::block::types,
        },
        generate_all,
    });
}

/// Files in granted directories (`vcp:file/files`). They do not exist natively: every
/// call panics.
pub mod files {
    pub use super::files_world::vcp::file::files::*;
}

/// Time and spans (`vcp:io/types`).
pub mod types {
    pub use super::processor_world::vcp::io::types::*;
}

/// Start and stop (`vcp:io/control`).
pub mod control {
    pub use super::processor_world::vcp::io::control::*;
}

/// Block requests (`vcp:block/types`).
pub mod block {
    pub use super::processor_world::vcp::block::types::*;
}

/// Frames and streams (`vcp:net`).
pub mod net {
    /// `vcp:net/frames`.
    pub mod frames {
        pub use super::super::processor_world::vcp::net::frames::*;
    }
    /// `vcp:net/streams`.
    pub mod streams {
        pub use super::super::processor_world::vcp::net::streams::*;
    }
}

/// The exports of the world `device` (`vcp:block/device`).
pub mod device {
    #[doc(hidden)]
    pub use super::device_world as __bindings;
    #[doc(hidden)]
    pub use super::device_world::__export_device as __export;
    pub use super::device_world::exports::vcp::block::device::*;
}

/// The exports of the world `processor` (`vcp:net/processor`).
pub mod processor {
    #[doc(hidden)]
    pub use super::processor_world as __bindings;
    #[doc(hidden)]
    pub use super::processor_world::__export_processor as __export;
    pub use super::processor_world::exports::vcp::net::processor::*;
}

/// The additional exports of the worlds `device-handover` and `processor-handover`
/// (`vcp:io/handover`).
#[doc(hidden)]
pub mod handover {
    pub use super::handover_world as __bindings;
    pub use super::handover_world::__export_handover_world as __export;
    pub use super::handover_world::exports::vcp::io::handover::*;

    /// Takes a VCP's snapshot, and returns it in the interface's types.
    pub fn taken<T: crate::Handover>(
        vcp: &mut T,
        now: super::types::Instant,
    ) -> Result<Handed, Refusal> {
        let only_copy = vcp.only_copy();
        match vcp.snapshot(now) {
            Ok(state) => Ok(Handed { state, only_copy }),
            Err(why) if only_copy => Err(Refusal::Never(why)),
            Err(why) => Err(Refusal::NotNow(why)),
        }
    }
}

pub(crate) use processor_world::vcp::io::log as raw_log;
#[cfg(target_arch = "wasm32")]
pub(crate) use processor_world::vcp::io::memory as raw_memory;

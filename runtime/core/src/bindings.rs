//! Generated from `wit/`, the same files the guests are built from. No logic
//! here.

#[expect(missing_docs, reason = "what is generated has the words that wit/ has")]
mod generated {
    pub(crate) mod processor {
        wasmtime::component::bindgen!({
            path: "../../wit",
            world: "vcp:worlds/processor",
            imports: { "vcp:io/log": trappable, "vcp:io/memory": trappable },
            exports: { default: async },
        });
    }

    pub(crate) mod device {
        wasmtime::component::bindgen!({
            path: "../../wit",
            world: "vcp:worlds/device",
            exports: { default: async },
            with: {
                "vcp:io/types@0.1.0": super::processor::vcp::io::types,
                "vcp:io/log@0.1.0": super::processor::vcp::io::log,
                "vcp:io/memory@0.1.0": super::processor::vcp::io::memory,
                "vcp:io/control@0.1.0": super::processor::vcp::io::control,
                "vcp:block/types@0.1.0": super::processor::vcp::block::types,
            },
        });
    }

    pub(crate) mod files {
        wasmtime::component::bindgen!({
            path: "../../wit",
            world: "vcp:worlds/files",
            imports: { default: trappable },
            with: {
                "vcp:io/types@0.1.0": super::processor::vcp::io::types,
                "vcp:block/types@0.1.0": super::processor::vcp::block::types,
                "vcp:file/files@0.1.0.file": crate::file::OpenFile,
            },
        });
    }
}

pub(crate) use generated::device::exports::vcp::block::device;
pub(crate) use generated::device::{Device as DeviceWorld, DevicePre as DeviceWorldPre};
pub(crate) use generated::files::vcp::file::files;
pub(crate) use generated::processor::exports::vcp::net::processor;
pub(crate) use generated::processor::vcp::block::types as block;
pub(crate) use generated::processor::vcp::io::{control, log, memory, types};
pub(crate) use generated::processor::vcp::net::{frames, streams};
pub(crate) use generated::processor::{
    Processor as ProcessorWorld, ProcessorPre as ProcessorWorldPre,
};

//! VCPs with deliberate faults, for tests of what contains them: components built
//! from this directory by the build script, and the names of their faults.
//!
//! Each takes `config.fault`, one of its lists below, and is otherwise a small
//! well-behaved disk. Those with an allocator of their own also take
//!
//! - `config.generations`, such as `1..1` (the default): which of its instances have
//!   the fault;
//! - `config.call`, such as `7`: a fault that would strike when it is asked to flush
//!   strikes in that call of `process` instead;
//!
//! and hand their state over: the device its contents, the processor a stream. The
//! device's faults `suspend`, `put-off` and `deaf` take `config.resume`, after how many
//! milliseconds that is over.

pub mod faults;

/// Of the world `device`.
pub const MISBEHAVE_DEVICE: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/vcp_misbehave_device.wasm"));

/// Of the world `processor`.
pub const MISBEHAVE_PROCESSOR: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/vcp_misbehave_processor.wasm"));

/// Of the world `device`, with `std` and so with WASI.
pub const MISBEHAVE_WASI: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/vcp_misbehave_wasi.wasm"));

//! The wasmtime engine, configured once for all VCPs of the process.

use std::sync::{Arc, OnceLock};

use wasmtime::component::Linker;
use wasmtime::{Config, OptLevel, WasmFeatures};

use crate::fuel::{QUANTUM, Rate};
use crate::guest::{Saboteur, calibrate};
use crate::memory::Creator;
use crate::pool::Pool;
use crate::processor::Processors;
use crate::remember::Remembered;
use crate::state::{self, State};

/// Bytes of a fiber's stack: the Wasm stack and the host functions above it.
const ASYNC_STACK: usize = 2 << 20;
const WASM_STACK: usize = 1 << 20;

/// Bytes that all clients may hold unless it is set.
const CLIENT_MEMORY: usize = 1 << 30;

/// The features of WebAssembly that a module may use: version 2, later proposals that
/// compilers of plain languages use, and those that join the modules of a composed
/// component.
///
/// All else is refused when a module is loaded. The engine is built without garbage
/// collection and threads, and yet validates some of both: such code has no function behind
/// it when it runs, and ends the process.
const PROPOSALS: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Compiles and runs components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    /// The functions that every component may import.
    pub(crate) linker: Arc<Linker<State>>,
    pub(crate) saboteur: Saboteur,
    pub(crate) processors: Arc<Processors>,
    client_memory: Arc<Pool>,
    /// Fuel in a quantum of this machine, once that was measured.
    quantum: Arc<OnceLock<u64>>,
}

impl Engine {
    /// Makes the engine.
    ///
    /// Memories come from `memory.rs`, which rules out copy-on-write
    /// images and moving memories; `metered` counts fuel in guest code, and only
    /// a measurement of what metering costs has a reason to switch it off.
    pub fn new(metered: bool) -> anyhow::Result<Self> {
        Self::of(config(metered))
    }

    /// Makes a metered engine for compiling many versions of one component. It remembers
    /// functions in memory, up to 64 MiB, and compiles only those that it has not seen.
    pub fn remembering() -> anyhow::Result<Self> {
        let mut config = config(true);
        config
            .enable_incremental_compilation(Arc::new(Remembered::default()))
            .map_err(|error| anyhow::anyhow!("setting up compilation: {error:#}"))?;
        Self::of(config)
    }

    fn of(config: Config) -> anyhow::Result<Self> {
        let wasmtime = wasmtime::Engine::new(&config)
            .map_err(|error| anyhow::anyhow!("setting up the WebAssembly engine: {error:#}"))?;
        let linker = state::linker(&wasmtime)
            .map_err(|error| anyhow::anyhow!("setting up what VCPs may import: {error:#}"))?;
        Ok(Self {
            wasmtime,
            linker: Arc::new(linker),
            saboteur: Saboteur::default(),
            processors: Arc::default(),
            client_memory: Arc::new(Pool::new(CLIENT_MEMORY)),
            quantum: Arc::default(),
        })
    }

    /// The memory that the clients of all its VCPs may hold together, beyond what each of
    /// them may; 1 GiB unless it is set.
    pub fn client_memory(&self) -> &Arc<Pool> {
        &self.client_memory
    }

    /// The worth of fuel here: measured once, and by each VCP since then.
    pub(crate) fn rate(&self) -> Rate {
        let quantum = self
            .quantum
            .get_or_init(|| calibrate(&self.wasmtime).quantum());
        Rate::new(*quantum, QUANTUM)
    }
}

fn config(metered: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all().difference(PROPOSALS), false)
        .consume_fuel(metered)
        .cranelift_opt_level(OptLevel::Speed)
        .memory_init_cow(false)
        .memory_may_move(false)
        .coredump_on_trap(true)
        .with_host_memory(Arc::new(Creator))
        .async_stack_size(ASYNC_STACK)
        .max_wasm_stack(WASM_STACK);
    config
}

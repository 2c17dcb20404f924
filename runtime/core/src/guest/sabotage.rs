//! Faults on request: a small module beside the VCP, in its store, that does what
//! a VCP may do wrong. From the first instruction on everything is as if the
//! VCP's own code had done it: the same fiber, fuel, clock and limits.

use std::sync::{Arc, OnceLock};

use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, MemorySection, MemoryType, Module as Encoder, NameMap, NameSection, TypeSection,
};
use wasmtime::{Linker, Module};

use super::Guest;
use crate::fault::Fault;
use crate::memory;
use crate::processor::pace::within;
use crate::state::State;

/// A fault that an operator can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Injection {
    /// An instruction that can't be executed.
    Trap,
    /// A call that waits for ever, without using fuel.
    Hang,
    /// A loop that never ends.
    Spin,
    /// More linear memory than it may have.
    Oom,
    /// A recursion that never ends.
    Stack,
    /// A completion that names bytes outside the linear memory.
    BadDescriptor,
    /// Calls that are answered, and requests that never are.
    Stall,
    /// The end of the instance, between two calls.
    Kill,
    /// The end of its fuel after so many units into the next call, wherever in
    /// its code that is.
    Cut(u64),
    /// The end of the instance, between two calls, and that of the next one at its crossing
    /// of this number, from 1: control passes into a call or out of it, into a host function
    /// or out of it.
    Crossing(u64),
}

impl Injection {
    /// The faults without a number, in the order of the documentation.
    pub const NAMED: [Self; 8] = [
        Self::Trap,
        Self::Hang,
        Self::Spin,
        Self::Oom,
        Self::Stack,
        Self::BadDescriptor,
        Self::Stall,
        Self::Kill,
    ];
}

impl std::fmt::Display for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Trap => "trap",
            Self::Hang => "hang",
            Self::Spin => "spin",
            Self::Oom => "oom",
            Self::Stack => "stack",
            Self::BadDescriptor => "bad-descriptor",
            Self::Stall => "stall",
            Self::Kill => "kill",
            Self::Cut(fuel) => return write!(f, "cut:{fuel}"),
            Self::Crossing(crossing) => return write!(f, "crossing:{crossing}"),
        })
    }
}

/// A word that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no fault; there are: trap, hang, spin, oom, stack, bad-descriptor, stall, kill, cut:FUEL, crossing:N"
)]
pub struct UnknownInjection(String);

impl std::str::FromStr for Injection {
    type Err = UnknownInjection;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let named = Self::NAMED.into_iter().find(|i| i.to_string() == word);
        let number = |prefix| word.strip_prefix(prefix).and_then(|n| n.parse().ok());
        named
            .or(number("cut:").map(Self::Cut))
            .or(number("crossing:").map(Self::Crossing))
            .ok_or_else(|| UnknownInjection(word.to_owned()))
    }
}

/// The module, compiled when it is first needed.
pub(crate) type Saboteur = Arc<OnceLock<Module>>;

impl Guest {
    /// Runs the saboteur's function for a fault, and returns what came of it.
    pub(crate) async fn sabotage(&mut self, what: Injection) -> Fault {
        self.refuel();
        let limit = self.time();
        let module = match saboteur(&self.saboteur, self.store.engine()) {
            Ok(module) => module,
            Err(error) => return Fault::Instantiate(format!("the saboteur: {error:#}")),
        };
        let store = &mut self.store;
        let strike = async {
            let mut linker: Linker<State> = Linker::new(store.engine());
            linker.func_wrap_async("vcp", "wait", |_, (): ()| {
                Box::new(std::future::pending::<()>())
            })?;
            let instance = linker.instantiate_async(&mut *store, &module).await?;
            let function = instance.get_typed_func::<(), ()>(&mut *store, name(what))?;
            function.call_async(store, ()).await
        };
        // Its memory is the store's, and of no interest here.
        let (outcome, _memory) = memory::collect(within(strike, limit)).await;
        self.conclude(outcome).err().unwrap_or(Fault::Injected)
    }
}

fn name(what: Injection) -> &'static str {
    match what {
        Injection::Hang => "hang",
        Injection::Spin => "spin",
        Injection::Oom => "oom",
        Injection::Stack => "stack",
        Injection::Trap
        | Injection::BadDescriptor
        | Injection::Stall
        | Injection::Kill
        | Injection::Cut(_)
        | Injection::Crossing(_) => "trap",
    }
}

fn saboteur(place: &Saboteur, engine: &wasmtime::Engine) -> wasmtime::Result<Module> {
    if let Some(module) = place.get() {
        return Ok(module.clone());
    }
    let module = Module::new(engine, encode())?;
    Ok(place.get_or_init(|| module).clone())
}

/// The module: a function for each fault.
fn encode() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import("vcp", "wait", EntityType::Function(0));
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    // For backtraces.
    let mut names = NameMap::new();
    names.append(0, "wait");
    let mut code = CodeSection::new();
    // Function 0 is the import.
    for (index, (name, body)) in (1..).zip(bodies()) {
        functions.function(0);
        exports.export(name, ExportKind::Func, index);
        names.append(index, name);
        code.function(&body);
    }
    let mut named = NameSection::new();
    named.module("saboteur");
    named.functions(&names);
    let mut module = Encoder::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&memories)
        .section(&exports)
        .section(&code)
        .section(&named);
    module.finish()
}

fn bodies() -> [(&'static str, Function); 5] {
    let body = |fill: &dyn Fn(&mut wasm_encoder::InstructionSink<'_>)| {
        let mut function = Function::new([]);
        let mut sink = function.instructions();
        fill(&mut sink);
        sink.end();
        function
    };
    // `stack` calls itself; it is the fifth function after the import.
    const STACK: u32 = 5;
    [
        (
            "trap",
            body(&|s| {
                _ = s.unreachable();
            }),
        ),
        (
            "hang",
            body(&|s| {
                _ = s.call(0);
            }),
        ),
        (
            "spin",
            body(&|s| {
                _ = s.loop_(BlockType::Empty).br(0).end();
            }),
        ),
        // It asks for another page, as an allocator does, until there is none.
        (
            "oom",
            body(&|s| {
                s.loop_(BlockType::Empty)
                    .i32_const(16)
                    .memory_grow(0)
                    .i32_const(-1)
                    .i32_ne()
                    .br_if(0)
                    .end()
                    .unreachable();
            }),
        ),
        (
            "stack",
            body(&|s| {
                _ = s.call(STACK);
            }),
        ),
    ]
}

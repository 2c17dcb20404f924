//! What is found out about an instance that died, before it is gone.

use wasmtime::{AsContextMut as _, Trap, Val, WasmCoreDump};

use super::{Ended, Guest, Injection};
use crate::fault::{self, Fault};
use crate::file::{BadSpan, Spent};

/// What an instance leaves for a crash report.
#[derive(Debug, Default)]
pub(crate) struct Autopsy {
    /// Guest frames, innermost first, one a line. Empty if it died between calls.
    pub(crate) backtrace: String,
    /// Fuel used in all its calls.
    pub(crate) fuel: u64,
    /// Bytes of its linear memory.
    pub(crate) memory: usize,
    /// A Wasm core dump, if that was asked for.
    pub(crate) core: Option<Vec<u8>>,
    /// What it complained of in its last call, one line each, the oldest first.
    pub(crate) said: Vec<String>,
}

/// A fault, with the autopsy of the instance that died of it.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) fault: Fault,
    pub(crate) autopsy: Autopsy,
}

impl From<Fault> for Death {
    fn from(fault: Fault) -> Self {
        let autopsy = Autopsy::default();
        Self { fault, autopsy }
    }
}

impl Guest {
    /// Makes a fault of the error of a call, and keeps what only the error knows.
    pub(super) fn died(&mut self, error: &wasmtime::Error) -> Fault {
        self.backtrace = fault::backtrace(error);
        self.said = self.store.data().log().last_words();
        if self.limits.core_dumps
            && let Some(dump) = error.downcast_ref::<WasmCoreDump>()
        {
            self.core = Some(dump.serialize(&mut self.store, &self.name));
        }
        self.classify(error)
    }

    fn classify(&mut self, error: &wasmtime::Error) -> Fault {
        if error.is::<Ended>() {
            return Fault::Injected;
        }
        if error.is::<Spent>() {
            return Fault::Watchdog { limit: self.time() };
        }
        if let Some(&BadSpan {
            what,
            address,
            length,
        }) = error.downcast_ref()
        {
            return Fault::Span {
                what,
                address,
                length,
            };
        }
        let trap = error.downcast_ref::<Trap>().copied();
        let refused = self.store.data().refused();
        match trap {
            Some(Trap::OutOfFuel) => Fault::Fuel {
                limit: self.allowance(),
            },
            Some(Trap::StackOverflow) => Fault::Stack { shadow: false },
            // Compiled languages do this when their allocator gets no memory.
            Some(Trap::UnreachableCodeReached) if refused.is_some() => Fault::Memory {
                limit: self.store.data().memory(),
                wanted: refused.unwrap_or_default(),
            },
            Some(Trap::MemoryOutOfBounds) if self.shadow_stack_is_gone(error) => {
                Fault::Stack { shadow: true }
            }
            _ => Fault::Trap(fault::describe(error)),
        }
    }

    /// LLVM's stack begins low in linear memory, below all data, and grows
    /// towards 0: a stack pointer that has gone past it is negative. No other
    /// global of a compiled language is.
    fn shadow_stack_is_gone(&mut self, error: &wasmtime::Error) -> bool {
        let Some(dump) = error.downcast_ref::<WasmCoreDump>() else {
            return false;
        };
        let mut store = self.store.as_context_mut();
        dump.globals().iter().any(|global| {
            let mutable = global.ty(&store).mutability() == wasmtime::Mutability::Var;
            mutable && matches!(global.get(&mut store), Val::I32(value) if value < 0)
        })
    }

    /// Finds out all that there is to find out, before the instance is dropped.
    pub(crate) async fn autopsy(&mut self) -> Autopsy {
        let backtrace = std::mem::take(&mut self.backtrace);
        let said = match self.said.is_empty() {
            // It did not trap, and may have said why it failed.
            true => self.store.data().log().last_words(),
            false => std::mem::take(&mut self.said),
        };
        if self.limits.core_dumps && self.core.is_none() && !self.lost && !self.is_native() {
            // An instance that did not trap has left no dump: an injected trap gives one.
            let _ = self.sabotage(Injection::Trap).await;
        }
        Autopsy {
            backtrace,
            fuel: self.fuel,
            memory: self.memory_size(),
            core: self.core.take(),
            said,
        }
    }
}

//! Every way a VCP can fail, as one structured value.

use vcp_queue::Violation;
use wasmtime::Trap;

use crate::logging::line;

/// What ended an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The component would not be instantiated.
    #[error("could not be instantiated: {0}")]
    Instantiate(String),
    /// It refused its configuration, or could not start for another reason of
    /// its own. One line.
    #[error("{0}")]
    Init(String),
    /// Wasm code trapped.
    #[error("trap: {message}")]
    Trap {
        /// What kind of trap.
        message: String,
        /// Guest frames, innermost first, one a line.
        backtrace: String,
    },
    /// One call used up the fuel limit for one call.
    #[error("one call used all of its {limit} units of fuel")]
    Fuel {
        /// The limit, in units of fuel.
        limit: u64,
    },
    /// An entry names bytes outside the VCP's memory.
    #[error("{what}: span at {address:#x}, {length} bytes long, reaches outside the memory")]
    Span {
        /// Which entry.
        what: &'static str,
        /// Of the span.
        address: u32,
        /// Of the span.
        length: u32,
    },
    /// A completion answers nothing, or not what was asked.
    #[error(transparent)]
    Completion(#[from] Violation),
    /// It said something that its interface forbids.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// One call waited too long for what a granted interface was to give.
    #[error("one call waited for more than {seconds} s")]
    Stuck {
        /// The most that a call may wait.
        seconds: u64,
    },
    /// An operator asked for it.
    #[error("injected")]
    Injected,
}

impl Fault {
    /// Sorts an error of a call into the guest.
    pub(crate) fn from_call(error: wasmtime::Error, limit: u64) -> Self {
        if let Some(Trap::OutOfFuel) = error.downcast_ref::<Trap>() {
            return Self::Fuel { limit };
        }
        let backtrace = error
            .downcast_ref::<wasmtime::WasmBacktrace>()
            .map(|backtrace| lines(&backtrace.to_string()))
            .unwrap_or_default();
        let message = match error.downcast_ref::<Trap>() {
            Some(trap) => trap
                .to_string()
                .trim_start_matches("wasm trap: ")
                .to_owned(),
            None => line(&error.root_cause().to_string()),
        };
        Self::Trap { message, backtrace }
    }
}

/// A backtrace with names that the guest's maker chose.
fn lines(backtrace: &str) -> String {
    let lines = backtrace.lines().take(MAX_LINES).map(line);
    lines.collect::<Vec<_>>().join("\n")
}

/// Lines of a backtrace that are kept.
const MAX_LINES: usize = 128;

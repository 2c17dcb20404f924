//! Every way a VCP can fail, as one structured value.

use std::time::Duration;

use vcp_queue::Violation;
use wasmtime::Trap;

use crate::guest::Ended;
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
    #[error("trap: {0}")]
    Trap(String),
    /// It ran out of stack.
    #[error("stack overflow{}", if *.shadow { " (in the linear memory)" } else { "" })]
    Stack {
        /// Not the engine's stack but the one that compiled languages keep in
        /// linear memory.
        shadow: bool,
    },
    /// It asked for more linear memory than it may have, and could not do
    /// without.
    #[error("out of memory: it may have {limit} bytes (`memory`) and asked for {wanted}")]
    Memory {
        /// The limit, in bytes.
        limit: usize,
        /// What it wanted to grow to, in bytes.
        wanted: usize,
    },
    /// One call used up the fuel limit for one call.
    #[error("one call used all of its {limit} units of fuel")]
    Fuel {
        /// The limit, in units of fuel.
        limit: u64,
    },
    /// One call took too long by the clock, running or waiting for what a granted
    /// interface was to give.
    #[error("one call took more than {limit:?}")]
    Watchdog {
        /// The most that a call may take.
        limit: Duration,
    },
    /// It answers its calls but no requests, and does not say why.
    #[error("no request answered in {limit:?}, {held} held")]
    Stalled {
        /// The longest time without an answer.
        limit: Duration,
        /// Queue entries that it held.
        held: usize,
    },
    /// It was started again, and says neither that it serves nor that it can't.
    #[error("neither ready nor suspended within {limit:?} of its start")]
    NotReady {
        /// The longest time without a notice.
        limit: Duration,
    },
    /// An entry names bytes outside the VCP's memory.
    #[error("{what}: span at {address:#x}, {length} bytes long, reaches outside the memory")]
    Span {
        /// The kind of entry.
        what: &'static str,
        /// The span's address.
        address: u32,
        /// The span's length, in bytes.
        length: u32,
    },
    /// A completion answers no request, or not as it was asked.
    #[error(transparent)]
    Completion(#[from] Violation),
    /// It said something that its interface forbids.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// An operator injected it.
    #[error("injected")]
    Injected,
}

impl From<Ended> for Fault {
    fn from(Ended: Ended) -> Self {
        Self::Injected
    }
}

impl Fault {
    /// One word for tables and statistics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Instantiate(_) => "instantiate",
            Self::Init(_) => "init",
            Self::Trap(_) => "trap",
            Self::Stack { .. } => "stack",
            Self::Memory { .. } => "memory",
            Self::Fuel { .. } => "fuel",
            Self::Watchdog { .. } => "watchdog",
            Self::Stalled { .. } | Self::NotReady { .. } => "stalled",
            Self::Span { .. } => "span",
            Self::Completion(_) => "completion",
            Self::Protocol(_) => "protocol",
            Self::Injected => "injected",
        }
    }
}

/// Describes the error that a call into the guest ended with.
pub(crate) fn describe(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap
            .to_string()
            .trim_start_matches("wasm trap: ")
            .to_owned(),
        None => line(&error.root_cause().to_string()),
    }
}

/// The guest frames of an error, innermost first, one a line, with names that
/// the guest's maker chose.
pub(crate) fn backtrace(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else {
        return String::new();
    };
    let text = backtrace.to_string();
    let lines = text.lines().take(MAX_LINES).map(line);
    lines.collect::<Vec<_>>().join("\n")
}

/// Lines of a backtrace that are kept.
const MAX_LINES: usize = 128;

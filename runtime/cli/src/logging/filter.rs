//! The filter of the log: `VCP_LOG`, which shows the compiler only if it is named.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The crates that log every instruction they compile, as prefixes.
const COMPILER: [&str; 4] = ["cranelift", "regalloc2", "wasmtime", "wasmparser"];

/// The filter that `asked` describes, in the syntax of `tracing-subscriber`. Where it
/// asks for more than warnings, the compiler is left out, unless it is named.
pub(super) fn of(asked: &str) -> Result<EnvFilter, String> {
    let plain = EnvFilter::builder()
        .parse(asked)
        .map_err(|error| error.to_string())?;
    if plain.max_level_hint() <= Some(LevelFilter::WARN) {
        return Ok(plain);
    }
    let quiet = COMPILER.map(|name| format!("{name}=warn")).join(",");
    // The last of two directives for one target holds.
    EnvFilter::builder()
        .parse(format!("{quiet},{asked}"))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;

    /// Which of three targets would be logged at the level DEBUG: ours, the code
    /// generator's, and the engine's.
    fn shown(asked: &str) -> [bool; 3] {
        let filter = of(asked).unwrap();
        let subscriber = tracing_subscriber::registry().with(filter);
        tracing::subscriber::with_default(subscriber, || {
            [
                tracing::enabled!(target: "vcp_core::cache", tracing::Level::DEBUG),
                tracing::enabled!(target: "cranelift_codegen::context", tracing::Level::DEBUG),
                tracing::enabled!(target: "wasmtime_internal_cranelift", tracing::Level::DEBUG),
            ]
        })
    }

    #[test]
    fn the_compiler_speaks_when_it_is_named() {
        assert_eq!(shown("debug"), [true, false, false]);
        assert_eq!(shown("trace"), [true, false, false]);
        assert_eq!(shown("warn,vcp_core=debug"), [true, false, false]);
        assert_eq!(shown("debug,cranelift=debug"), [true, true, false]);
        assert_eq!(shown("debug,cranelift_codegen=debug"), [true, true, false]);
        assert_eq!(shown("debug,wasmtime=trace"), [true, false, true]);
        assert_eq!(shown("error"), [false, false, false]);
        assert!(of("=!").is_err());
    }
}

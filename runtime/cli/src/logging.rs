//! Logs: to stderr, at the level that `VCP_LOG` says, `warn` unless set.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The environment variable, in the syntax of `tracing-subscriber`'s filters.
const VARIABLE: &str = "VCP_LOG";

pub(crate) fn start() {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

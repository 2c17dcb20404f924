//! Logs: to stderr, at the level that `VCP_LOG` says.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The environment variable, in the syntax of `tracing-subscriber`'s filters.
const VARIABLE: &str = "VCP_LOG";

/// Starts logging, at `default` unless the environment says otherwise.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

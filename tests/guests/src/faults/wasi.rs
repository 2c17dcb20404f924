//! Every fault that `MISBEHAVE_WASI` has. The guest includes this file.

/// By name, as in `config.fault`.
pub const FAULTS: &[&str] = &[
    "sleep",
    "sockets",
    "stdout",
    "environment",
    "speech",
    "panic-std",
];

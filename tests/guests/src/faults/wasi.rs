//! Every fault that `MISBEHAVE_WASI` has. The guest includes this file.

/// By name, as in `config.fault`.
pub const FAULTS: &[&str] = &[
    "sleep",
    "sockets",
    "stdout",
    "environment",
    "speech",
    "panic-std",
    // With a file of 4096 bytes, `/data/f`, that is granted.
    "file-read-outside",
    "file-write-outside",
    "file-extents-outside",
    "file-odd",
    "file-many",
    "file-not-to-be-written",
    "file-sync-endless",
];

//! Every fault of the hand-over, which `MISBEHAVE_DEVICE` and `MISBEHAVE_PROCESSOR`
//! both have. The guests include this file.

/// By name, as in `config.fault`.
pub const FAULTS: &[&str] = &[
    // Of the old instance, in `snapshot`.
    "snapshot-error",
    "snapshot-error-huge",
    "snapshot-trap",
    "snapshot-loop",
    "snapshot-allocate",
    "snapshot-huge",
    "snapshot-only-copy-huge",
    "snapshot-outside",
    "snapshot-empty",
    "snapshot-garbage",
    "snapshot-short",
    "snapshot-twice",
    // Of the new one, in `restore`.
    "restore-error",
    "restore-error-huge",
    "restore-trap",
    "restore-loop",
    "restore-allocate",
    // Of the new one, in its first call after a `restore`.
    "restore-never-ready",
    "restore-suspended",
    "restore-failed",
    "restore-shrunk",
    "restore-other-block",
    // And after that.
    "restore-silent",
];

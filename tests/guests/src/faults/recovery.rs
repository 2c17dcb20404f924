//! Faults of `MISBEHAVE_DEVICE` that a supervisor has to tell apart. The guest
//! includes this file.

/// By name, as in `config.fault`.
pub const FAULTS: &[&str] = &[
    // In the first call.
    "never-ready",
    "suspended-first",
    "failed-first",
    // When it strikes.
    "suspend",
    "put-off",
    "deaf",
    "grow",
];

//! What happens in a run, for whoever looks into a finding: off unless `examples/replay`
//! asks for it, because it costs a hundred times what it tells of.

use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);

/// Writes what happens to stderr from here on.
pub fn enable() {
    ON.store(true, Ordering::Relaxed);
}

pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A line of what happens, as `eprintln` takes it.
macro_rules! trace {
    ($($line:tt)*) => {
        if $crate::trace::is_on() {
            eprintln!($($line)*);
        }
    };
}
pub(crate) use trace;

//! How much there may be to compile. Compiling can't be interrupted, and takes time and
//! memory by what a module holds: about a second for a megabyte of code, and more than
//! that by the size of a single function. So both are bounded before it begins.

use wasmparser::{Parser, Payload};

/// The largest component, in bytes. Those of interpreted languages have 20 MB.
pub(crate) const LARGEST: usize = 64 << 20;

/// The largest function, in bytes. The main loop of an interpreter has 200 KB.
const LARGEST_FUNCTION: usize = 1 << 20;

/// Checks these bounds. The error is a clause that names what is too large, and the bound.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > LARGEST {
        return Err(format!(
            "has {} bytes; this host compiles up to {LARGEST}",
            bytes.len()
        ));
    }
    // Bytes that are no module are left for the validation to report.
    let payloads = Parser::new(0).parse_all(bytes).map_while(Result::ok);
    let bodies = payloads.filter_map(|payload| match payload {
        Payload::CodeSectionEntry(body) => Some(body.range()),
        _ => None,
    });
    match bodies.max_by_key(|body| body.len()) {
        Some(body) if body.len() > LARGEST_FUNCTION => Err(format!(
            "has a function of {} bytes (at {:#x}); this host compiles up to {LARGEST_FUNCTION}",
            body.len(),
            body.start
        )),
        _ => Ok(()),
    }
}

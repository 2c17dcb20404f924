//! Negotiation text: `key=value` pairs (RFC 7143 §6, §13).
//!
//! [`pairs`] reads what a Login or Text PDU carries, [`Accumulator`] joins text that
//! spans PDUs, [`Writer`] makes text, [`Key`] knows the keys of the standard, and
//! [`value`] reads and writes values. Who offers what, and when, is the
//! negotiator's business.

mod accumulator;
mod key;
mod pairs;
mod spec;
pub mod value;
mod writer;

pub use accumulator::Accumulator;
pub use key::Key;
pub use pairs::{Pair, Pairs, pairs};
pub use spec::{BooleanFn, KeyKind, KeySpec, NumberFn, Scope, Senders, Use};
pub use writer::Writer;

/// Longest key in bytes (RFC 7143 §6.1).
pub const MAX_KEY_LEN: usize = 63;

/// Longest simple value in bytes, as long as its key doesn't say otherwise
/// (RFC 7143 §6.1). One value of a list is a simple value; the list is none.
pub const MAX_VALUE_LEN: usize = 255;

/// The answer to an offer that can't be met.
pub const REJECT: &str = "Reject";
/// The answer to a key that has no meaning with the keys before it.
pub const IRRELEVANT: &str = "Irrelevant";
/// The answer to an unknown key.
pub const NOT_UNDERSTOOD: &str = "NotUnderstood";
/// The list value that means "no such thing".
pub const NONE: &str = "None";

/// An error of negotiation text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The last pair isn't followed by a zero byte.
    #[error("the last key=value pair has no end")]
    Unterminated,
    /// A pair has no equals sign.
    #[error("text without an equals sign where a key=value pair is expected")]
    NoEquals,
    /// A key is empty, too long or holds other characters than the standard allows.
    #[error("malformed key")]
    BadKey,
    /// A value isn't UTF-8, or holds control characters.
    #[error("malformed value")]
    BadValue,
    /// A value isn't what its key requires: no number, none in range, no boolean…
    #[error("value is not {0}")]
    Expected(&'static str),
    /// There is more text than the receiver agreed to take.
    #[error("more than {0} bytes of negotiation text")]
    TooLong(usize),
}

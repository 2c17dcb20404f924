//! Errors in bytes from the other side. An error names the field, so that a log line
//! tells an operator which peer breaks which rule.

/// A PDU, data segment or SCSI parameter block that can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The opcode isn't one of RFC 7143 §11.2.1.2.
    #[error("unknown opcode {0:#04x}")]
    UnknownOpcode(u8),
    /// The opcode is known, but not one that this side may send.
    #[error("opcode {0:#04x} from the wrong side")]
    WrongDirection(u8),
    /// The opcode isn't that of the PDU asked for.
    #[error("opcode {found:#04x} where {expected:#04x} is expected")]
    WrongOpcode {
        /// The opcode of the PDU that was to be parsed.
        expected: u8,
        /// The opcode found.
        found: u8,
    },
    /// A field holds a value that its definition rules out.
    #[error("{structure}: {field} is invalid")]
    Field {
        /// The PDU or structure.
        structure: &'static str,
        /// The field as its standard names it.
        field: &'static str,
    },
    /// The structure is longer than the bytes given.
    #[error("{0} is cut short")]
    Truncated(&'static str),
}

impl Error {
    pub(crate) const fn field(structure: &'static str, field: &'static str) -> Self {
        Self::Field { structure, field }
    }
}

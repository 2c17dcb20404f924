//! Error numbers of the transmission phase ("Error values"), and how the
//! statuses of a block queue map to them.

use vcp_queue::Status;

/// The error numbers that the protocol allows and this server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Errno {
    /// Operation not permitted, such as a write to a read-only export.
    Perm = 1,
    /// Input/output error.
    Io = 5,
    /// Cannot allocate memory.
    NoMemory = 12,
    /// Invalid argument.
    Invalid = 22,
    /// No space left, or a write beyond the end.
    NoSpace = 28,
    /// Value too large.
    Overflow = 75,
    /// The server is being shut down.
    Shutdown = 108,
}

impl Errno {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The error number for a request's status; `None` for success.
    ///
    /// [`Status::NotSupported`] becomes `EINVAL`: the document reserves `ENOTSUP`
    /// for fast zeroing, which this server does not offer.
    #[must_use]
    pub const fn from_status(status: Status) -> Option<Self> {
        match status {
            Status::Ok => None,
            Status::IoError => Some(Self::Io),
            Status::Invalid | Status::NotSupported => Some(Self::Invalid),
            Status::NoSpace => Some(Self::NoSpace),
            Status::NotPermitted => Some(Self::Perm),
            Status::ShuttingDown => Some(Self::Shutdown),
            Status::NoMemory => Some(Self::NoMemory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_map_to_the_numbers_of_the_document() {
        let table = [
            (Status::Ok, None),
            (Status::IoError, Some(5)),
            (Status::Invalid, Some(22)),
            (Status::NoSpace, Some(28)),
            (Status::NotPermitted, Some(1)),
            (Status::NotSupported, Some(22)),
            (Status::ShuttingDown, Some(108)),
            (Status::NoMemory, Some(12)),
        ];
        for (status, number) in table {
            assert_eq!(
                Errno::from_status(status).map(Errno::number),
                number,
                "{status:?}"
            );
        }
        assert_eq!(Errno::Overflow.number(), 75);
    }
}

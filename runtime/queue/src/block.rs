//! Block requests as the host sees them. The meaning of each operation and why
//! it may be replayed is written down once, in `wit/deps/block/types.wit`.

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read bytes.
    Read,
    /// Write bytes.
    Write,
    /// Make completed writes durable.
    Flush,
    /// Forget a range.
    Discard,
    /// Make a range read as zeroes.
    WriteZeroes,
    /// Say how a range is allocated, or a part of it from its beginning on; see
    /// [`Extent`](crate::Extent).
    Extents,
}

impl Operation {
    /// Whether it changes what the device holds.
    pub fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Discard | Self::WriteZeroes)
    }

    /// Whether it is answered with bytes: the table then holds those that have come so far,
    /// and no payload.
    pub(crate) fn asks(self) -> bool {
        matches!(self, Self::Read | Self::Extents)
    }

    /// The status of a request that reaches beyond the end of the device: one that wants
    /// space there finds none, any other makes no sense.
    pub fn beyond_the_end(self) -> Status {
        match self {
            Self::Write | Self::WriteZeroes => Status::NoSpace,
            _ => Status::Invalid,
        }
    }
}

/// Further conditions of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modifiers {
    /// Durable before it completes.
    pub fua: bool,
    /// Keep the range allocated (write-zeroes).
    pub no_unmap: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It was done as asked.
    Ok,
    /// The medium or the path to it failed (EIO).
    IoError,
    /// The request makes no sense for this device (EINVAL).
    Invalid,
    /// Out of space (ENOSPC).
    NoSpace,
    /// Write-protected or refused (EPERM).
    NotPermitted,
    /// The device cannot do this (ENOTSUP).
    NotSupported,
    /// The device is going away (ESHUTDOWN).
    ShuttingDown,
    /// No memory for the request (ENOMEM).
    NoMemory,
}

/// The properties of a device. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// A multiple of `block_size`.
    pub size: u64,
    /// Logical block: a power of two, 1 to 65536.
    pub block_size: u32,
    /// The block size that the device prefers; a multiple of `block_size`.
    pub preferred_block_size: u32,
    /// Longest read or write of one queue entry.
    pub max_transfer: u32,
    /// Longest discard; 0 for none.
    pub max_discard: u32,
    /// Longest write-zeroes; 0 for none.
    pub max_write_zeroes: u32,
    /// Whether it tells how its ranges are allocated.
    pub extents: bool,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether completed writes may be lost until a flush.
    pub write_cache: bool,
    /// Stable name of the medium; may be empty.
    pub identity: String,
}

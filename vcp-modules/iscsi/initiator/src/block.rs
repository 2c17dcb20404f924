//! Block requests as the caller hands them over, the memory their bytes lie in,
//! and what is said back. The meaning of each operation is that of
//! `wit/deps/block/types.wit`.

use alloc::string::String;

/// A range of bytes in a [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Address of the first byte.
    pub address: u32,
    /// How many bytes.
    pub length: u32,
}

impl Span {
    /// The part of the span from byte `from` on, `length` bytes long. The caller
    /// has checked that it lies inside.
    pub(crate) fn part(self, from: u32, length: u32) -> Self {
        debug_assert!(u64::from(from) + u64::from(length) <= u64::from(self.length));
        Self {
            address: self.address.wrapping_add(from),
            length,
        }
    }
}

/// The memory that the spans of requests lie in: the linear memory of a guest,
/// or any buffer when the initiator runs natively.
pub trait Memory {
    /// The bytes of a span that a submitted request contains.
    fn bytes(&self, span: Span) -> &[u8];
    /// The bytes of a span that a submitted read contains, to be written.
    fn bytes_mut(&mut self, span: Span) -> &mut [u8];
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read `length` bytes into `data`.
    Read,
    /// Write the `length` bytes of `data`.
    Write,
    /// Make every write completed so far durable.
    Flush,
    /// Forget a range.
    Discard,
    /// Make a range read as zeroes.
    WriteZeroes,
}

impl Operation {
    /// How it ends when its range reaches beyond the end of the logical unit: what
    /// wants room there finds none, all else makes no sense.
    pub(crate) fn beyond_the_end(self) -> Status {
        match self {
            Self::Write | Self::WriteZeroes => Status::NoSpace,
            _ => Status::Invalid,
        }
    }
}

/// One block request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Names the request until it is completed.
    pub tag: u64,
    /// What to do.
    pub operation: Operation,
    /// Durable before it completes (write, discard, write-zeroes).
    pub fua: bool,
    /// Keep the range allocated (write-zeroes).
    pub no_unmap: bool,
    /// Bytes from the start of the device; a multiple of the block size.
    pub offset: u64,
    /// Bytes; a multiple of the block size; 0 for a flush.
    pub length: u32,
    /// `length` bytes for a read or a write; ignored for everything else.
    pub data: Span,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// As asked.
    Ok,
    /// The medium or the path to it failed.
    IoError,
    /// The request makes no sense for this device.
    Invalid,
    /// The logical unit is out of space.
    NoSpace,
    /// Write-protected, or refused.
    NotPermitted,
    /// The logical unit cannot do this.
    NotSupported,
    /// The initiator is stopping, has stopped or has failed.
    ShuttingDown,
}

/// What the logical unit is. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// A multiple of `block_size`.
    pub size: u64,
    /// Logical block: a power of two, 512 to 65536.
    pub block_size: u32,
    /// The size and alignment the logical unit likes best; a multiple of
    /// `block_size`.
    pub preferred_block_size: u32,
    /// The longest read or write of one request.
    pub max_transfer: u32,
    /// The longest discard; 0 when the logical unit cannot discard.
    pub max_discard: u32,
    /// The longest write-zeroes; 0 when the logical unit has none.
    pub max_write_zeroes: u32,
    /// Writes are refused.
    pub read_only: bool,
    /// Completed writes may be lost until a flush.
    pub write_cache: bool,
    /// Stable name of the medium (designator or serial number); may be empty.
    pub identity: String,
}

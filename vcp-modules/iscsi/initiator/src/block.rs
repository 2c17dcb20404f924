//! Block requests of the caller, the memory of their data, and their results. The meaning
//! of each operation is that of `wit/deps/block/types.wit`.

use alloc::string::String;

/// A range of bytes in a [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Address of the first byte.
    pub address: u32,
    /// The length in bytes.
    pub length: u32,
}

impl Span {
    /// The part of the span from byte `from` on, `length` bytes long, which the caller
    /// has checked to be inside.
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

/// The operation of a request.
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
    /// The status of a request beyond the end of the logical unit: a request that needs
    /// space gets none, any other is invalid.
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
    /// The tag that identifies the request until it is completed.
    pub tag: u64,
    /// The operation.
    pub operation: Operation,
    /// Whether it is to be durable before it completes (write, discard, write-zeroes).
    pub fua: bool,
    /// Whether to keep the range allocated (write-zeroes).
    pub no_unmap: bool,
    /// The offset from the start of the device in bytes; a multiple of the block size.
    pub offset: u64,
    /// The length in bytes; a multiple of the block size; 0 for a flush.
    pub length: u32,
    /// The data, `length` bytes of a read or a write; ignored for other operations.
    pub data: Span,
}

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The request succeeded.
    Ok,
    /// The medium or the path to it failed.
    IoError,
    /// The request is invalid for this device.
    Invalid,
    /// The logical unit is out of space.
    NoSpace,
    /// The device is write-protected, or refuses.
    NotPermitted,
    /// The logical unit cannot do this.
    NotSupported,
    /// The initiator is stopping, has stopped or has failed.
    ShuttingDown,
}

/// The properties of the logical unit. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// The size; a multiple of `block_size`.
    pub size: u64,
    /// The logical block size: a power of two, 512 to 65536.
    pub block_size: u32,
    /// The size and alignment that the logical unit prefers; a multiple of `block_size`.
    pub preferred_block_size: u32,
    /// The longest read or write of one request.
    pub max_transfer: u32,
    /// The longest discard; 0 when the logical unit cannot discard.
    pub max_discard: u32,
    /// The longest write-zeroes; 0 when the logical unit cannot do it.
    pub max_write_zeroes: u32,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether completed writes may be lost until a flush.
    pub write_cache: bool,
    /// The stable name of the medium (designator or serial number); may be empty.
    pub identity: String,
}

//! Numbers of the wire format, named as in the protocol document ("Values"),
//! without their `NBD_` prefix. All integers are sent big-endian.

/// First eight bytes a server sends: `NBDMAGIC`.
pub const MAGIC: u64 = u64::from_be_bytes(*b"NBDMAGIC");
/// Second magic of a newstyle server, and the start of every option: `IHAVEOPT`.
pub const IHAVEOPT: u64 = u64::from_be_bytes(*b"IHAVEOPT");
/// Start of every reply to an option.
pub const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// Start of every request.
pub const REQUEST_MAGIC: u32 = 0x2560_9513;
/// Start of a simple reply.
pub const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
/// Start of a structured reply chunk.
pub const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;

/// Longest string of the protocol, in bytes ("Conventions").
pub const MAX_STRING: usize = 4096;
/// Longest payload of one request that this server takes or returns, in bytes.
/// The document's default for clients that were told nothing.
pub const MAX_PAYLOAD: u32 = 32 << 20;

/// Handshake flags, server to client.
pub mod handshake {
    /// Fixed newstyle: options get replies.
    pub const FIXED_NEWSTYLE: u16 = 1 << 0;
    /// The client may do without the 124 zeroes after `EXPORT_NAME`.
    pub const NO_ZEROES: u16 = 1 << 1;
}

/// Client flags, client to server.
pub mod client {
    /// The client knows fixed newstyle.
    pub const FIXED_NEWSTYLE: u32 = 1 << 0;
    /// Leave out the 124 zeroes.
    pub const NO_ZEROES: u32 = 1 << 1;
}

/// Transmission flags.
pub mod transmission {
    /// Always set.
    pub const HAS_FLAGS: u16 = 1 << 0;
    /// Writes are refused.
    pub const READ_ONLY: u16 = 1 << 1;
    /// `FLUSH` is served.
    pub const SEND_FLUSH: u16 = 1 << 2;
    /// The FUA flag is honoured.
    pub const SEND_FUA: u16 = 1 << 3;
    /// `TRIM` is served.
    pub const SEND_TRIM: u16 = 1 << 5;
    /// `WRITE_ZEROES` is served.
    pub const SEND_WRITE_ZEROES: u16 = 1 << 6;
    /// The DF flag is honoured (structured replies only).
    pub const SEND_DF: u16 = 1 << 7;
    /// Flush and FUA reach across connections.
    pub const CAN_MULTI_CONN: u16 = 1 << 8;
}

/// Options.
pub mod opt {
    /// Choose an export, no errors possible.
    pub const EXPORT_NAME: u32 = 1;
    /// Leave.
    pub const ABORT: u32 = 2;
    /// List exports.
    pub const LIST: u32 = 3;
    /// Initiate TLS.
    pub const STARTTLS: u32 = 5;
    /// Describe an export.
    pub const INFO: u32 = 6;
    /// Describe an export and start transmission.
    pub const GO: u32 = 7;
    /// Use structured replies.
    pub const STRUCTURED_REPLY: u32 = 8;
    /// List metadata contexts.
    pub const LIST_META_CONTEXT: u32 = 9;
    /// Select metadata contexts.
    pub const SET_META_CONTEXT: u32 = 10;
}

/// Types of option replies.
pub mod rep {
    /// Done.
    pub const ACK: u32 = 1;
    /// One export of a list.
    pub const SERVER: u32 = 2;
    /// One piece of information about an export.
    pub const INFO: u32 = 3;
    /// One metadata context.
    pub const META_CONTEXT: u32 = 4;
    /// Option unknown.
    pub const ERR_UNSUP: u32 = (1 << 31) + 1;
    /// Not allowed, by the server's own rules.
    pub const ERR_POLICY: u32 = (1 << 31) + 2;
    /// Option malformed.
    pub const ERR_INVALID: u32 = (1 << 31) + 3;
    /// Export not available.
    pub const ERR_UNKNOWN: u32 = (1 << 31) + 6;
    /// The server is going away.
    pub const ERR_SHUTDOWN: u32 = (1 << 31) + 7;
    /// Request or reply too large.
    pub const ERR_TOO_BIG: u32 = (1 << 31) + 9;
}

/// Kinds of information about an export.
pub mod info {
    /// Size and transmission flags.
    pub const EXPORT: u16 = 0;
    /// Canonical name.
    pub const NAME: u16 = 1;
    /// For humans.
    pub const DESCRIPTION: u16 = 2;
    /// Size constraints.
    pub const BLOCK_SIZE: u16 = 3;
}

/// Request types.
pub mod cmd {
    /// Read.
    pub const READ: u16 = 0;
    /// Write; the only one followed by a payload.
    pub const WRITE: u16 = 1;
    /// Disconnect.
    pub const DISC: u16 = 2;
    /// Flush.
    pub const FLUSH: u16 = 3;
    /// Discard.
    pub const TRIM: u16 = 4;
    /// Write zeroes.
    pub const WRITE_ZEROES: u16 = 6;
    /// Query metadata.
    pub const BLOCK_STATUS: u16 = 7;
}

/// Command flags.
pub mod cmd_flag {
    /// Durable before the reply.
    pub const FUA: u16 = 1 << 0;
    /// Do not deallocate.
    pub const NO_HOLE: u16 = 1 << 1;
    /// At most one content chunk.
    pub const DF: u16 = 1 << 2;
    /// At most one extent.
    pub const REQ_ONE: u16 = 1 << 3;
}

/// Types of structured reply chunks.
pub mod chunk {
    /// Flag: last chunk of its reply.
    pub const FLAG_DONE: u16 = 1 << 0;
    /// No content.
    pub const NONE: u16 = 0;
    /// An offset and data.
    pub const OFFSET_DATA: u16 = 1;
    /// Extents of one metadata context.
    pub const BLOCK_STATUS: u16 = 5;
    /// An error and a message.
    pub const ERROR: u16 = (1 << 15) + 1;
}

/// Flags of an extent of `base:allocation`.
pub mod state {
    /// Nothing is allocated.
    pub const HOLE: u32 = 1 << 0;
    /// Reads as zeroes.
    pub const ZERO: u32 = 1 << 1;
}

/// The one metadata context this server knows.
pub const BASE_ALLOCATION: &str = "base:allocation";
/// Its identifier in replies; the choice is the server's.
pub const BASE_ALLOCATION_ID: u32 = 1;

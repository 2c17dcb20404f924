//! The lower end of a frame queue: a link that carries Ethernet frames.

use std::io;
use std::os::fd::BorrowedFd;

/// The largest frame a link delivers or takes: a 65535-byte IP packet and its
/// Ethernet header, rounded up.
pub const MAX_FRAME: usize = 65_550;

/// The properties of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkProperties {
    /// The Ethernet address that the VCP behind the link has to use.
    pub mac: [u8; 6],
    /// Largest IP packet carried unsegmented, in bytes.
    pub mtu: u32,
    /// Whether it completes transport checksums of sent frames, and delivers partial ones.
    pub checksum_offload: bool,
    /// Whether it cuts sent TCP frames into segments, and delivers frames up to
    /// [`MAX_FRAME`] bytes. This needs `checksum_offload`.
    pub segmentation_offload: bool,
}

/// What is known of a received frame's transport checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing is known; the receiver must verify it.
    Unverified,
    /// The link verified it.
    Verified,
    /// It is not computed yet, as the frame never crossed a wire.
    Partial,
}

/// A received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes written to the caller's buffer, from its start.
    pub length: usize,
    /// State of its transport checksum.
    pub checksum: Checksum,
}

/// Work on a sent frame that is left to the link; all 0 for none. The fields are those of
/// `vcp:net/frames.outgoing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offload {
    /// Offset of the transport header, or 0.
    pub checksum_start: u16,
    /// Offset of the checksum field from there.
    pub checksum_offset: u16,
    /// Payload bytes per segment, or 0.
    pub segment_size: u16,
}

/// A network link, or a wrapper around one (capture, fault injection).
///
/// All calls come from one thread and none blocks.
pub trait Link: Send {
    /// The link's properties, which are fixed for its life.
    fn properties(&self) -> &LinkProperties;

    /// A descriptor that polls readable when a frame is waiting, and writable
    /// when one can be sent.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Receives one frame into `buffer`, which holds at least [`MAX_FRAME`]
    /// bytes; `None` when no frame is waiting. An error means that the link is
    /// gone.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>>;

    /// Sends one frame. `false` when the link is full and took nothing; the
    /// caller keeps the frame or drops it. An error means that the link is gone.
    fn send(&mut self, frame: &[u8], offload: Offload) -> io::Result<bool>;
}

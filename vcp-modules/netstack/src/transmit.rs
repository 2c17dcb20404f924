//! The arena of frames to send, and the device for smoltcp: at most one received frame
//! in, and frames in the arena out, each finished for the link (MSS, checksum, segment
//! size).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

use smoltcp::phy::{self, Device, DeviceCapabilities, PacketMeta};
use smoltcp::time::Instant;
use smoltcp::wire::IpEndpoint;

use crate::checksum;
use crate::config::Config;
use crate::direct::Bypass;
use crate::headers::{self, Contents, SYN, Tcp};
use crate::mss::SegmentSizes;

/// The largest frame that the stack sends or accepts: an IP packet of 65535 bytes and its
/// Ethernet header, rounded up.
pub const MAX_FRAME: usize = 65_550;
/// The most frames in the arena at a time, which limits a batch of small ones, too.
const MAX_FRAMES: usize = 4096;
const CHECKSUM_FIELD: usize = 16;

/// A frame to send: a slice of the arena, and the work for the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Offset of its first byte in the arena.
    pub offset: usize,
    /// The length in bytes, with the Ethernet header and without the FCS.
    pub length: usize,
    /// Offset in the frame of the TCP header, whose checksum field holds the
    /// folded, un-inverted sum of the pseudo-header; 0 if the checksum is complete.
    pub checksum_start: u16,
    /// Offset of the checksum field from the TCP header, or 0.
    pub checksum_offset: u16,
    /// The payload bytes of each segment into which the frame is to be cut; 0 for a frame
    /// that is sent as it is.
    pub segment_size: u16,
}

/// A SYN that was sent.
pub(crate) struct Syn {
    pub(crate) local: IpEndpoint,
    pub(crate) remote: IpEndpoint,
    pub(crate) sequence: u32,
}

/// Frames to be sent.
pub(crate) struct Transmit {
    /// The arena, with room behind it for one frame that does not fit.
    memory: Box<[u8]>,
    capacity: usize,
    used: usize,
    frames: Vec<Frame>,
    checksum_offload: bool,
    capabilities: DeviceCapabilities,
    mtu: usize,
    /// The segment sizes; only on a segmenting link.
    pub(crate) sizes: Option<SegmentSizes>,
    /// The SYNs sent since the last check.
    pub(crate) syns: Vec<Syn>,
    /// Connections that receive data without smoltcp.
    pub(crate) bypasses: Vec<Bypass>,
    /// The number of replies dropped because the arena was full.
    pub(crate) dropped: u64,
}

impl Transmit {
    pub(crate) fn new(config: &Config) -> Self {
        Transmit {
            memory: vec![0; config.arena + MAX_FRAME].into_boxed_slice(),
            capacity: config.arena,
            used: 0,
            frames: Vec::with_capacity(MAX_FRAMES),
            checksum_offload: config.checksum_offload,
            capabilities: capabilities(config),
            mtu: config.mtu,
            sizes: config
                .segmentation_offload
                .then(|| SegmentSizes::new(config.mtu as u16)),
            syns: Vec::with_capacity(config.max_connections),
            bypasses: Vec::new(),
            dropped: 0,
        }
    }

    pub(crate) fn outgoing(&self) -> (&[u8], &[Frame]) {
        (&self.memory[..self.used], &self.frames)
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.frames.clear();
    }

    pub(crate) fn fits(&self, length: usize) -> bool {
        self.used + length <= self.capacity && self.frames.len() < MAX_FRAMES
    }

    /// Lets `fill` write a frame; one that does not fit is written and dropped.
    pub(crate) fn emit<R>(
        &mut self,
        length: usize,
        meta: PacketMeta,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        if !self.fits(length) {
            self.dropped += 1;
            return match self.memory.get_mut(self.capacity..self.capacity + length) {
                Some(spare) => fill(spare),
                None => fill(&mut vec![0; length]),
            };
        }
        let offset = self.used;
        let result = fill(&mut self.memory[offset..offset + length]);
        let mut frame = Frame {
            offset,
            length,
            checksum_start: 0,
            checksum_offset: 0,
            segment_size: 0,
        };
        if let Contents::Tcp(tcp) = headers::parse(&self.memory[offset..offset + length]) {
            self.finish(&mut frame, &tcp, meta);
        }
        self.frames.push(frame);
        // Frames are aligned to 16 bytes, which suits large copies.
        self.used = (offset + length).next_multiple_of(16).min(self.capacity);
        result
    }

    fn finish(&mut self, frame: &mut Frame, tcp: &Tcp, meta: PacketMeta) {
        let bytes = &mut self.memory[frame.offset..frame.offset + frame.length];
        if tcp.flags & SYN != 0 && self.syns.len() < self.syns.capacity() {
            let (local, remote) = tcp.endpoints(bytes);
            self.syns.push(Syn {
                local,
                remote,
                sequence: tcp.sequence(bytes),
            });
        }
        if let Some(sizes) = &mut self.sizes {
            if tcp.flags & SYN != 0 {
                sizes.sent(bytes, tcp);
            }
            frame.segment_size = match meta.segmentation_offload_size {
                Some(size) => size.get(),
                None if tcp.ipv6 && frame.length - 14 > self.mtu => sizes.of_ipv6(bytes, tcp),
                None => 0,
            };
            // A single segment needs no cutting.
            if usize::from(frame.segment_size) >= tcp.payload() {
                frame.segment_size = 0;
            }
        }
        if !self.bypasses.is_empty() && tcp.flags & SYN == 0 {
            let (local, remote) = tcp.endpoints(bytes);
            let mut bypasses = self.bypasses.iter_mut();
            if let Some(bypass) = bypasses.find(|b| b.is_of(local, remote)) {
                bypass.sent(bytes, tcp);
            }
        }
        let sum = checksum::pseudo_header(&bytes[tcp.addresses.clone()], tcp.segment.len());
        let field = tcp.segment.start + CHECKSUM_FIELD;
        bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        if self.checksum_offload {
            frame.checksum_start = tcp.segment.start as u16;
            frame.checksum_offset = CHECKSUM_FIELD as u16;
        } else {
            let check = checksum::complete(&bytes[tcp.segment.clone()]);
            bytes[field..field + 2].copy_from_slice(&check.to_be_bytes());
        }
    }
}

/// The link's capabilities for smoltcp. TCP checksums are left to this crate, in both
/// directions. With segmentation offload the MTU is a fiction (see `mss`).
pub(crate) fn capabilities(config: &Config) -> DeviceCapabilities {
    const ETHERNET: usize = 14;
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = phy::Medium::Ethernet;
    capabilities.max_transmission_unit = config.mtu + ETHERNET;
    capabilities.checksum.tcp = phy::Checksum::None;
    if config.segmentation_offload {
        capabilities.max_transmission_unit = 65_535 + ETHERNET;
        // It is a whole number of segments, so that only the last is short.
        let largest = |headers: usize| {
            let mss = config.mtu - headers;
            NonZeroUsize::new(ETHERNET + headers + (65_535 - headers) / mss * mss)
        };
        capabilities.segmentation.tcpv4 = largest(40);
        capabilities.segmentation.tcpv6 = largest(60);
    }
    capabilities
}

/// The device for one call into smoltcp.
pub(crate) struct Port<'a> {
    pub(crate) transmit: &'a mut Transmit,
    pub(crate) received: Option<&'a [u8]>,
}

impl Device for Port<'_> {
    type RxToken<'b>
        = RxToken<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = TxToken<'b>
    where
        Self: 'b;

    fn receive(&mut self, _now: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let frame = self.received.take()?;
        Some((RxToken(frame), TxToken::new(self.transmit)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<TxToken<'_>> {
        self.transmit
            .fits(MAX_FRAME)
            .then(|| TxToken::new(self.transmit))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.transmit.capabilities.clone()
    }
}

pub(crate) struct RxToken<'a>(&'a [u8]);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(crate) struct TxToken<'a> {
    transmit: &'a mut Transmit,
    meta: PacketMeta,
}

impl<'a> TxToken<'a> {
    fn new(transmit: &'a mut Transmit) -> Self {
        TxToken {
            transmit,
            meta: PacketMeta::default(),
        }
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.transmit.emit(length, self.meta, f)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.meta = meta;
    }
}

//! Sends one PDU at a time on a byte stream that takes pieces of any size. Payload is
//! copied once, directly to its destination.

use alloc::vec::Vec;

use crate::block::{Memory, Span};
use vcp_iscsi_proto::bhs::{BHS_LEN, BhsBytes, DIGEST_LEN, padding};
use vcp_iscsi_proto::digest::Crc32c;

/// The source of a data segment's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// No bytes.
    None,
    /// The memory of requests.
    Memory(Span),
    /// This many zeroes.
    Zeroes(u32),
    /// A copy: text, and small SCSI parameter lists.
    Short(Short),
    /// A copy of longer text.
    Owned(Vec<u8>),
}

/// A parameter list of up to 24 bytes, the length of an UNMAP of one range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) bytes: [u8; 24],
    pub(crate) from: u8,
    pub(crate) to: u8,
}

impl Payload {
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Memory(span) => span.length,
            Self::Zeroes(length) => *length,
            Self::Short(short) => u32::from(short.to - short.from),
            Self::Owned(bytes) => bytes.len() as u32,
        }
    }

    /// Copies bytes from position `from` on to all of `out`.
    fn copy(&self, from: u32, out: &mut [u8], memory: &impl Memory) {
        let start = from as usize;
        match self {
            Self::None => debug_assert!(out.is_empty()),
            Self::Memory(span) => {
                out.copy_from_slice(memory.bytes(span.part(from, out.len() as u32)));
            }
            Self::Zeroes(_) => out.fill(0),
            Self::Short(short) => {
                let start = usize::from(short.from) + start;
                out.copy_from_slice(&short.bytes[start..start + out.len()]);
            }
            Self::Owned(bytes) => out.copy_from_slice(&bytes[start..start + out.len()]),
        }
    }
}

/// The sending end of a connection.
#[derive(Debug)]
pub(crate) struct Transmitter {
    header_digest: bool,
    data_digest: bool,
    /// Header and its digest.
    head: [u8; BHS_LEN + DIGEST_LEN],
    head_len: usize,
    payload: Payload,
    /// Padding and data digest; the digest is filled in after the last payload.
    tail: [u8; 3 + DIGEST_LEN],
    tail_len: usize,
    /// The number of bytes of the PDU already sent; if that is all, no PDU is under way.
    sent: usize,
    total: usize,
    crc: Crc32c,
}

impl Transmitter {
    pub(crate) fn new() -> Self {
        Self {
            header_digest: false,
            data_digest: false,
            head: [0; BHS_LEN + DIGEST_LEN],
            head_len: 0,
            payload: Payload::None,
            tail: [0; 3 + DIGEST_LEN],
            tail_len: 0,
            sent: 0,
            total: 0,
            crc: Crc32c::new(),
        }
    }

    /// Applies negotiated parameters from the next PDU on.
    pub(crate) fn configure(&mut self, header_digest: bool, data_digest: bool) {
        self.header_digest = header_digest;
        self.data_digest = data_digest;
    }

    /// Whether a PDU is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.sent < self.total
    }

    /// Begins a PDU; there must be none under way. The header's data segment
    /// length is that of the payload.
    pub(crate) fn start(&mut self, header: &BhsBytes, payload: Payload) {
        debug_assert!(!self.is_busy());
        self.head[..BHS_LEN].copy_from_slice(header);
        self.head_len = BHS_LEN;
        if self.header_digest {
            let mut crc = Crc32c::new();
            crc.update(header);
            self.head[BHS_LEN..].copy_from_slice(&crc.finish());
            self.head_len += DIGEST_LEN;
        }
        let length = payload.len() as usize;
        self.tail_len = padding(length);
        self.tail = [0; 3 + DIGEST_LEN];
        if self.data_digest && length > 0 {
            self.crc = Crc32c::new();
            self.tail_len += DIGEST_LEN;
        }
        self.payload = payload;
        self.sent = 0;
        self.total = self.head_len + length + self.tail_len;
    }

    /// Writes as much of the PDU as fits and returns how many bytes that is.
    pub(crate) fn fill(&mut self, out: &mut [u8], memory: &impl Memory) -> usize {
        let mut written = 0;
        while self.is_busy() && written < out.len() {
            written += self.fill_part(&mut out[written..], memory);
        }
        written
    }

    fn fill_part(&mut self, out: &mut [u8], memory: &impl Memory) -> usize {
        let payload_end = self.total - self.tail_len;
        let count;
        if self.sent < self.head_len {
            count = out.len().min(self.head_len - self.sent);
            out[..count].copy_from_slice(&self.head[self.sent..self.sent + count]);
        } else if self.sent < payload_end {
            count = out.len().min(payload_end - self.sent);
            let from = (self.sent - self.head_len) as u32;
            self.payload.copy(from, &mut out[..count], memory);
            if self.data_digest {
                self.crc.update(&out[..count]);
            }
            if self.data_digest && self.sent + count == payload_end {
                self.seal();
            }
        } else {
            count = out.len().min(self.total - self.sent);
            let from = self.sent - payload_end;
            out[..count].copy_from_slice(&self.tail[from..from + count]);
        }
        self.sent += count;
        count
    }

    /// Computes the digest over the payload and its padding, once all payload is sent.
    fn seal(&mut self) {
        let padding = self.tail_len - DIGEST_LEN;
        self.crc.update(&self.tail[..padding]);
        let digest = self.crc.clone().finish();
        self.tail[padding..self.tail_len].copy_from_slice(&digest);
    }

    /// Replaces the rest of the payload by zeroes, as the request has ended and its
    /// memory is no longer ours. The target has said that it needs no more of it.
    pub(crate) fn disown(&mut self) {
        if let Payload::Memory(span) = self.payload {
            self.payload = Payload::Zeroes(span.length);
        }
    }
}

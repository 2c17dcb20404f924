//! The request header of the transmission phase ("Request message").

use crate::wire::{REQUEST_MAGIC, cmd};

/// The stream does not hold a request where one should start. There is no way
/// to find the next one, so the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request starts with {0:#010x} instead of the request magic")]
pub struct BadMagic(pub u32);

/// A request header. For a `WRITE` its payload follows on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Command flags.
    pub flags: u16,
    /// The command: one of [`cmd`], or an unknown one.
    pub kind: u16,
    /// The client's name for the request, returned in its reply.
    pub cookie: u64,
    /// Bytes from the start of the export.
    pub offset: u64,
    /// The length in bytes.
    pub length: u32,
}

impl Request {
    /// Bytes of a header.
    pub const SIZE: usize = 28;

    /// Reads a header.
    pub fn parse(bytes: &[u8; Self::SIZE]) -> Result<Self, BadMagic> {
        let magic = u32::from_be_bytes(field(bytes, 0));
        if magic != REQUEST_MAGIC {
            return Err(BadMagic(magic));
        }
        Ok(Self {
            flags: u16::from_be_bytes(field(bytes, 4)),
            kind: u16::from_be_bytes(field(bytes, 6)),
            cookie: u64::from_be_bytes(field(bytes, 8)),
            offset: u64::from_be_bytes(field(bytes, 16)),
            length: u32::from_be_bytes(field(bytes, 24)),
        })
    }

    /// The header as it is on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&REQUEST_MAGIC.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.kind.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.cookie.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_be_bytes());
        bytes[24..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// Bytes of payload that follow the header, even if the request is refused.
    #[must_use]
    pub fn payload(&self) -> u32 {
        if self.kind == cmd::WRITE {
            self.length
        } else {
            0
        }
    }
}

fn field<const N: usize>(bytes: &[u8; Request::SIZE], at: usize) -> [u8; N] {
    *bytes[at..]
        .first_chunk()
        .expect("fields lie inside the header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_document_puts_them() {
        let mut bytes = [0; Request::SIZE];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(at).unwrap();
        }
        assert_eq!(Request::parse(&bytes), Err(BadMagic(0x0001_0203)));
        bytes[..4].copy_from_slice(&[0x25, 0x60, 0x95, 0x13]);
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(request.flags, 0x0405);
        assert_eq!(request.kind, 0x0607);
        assert_eq!(request.cookie, 0x0809_0a0b_0c0d_0e0f);
        assert_eq!(request.offset, 0x1011_1213_1415_1617);
        assert_eq!(request.length, 0x1819_1a1b);
        assert_eq!(request.payload(), 0);
        assert_eq!(request.encode(), bytes);
        assert_eq!(
            Request {
                kind: cmd::WRITE,
                ..request
            }
            .payload(),
            0x1819_1a1b
        );
    }
}

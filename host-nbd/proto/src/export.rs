//! An export as clients are told of it: its names, size, flags and size constraints. It
//! is derived once from a device's geometry and checked here, so that nothing false or
//! unencodable can reach the wire.

use vcp_queue::Geometry;

use crate::wire::{MAX_PAYLOAD, MAX_STRING, transmission};

/// Why an export cannot be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A name or description breaks the protocol's rules for strings.
    #[error("{what} is not a string NBD can carry (at most {MAX_STRING} bytes, no NUL)")]
    String {
        /// Which string it is.
        what: &'static str,
    },
    /// The logical block size is no power of two of at most 65536.
    #[error("block size {0} is not a power of two of at most 65536")]
    BlockSize(u32),
    /// The size is no multiple of the block size, or beyond what offsets can say.
    #[error("size {size} is not a multiple of the block size {block_size} below 2^63")]
    Size {
        /// The size in bytes.
        size: u64,
        /// The block size in bytes.
        block_size: u32,
    },
}

/// An export as its clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportInfo {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) size: u64,
    pub(crate) read_only: bool,
    pub(crate) trim: bool,
    pub(crate) extents: bool,
    pub(crate) block_size: u32,
    pub(crate) preferred: u32,
    pub(crate) identity: String,
}

impl ExportInfo {
    /// Describes the device `geometry` under its canonical `name`. `description`
    /// is for humans and may be empty. `read_only` makes the export refuse
    /// writes even where the device would take them.
    pub fn new(
        name: &str,
        description: &str,
        geometry: &Geometry,
        read_only: bool,
    ) -> Result<Self, ExportError> {
        for (what, text) in [
            ("the export's name", name),
            ("the export's description", description),
        ] {
            if text.len() > MAX_STRING || text.contains('\0') {
                return Err(ExportError::String { what });
            }
        }
        let Geometry {
            size, block_size, ..
        } = *geometry;
        if !block_size.is_power_of_two() || block_size > 1 << 16 {
            return Err(ExportError::BlockSize(block_size));
        }
        if size % u64::from(block_size) != 0 || size > i64::MAX as u64 {
            return Err(ExportError::Size { size, block_size });
        }
        let read_only = read_only || geometry.read_only;
        Ok(Self {
            name: name.to_owned(),
            description: description.to_owned(),
            size,
            read_only,
            trim: !read_only && geometry.max_discard > 0,
            extents: geometry.extents,
            block_size,
            preferred: preferred(block_size, geometry.preferred_block_size),
            identity: geometry.identity.clone(),
        })
    }

    /// The canonical name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// The device's own block size in bytes. It does not bind a client that negotiates;
    /// the kernel's client, which does not, is told it.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        self.block_size
    }

    /// Minimum, preferred and maximum payload size, in bytes ("Size constraints"). The
    /// minimum is 1 whatever the device's blocks are: the queue reads, changes and
    /// writes those that are covered in part.
    #[must_use]
    pub fn block_sizes(&self) -> [u32; 3] {
        [1, self.preferred, MAX_PAYLOAD]
    }

    /// The transmission flags for a client that negotiated structured replies or
    /// did not.
    ///
    /// Flush, FUA and zeroing are always served: the queue answers a flush at
    /// once for a device without a cache, and writes zeroes to one that cannot
    /// make them. All connections to an export share one queue and one cache, so
    /// a flush on one covers what completed on all: `CAN_MULTI_CONN` is true.
    #[must_use]
    pub fn transmission_flags(&self, structured: bool) -> u16 {
        use transmission as t;
        let mut flags = t::HAS_FLAGS | t::SEND_FLUSH | t::SEND_FUA | t::CAN_MULTI_CONN;
        if self.read_only {
            flags |= t::READ_ONLY;
        } else {
            flags |= t::SEND_WRITE_ZEROES;
        }
        if self.trim {
            flags |= t::SEND_TRIM;
        }
        if structured {
            flags |= t::SEND_DF;
        }
        flags
    }
}

/// The device's preferred size, made to fit the document: a power of two, at least the
/// minimum and 512, at most the largest payload.
fn preferred(minimum: u32, device: u32) -> u32 {
    device
        .clamp(minimum.max(512), MAX_PAYLOAD)
        .next_power_of_two()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn geometry() -> Geometry {
        Geometry {
            size: 1 << 30,
            block_size: 512,
            preferred_block_size: 4096,
            max_transfer: 1 << 20,
            max_discard: 1 << 20,
            max_write_zeroes: 1 << 20,
            extents: true,
            read_only: false,
            write_cache: true,
            identity: String::new(),
        }
    }

    #[test]
    fn flags_follow_the_device() {
        let flags = |g: &Geometry, ro, s| {
            ExportInfo::new("a", "", g, ro)
                .unwrap()
                .transmission_flags(s)
        };
        let full = geometry();
        assert_eq!(flags(&full, false, false), 0b1_0110_1101);
        assert_eq!(flags(&full, false, true), 0b1_1110_1101);
        assert_eq!(flags(&full, true, false), 0b1_0000_1111);
        let bare = Geometry {
            max_discard: 0,
            max_write_zeroes: 0,
            ..geometry()
        };
        assert_eq!(flags(&bare, false, false), 0b1_0100_1101);
        let ro = Geometry {
            read_only: true,
            ..geometry()
        };
        assert_eq!(flags(&ro, false, false), 0b1_0000_1111);
    }

    #[test]
    fn preferred_size_obeys_the_document() {
        for (min, device, want) in [
            (512, 4096, 4096),
            (4096, 4096, 4096),
            (512, 0, 512),
            (512, 3 * 512, 2048),
            (4096, 12288, 16384),
            (65536, 512, 65536),
            (512, u32::MAX, MAX_PAYLOAD),
        ] {
            assert_eq!(preferred(min, device), want, "{min} {device}");
        }
    }

    #[test]
    fn impossible_geometries_are_refused() {
        let new = |g: &Geometry| ExportInfo::new("a", "", g, false);
        for block_size in [0, 3, 513, 1 << 17] {
            let g = Geometry {
                block_size,
                ..geometry()
            };
            assert_eq!(new(&g), Err(ExportError::BlockSize(block_size)));
        }
        for size in [513, u64::MAX - 511] {
            assert!(matches!(
                new(&Geometry { size, ..geometry() }),
                Err(ExportError::Size { .. })
            ));
        }
        let long = "x".repeat(MAX_STRING + 1);
        assert!(ExportInfo::new(&long, "", &geometry(), false).is_err());
        assert!(ExportInfo::new("a", "b\0", &geometry(), false).is_err());
    }
}

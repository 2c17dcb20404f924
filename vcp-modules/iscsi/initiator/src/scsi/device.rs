//! The known properties of a logical unit, and how requests depend on them.

use alloc::borrow::ToOwned as _;

use serde::{Deserialize, Serialize};

use super::identity::{Identity, Likeness};
use super::survey::Gaps;
use crate::block::{Geometry, Operation, Request, Status};
use crate::config::Config;

/// The longest discard and write-zeroes of one request, in bytes: a target may take long
/// for one.
const LONGEST_DISCARD: u64 = 1 << 30;
const LONGEST_WRITE_ZEROES: u64 = 128 << 20;

const ANOTHER: &str = "it is another logical unit than before";

/// A logical unit. Counts are blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    /// The block size in bytes: a power of two, 512 to 65536.
    pub(crate) block_size: u32,
    pub(crate) blocks: u64,
    pub(crate) physical_block_size: u32,
    pub(crate) identity: Identity,
    pub(crate) read_only: bool,
    /// Whether it may keep writes in a volatile cache; also if it does not say.
    pub(crate) write_cache: bool,
    /// Whether it reports such a cache.
    pub(crate) write_cache_known: bool,
    /// Whether it supports the FUA bit.
    pub(crate) fua: bool,
    /// Whether it supports SYNCHRONIZE CACHE.
    pub(crate) synchronize: bool,
    /// The longest read or write, in bytes.
    pub(crate) max_transfer: u32,
    /// The longest read or write, in bytes, that it was found to accept; beyond any
    /// length as long as it has refused none.
    pub(crate) takes: u32,
    /// The longest UNMAP; 0: not supported.
    pub(crate) max_unmap: u32,
    /// The longest WRITE SAME; 0: not supported.
    pub(crate) max_write_same: u32,
    /// Whether WRITE SAME may unmap.
    pub(crate) write_same_unmaps: bool,
    /// Whether unmapped blocks read as zeroes.
    pub(crate) unmapped_is_zero: bool,
}

impl Device {
    /// The size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.blocks * u64::from(self.block_size)
    }

    fn max_discard(&self) -> u32 {
        let blocks = if self.max_unmap > 0 {
            self.max_unmap
        } else if self.write_same_unmaps {
            self.max_write_same
        } else {
            0
        };
        self.bytes(blocks, LONGEST_DISCARD)
    }

    fn max_write_zeroes(&self) -> u32 {
        self.bytes(self.max_write_same, LONGEST_WRITE_ZEROES)
    }

    fn bytes(&self, blocks: u32, longest: u64) -> u32 {
        let block = u64::from(self.block_size);
        let bytes = (u64::from(blocks) * block).min(longest / block * block);
        bytes as u32 // at most `longest`
    }

    /// Limits requests to the configured length, and to the length that the unit accepts,
    /// but to no less than one block.
    pub(crate) fn limit_transfer(&mut self, config: &Config) {
        let longest = config.max_transfer.min(config.transfer_limit);
        let longest = longest.min(self.takes) / self.block_size * self.block_size;
        let longest = longest.max(self.block_size);
        self.max_transfer = self.max_transfer.min(longest);
    }

    /// The properties for the caller.
    pub(crate) fn geometry(&self, config: &Config) -> Geometry {
        let writable = !(self.read_only || config.read_only);
        Geometry {
            size: self.size(),
            block_size: self.block_size,
            preferred_block_size: self.physical_block_size.max(self.block_size),
            max_transfer: self.max_transfer,
            max_discard: if writable { self.max_discard() } else { 0 },
            max_write_zeroes: if writable { self.max_write_zeroes() } else { 0 },
            read_only: !writable,
            write_cache: self.write_cache,
            identity: self.identity.name().to_owned(),
        }
    }

    /// The answer to a request that needs no command, or can't become one.
    pub(crate) fn refuses(&self, request: &Request, config: &Config) -> Option<Status> {
        if request.operation == Operation::Flush {
            return None;
        }
        let block = u64::from(self.block_size);
        let length = u64::from(request.length);
        let end = request.offset.checked_add(length);
        let aligned = request.offset.is_multiple_of(block) && length.is_multiple_of(block);
        if !aligned {
            return Some(Status::Invalid);
        }
        if end.is_none_or(|end| end > self.size()) {
            return Some(request.operation.beyond_the_end());
        }
        if request.operation != Operation::Read && (self.read_only || config.read_only) {
            return Some(Status::NotPermitted);
        }
        match request.operation {
            Operation::Read | Operation::Write if request.data.length < request.length => {
                Some(Status::Invalid)
            }
            Operation::Discard if self.max_discard() == 0 => Some(Status::NotSupported),
            _ if length == 0 => Some(Status::Ok),
            _ => None,
        }
    }

    /// Whether the device found now cannot replace the one that requests were submitted
    /// for.
    pub(crate) fn differs(&self, found: &Self) -> Difference {
        match self.identity.compare(&found.identity) {
            Likeness::Different => Difference::Is(ANOTHER),
            _ if self.block_size != found.block_size => {
                Difference::Is("its block size has changed")
            }
            Likeness::Unclear => Difference::Unclear,
            Likeness::Same => Difference::None,
        }
    }

    /// Whether it can be served to clients who know it by this identity.
    pub(crate) fn is_known_as(&self, name: &str) -> Difference {
        match self.identity.is_of(name) {
            Likeness::Different => Difference::Is(ANOTHER),
            Likeness::Unclear => Difference::Unclear,
            Likeness::Same => Difference::None,
        }
    }

    /// Fills the gaps in what the unit reported now with what was known before of the
    /// same unit, and adds what it never reports.
    pub(crate) fn complete(&mut self, known: &Self, gaps: Gaps) {
        self.identity.complete(&known.identity);
        self.takes = known.takes;
        if gaps.limits {
            self.max_transfer = known.max_transfer;
            self.max_unmap = known.max_unmap;
            self.max_write_same = known.max_write_same;
            self.write_same_unmaps = known.write_same_unmaps;
            self.unmapped_is_zero = known.unmapped_is_zero;
        }
        if gaps.mode {
            self.read_only = known.read_only;
            self.write_cache = known.write_cache;
            self.write_cache_known = known.write_cache_known;
            self.fua = known.fua;
        }
    }
}

/// The difference of a unit from the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// None that matters.
    None,
    /// It is another unit, for this reason.
    Is(&'static str),
    /// Unknown for now.
    Unclear,
}

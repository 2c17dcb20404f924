//! What is known of a logical unit, and what follows from it for requests.

use alloc::borrow::ToOwned as _;

use serde::{Deserialize, Serialize};

use super::identity::{Identity, Likeness};
use super::survey::Gaps;
use crate::block::{Geometry, Operation, Request, Status};
use crate::config::Config;

/// Longest discard and write-zeroes of one request, in bytes: a target may take long
/// over one.
const LONGEST_DISCARD: u64 = 1 << 30;
const LONGEST_WRITE_ZEROES: u64 = 128 << 20;

const ANOTHER: &str = "it is another logical unit than before";

/// A logical unit. Counts are blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    /// Bytes in a block: a power of two, 512 to 65536.
    pub(crate) block_size: u32,
    pub(crate) blocks: u64,
    pub(crate) physical_block_size: u32,
    pub(crate) identity: Identity,
    pub(crate) read_only: bool,
    /// It keeps writes in a volatile cache, or does not say.
    pub(crate) write_cache: bool,
    /// It says that it has such a cache.
    pub(crate) write_cache_known: bool,
    /// It takes the FUA bit.
    pub(crate) fua: bool,
    /// It has SYNCHRONIZE CACHE.
    pub(crate) synchronize: bool,
    /// Longest read or write, in bytes.
    pub(crate) max_transfer: u32,
    /// Longest read or write, in bytes, that it was found to take; more than there is
    /// as long as it has refused none for its length.
    pub(crate) takes: u32,
    /// Longest UNMAP; 0: there is none.
    pub(crate) max_unmap: u32,
    /// Longest WRITE SAME; 0: there is none.
    pub(crate) max_write_same: u32,
    /// WRITE SAME may unmap.
    pub(crate) write_same_unmaps: bool,
    /// What was unmapped reads as zeroes.
    pub(crate) unmapped_is_zero: bool,
}

impl Device {
    /// Bytes.
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

    /// No request is to be longer than the configuration has it either, or than the
    /// unit takes; one block it must.
    pub(crate) fn limit_transfer(&mut self, config: &Config) {
        let longest = config.max_transfer.min(config.transfer_limit);
        let longest = longest.min(self.takes) / self.block_size * self.block_size;
        let longest = longest.max(self.block_size);
        self.max_transfer = self.max_transfer.min(longest);
    }

    /// What the caller has to know.
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

    /// Whether what was found now can't take the place of what requests were submitted
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

    /// Whether it can be served to those who know it by this name.
    pub(crate) fn is_known_as(&self, name: &str) -> Difference {
        match self.identity.is_of(name) {
            Likeness::Different => Difference::Is(ANOTHER),
            Likeness::Unclear => Difference::Unclear,
            Likeness::Same => Difference::None,
        }
    }

    /// Takes over from what was known of the same unit what it did not say now, and
    /// what it never says.
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

/// What a unit differs in from the one that it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// In nothing that matters.
    None,
    /// It is another; in words.
    Is(&'static str),
    /// It can't be told yet.
    Unclear,
}

//! The results of a survey.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::scsi::{BlockLimits, Capacity16, LogicalBlockProvisioning, page};

use super::{Notes, Pages, Survey, SurveyError};
use crate::scsi::Device;
use crate::scsi::identity::{Identity, Name};

/// Properties that could not be found out, and are not indispensable.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gaps {
    /// The limits of transfers, and the provisioning.
    pub(crate) limits: bool,
    /// Cache, write protection, FUA.
    pub(crate) mode: bool,
}

/// A logical unit that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) device: Device,
    pub(crate) gaps: Gaps,
    /// The unit's LUN.
    pub(crate) lun: Lun,
    /// The unit's answer, in one line, when it was asked for its identity.
    pub(crate) unnamed: String,
}

impl Survey {
    pub(super) fn found(&self) -> Result<Found, SurveyError> {
        let error = |what: &str| SurveyError(self.line(what));
        let notes = &self.notes;
        let capacity = notes
            .capacity
            .ok_or_else(|| error("does not tell its capacity"))?;
        let block = capacity.block_len;
        if !block.is_power_of_two() || !(512..=65536).contains(&block) {
            return Err(error(&format!(
                "has blocks of {block} bytes, which nobody can use"
            )));
        }
        if capacity.byte_len().is_none() {
            return Err(error("has a capacity beyond all reason"));
        }
        let mut gaps = notes.gaps;
        gaps.limits |= matches!(notes.pages, Pages::Unknown);
        let said = notes.unnamed.map(|ending| format!(": {ending}"));
        let said = said.unwrap_or_default();
        Ok(Found {
            device: notes.device(&capacity),
            gaps,
            lun: self.lun,
            unnamed: self.line(&format!("does not tell which it is{said}")),
        })
    }
}

impl Notes {
    /// Whether the unit lists a page.
    fn lists(&self, page: u8) -> bool {
        matches!(&self.pages, Pages::Listed(pages) if pages.contains(&page))
    }

    /// The value of a page if the unit lists that page.
    fn listed<T>(&self, page: u8, value: Option<T>) -> Option<T> {
        value.filter(|_| self.lists(page))
    }

    /// The device with a capacity that has been checked.
    fn device(&self, capacity: &Capacity16) -> Device {
        let block = capacity.block_len;
        let mode = self.mode.unwrap_or_default();
        let cache = mode.caching.map(|page| page.write_cache);
        let provisioning = self.provisioning();
        let limits = self
            .listed(page::BLOCK_LIMITS, self.limits)
            .unwrap_or_default();
        let (max_unmap, max_write_same) = self.provisioning_limits(capacity, &limits);
        Device {
            block_size: block,
            blocks: capacity.last_lba + 1,
            physical_block_size: (block << capacity.physical_exponent.min(15)).min(1 << 20),
            identity: self.identity(),
            read_only: mode.write_protected,
            write_cache: cache.unwrap_or(true),
            write_cache_known: cache == Some(true),
            fua: mode.fua,
            synchronize: true,
            max_transfer: match limits.max_transfer {
                0 => u32::MAX / block * block,
                blocks => blocks.min(u32::MAX / block) * block,
            },
            takes: u32::MAX,
            max_unmap,
            max_write_same,
            write_same_unmaps: provisioning.is_some_and(|p| p.write_same_16),
            unmapped_is_zero: provisioning.is_some_and(|p| p.reads_zeros) || capacity.reads_zeros,
        }
    }

    /// The most blocks of one UNMAP and one WRITE SAME (SBC-3 §6.5.3). There is no sure
    /// sign that a unit supports WRITE SAME; it is tried, and given up when refused.
    fn provisioning_limits(&self, capacity: &Capacity16, limits: &BlockLimits) -> (u32, u32) {
        let has_unmap = self
            .provisioning()
            .map_or(capacity.provisioning, |p| p.unmap);
        let max_unmap = if has_unmap && limits.max_unmap_descriptors > 0 {
            limits.max_unmap_blocks
        } else {
            0
        };
        let max_write_same = match limits.max_write_same {
            0 => u32::MAX,
            blocks => u32::try_from(blocks).unwrap_or(u32::MAX),
        };
        (max_unmap, max_write_same)
    }

    fn provisioning(&self) -> Option<LogicalBlockProvisioning> {
        self.listed(page::LOGICAL_BLOCK_PROVISIONING, self.provisioning)
    }

    fn identity(&self) -> Identity {
        let name = |page, name: &Name| match &self.pages {
            Pages::Unknown => Name::Unknown,
            Pages::Listed(pages) if pages.contains(&page) => name.clone(),
            Pages::Listed(_) | Pages::Absent => Name::Absent,
        };
        let designator = name(page::DEVICE_IDENTIFICATION, &self.designator);
        Identity {
            others: match designator.read() {
                Some(_) => self.others.clone(),
                None => Vec::new(),
            },
            designator,
            serial: name(page::SERIAL_NUMBER, &self.serial),
            listed: matches!(self.pages, Pages::Listed(_)),
        }
    }
}

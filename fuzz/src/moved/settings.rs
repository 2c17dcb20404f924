//! What the responder agrees to in the login, and what its disk is.

use vcp_iscsi_initiator::Config;
use vcp_iscsi_proto::scsi::{BlockLimits, CachingPage, LogicalBlockProvisioning, ModeParameters};

use super::ledger::Cache;
use crate::script::Script;
use crate::unit;

/// Everything that stays as it is for a run. Lengths in bytes.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) initial_r2t: bool,
    pub(super) immediate_data: bool,
    pub(super) first_burst: u32,
    pub(super) max_burst: u32,
    pub(super) max_outstanding_r2t: u32,
    /// The longest data segment that the responder takes, and the initiator.
    pub(super) max_recv: u32,
    pub(super) max_send: u32,
    /// Commands that fit in the window.
    pub(super) window: u32,
    pub(super) time2wait: u32,
    /// An honest answer to a read has its status in the last Data-In.
    pub(super) status_in_data: bool,
    pub(super) cache: Cache,
    pub(super) mode: ModeParameters,
    pub(super) limits: BlockLimits,
    pub(super) provisioning: Option<LogicalBlockProvisioning>,
    /// The responder turns honest with a new connection, not in the middle of one.
    pub(super) cut_at_end: bool,
}

impl Settings {
    pub(super) fn read(script: &mut Script<'_>) -> Self {
        let (flags, sizes, unit, more) =
            (script.byte(), script.byte(), script.byte(), script.byte());
        let cache = match flags >> 4 & 3 {
            0 | 1 => Cache::On,
            2 => Cache::Off,
            _ => Cache::Silent,
        };
        let max_burst = [32768, 512, 2048, 8192][usize::from(sizes >> 4 & 3)];
        Self {
            initial_r2t: flags & 1 == 0,
            immediate_data: flags & 2 != 0,
            first_burst: max_burst.min([4096, 512, 1024, 8192][usize::from(sizes >> 6)]),
            max_burst,
            max_outstanding_r2t: if flags & 0x80 != 0 { 3 } else { 1 },
            max_recv: [8192, 512, 1024, 4096][usize::from(sizes & 3)],
            max_send: [16384, 512, 1024, 4096][usize::from(sizes >> 2 & 3)],
            window: [8, 1, 2, 32][usize::from(more & 3)],
            time2wait: u32::from(more >> 2 & 3),
            status_in_data: flags & 4 == 0,
            cache,
            mode: mode(cache, flags & 8 == 0),
            limits: limits(unit),
            provisioning: provisioning(unit),
            cut_at_end: flags & 0x40 != 0,
        }
    }

    /// The initiator's own.
    pub(super) fn config(&self) -> Config {
        let segment = self.max_send.to_string();
        let pairs = [
            ("portal", "10.0.0.1:3260"),
            ("target", unit::NAME),
            ("lun", "1"),
            ("header-digest", "none"),
            ("data-digest", "none"),
            ("max-recv-data-segment-length", &segment),
        ];
        let config = Config::parse(pairs).expect("a sound configuration");
        config.with_queue_depth(4).with_max_transfer(1 << 16)
    }
}

fn mode(cache: Cache, fua: bool) -> ModeParameters {
    let caching = CachingPage {
        write_cache: cache == Cache::On,
        no_read_cache: false,
    };
    ModeParameters {
        write_protected: false,
        fua,
        caching: (cache != Cache::Silent).then_some(caching),
    }
}

/// Counts are blocks: less than the longest request has, so that it takes several commands.
fn limits(unit: u8) -> BlockLimits {
    let max_unmap_blocks = [64, 4, 0, 1][usize::from(unit >> 2 & 3)];
    BlockLimits {
        max_transfer: [0, 8, 4, 1][usize::from(unit & 3)],
        max_unmap_blocks,
        max_unmap_descriptors: 1,
        max_write_same: [64, 4, 1, 0][usize::from(unit >> 4 & 3)],
        ..BlockLimits::default()
    }
}

fn provisioning(unit: u8) -> Option<LogicalBlockProvisioning> {
    let page = LogicalBlockProvisioning {
        unmap: true,
        write_same_16: unit & 0x40 == 0,
        reads_zeros: unit & 0x40 == 0,
        ..LogicalBlockProvisioning::default()
    };
    (unit & 0x80 == 0).then_some(page)
}

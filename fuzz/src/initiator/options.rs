//! Sides to be taken: how the initiator is configured and what the target is like.

use std::time::Duration;

use vcp_iscsi_initiator::Config;
use vcp_target::chap::{Chap, Credentials};
use vcp_target::config::{Policy, TargetConfig, Timing};
use vcp_target::lun::UnitOptions;

use crate::script::Script;
use crate::unit;

pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) struct Options {
    /// The target and the wire lie.
    pub(super) hostile: bool,
    pub(super) read_only: bool,
    pub(super) config: Config,
    pub(super) target: TargetConfig,
    pub(super) unit: UnitOptions,
}

impl Options {
    pub(super) fn read(script: &mut Script<'_>) -> Self {
        let (flags, sizes, more) = (script.byte(), script.byte(), script.byte());
        let chap = flags & 2 != 0;
        let read_only = flags & 0xc0 == 0xc0;
        let credentials = Credentials::new("user", PASSWORD);
        let target = TargetConfig {
            policy: policy(flags, sizes, more),
            chap: chap.then(|| Chap::new(credentials)),
            timing: Timing {
                ping_interval: (more & 1 != 0).then_some(Duration::from_secs(2)),
                ..Timing::default()
            },
            ..TargetConfig::default()
        };
        let unit = UnitOptions {
            block_size: if flags & 4 != 0 { 4096 } else { 512 },
            thin: more & 2 == 0,
            read_only,
            write_cache: more & 4 == 0,
            attention_on_login: more & 8 == 0,
            ..UnitOptions::default()
        };
        let hostile = flags & 1 != 0;
        Self {
            hostile,
            read_only,
            config: config(flags, sizes, chap),
            target,
            unit,
        }
    }
}

fn policy(flags: u8, sizes: u8, more: u8) -> Policy {
    Policy {
        initial_r2t: flags & 8 != 0,
        immediate_data: flags & 16 == 0,
        max_recv_data_segment: 1024 << (sizes % 4),
        max_send_data_segment: 1024 << (sizes / 4 % 4),
        max_burst: 4096 << (sizes / 16 % 4),
        first_burst: 1024 << (sizes / 64),
        max_outstanding_r2t: 1 + u32::from(more / 16 % 4),
        collapse_status: more & 64 == 0,
        command_window: if more & 128 != 0 { 2 } else { 16 },
        text_piece: (flags & 32 != 0).then_some(11),
        keys_per_round: (flags & 0x60 == 0x60).then_some(2),
        reverse_keys: flags & 64 != 0,
        delay_transit: flags & 64 != 0,
        initial_stat_sn: if more & 32 != 0 { u32::MAX - 8 } else { 1 },
        ..Policy::default()
    }
}

fn config(flags: u8, sizes: u8, chap: bool) -> Config {
    let digest = if flags & 128 != 0 { "prefer" } else { "none" };
    let mut pairs = vec![
        ("portal", "10.0.0.1:3260"),
        ("target", unit::NAME),
        ("lun", "1"),
        ("header-digest", digest),
        ("data-digest", digest),
        (
            "max-recv-data-segment-length",
            if sizes & 1 != 0 { "2048" } else { "16384" },
        ),
    ];
    if chap {
        pairs.extend([("user", "user"), ("password", PASSWORD)]);
    }
    let config = Config::parse(pairs).expect("a sound configuration");
    config.with_queue_depth(4).with_max_transfer(1 << 16)
}

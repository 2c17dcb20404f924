//! Compares a configuration that was read again with the old one, and finds out how much
//! of the difference can be applied while the VCPs run. Nothing is applied here.

use std::collections::BTreeSet;

use crate::budget::{Cpu, Limit};
use crate::change::Change;
use crate::export_name::ExportName;
use crate::model::{HostConfig, Name, Vcp};

/// How one configuration differs from the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// VCPs that are new.
    pub added: Vec<Name>,
    /// VCPs that were removed.
    pub removed: Vec<Name>,
    /// VCPs that are in both and differ.
    pub changed: Vec<VcpDifference>,
    /// Exports that are new, removed or changed; all of these changes can be applied.
    pub exports: Vec<ExportName>,
    /// Whether the limits of the NBD servers differ, which can be applied.
    pub nbd: bool,
}

/// How one VCP differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VcpDifference {
    /// The VCP's name.
    pub name: Name,
    /// Whether the module differs.
    pub module: bool,
    /// Changes that can be made as by `vcp set`.
    pub live: Vec<Change>,
    /// Keys that cannot be changed while it runs.
    pub fixed: Vec<&'static str>,
}

impl Difference {
    /// The differences from `old` to `new`.
    pub fn between(old: &HostConfig, new: &HostConfig) -> Self {
        let missing = |from: &HostConfig, name: &&Name| !from.vcps.contains_key(*name);
        let both = old
            .vcps
            .iter()
            .filter_map(|(name, vcp)| Some((name, vcp, new.vcps.get(name)?)));
        let exports: BTreeSet<&ExportName> = old.exports.keys().chain(new.exports.keys()).collect();
        Self {
            added: new
                .vcps
                .keys()
                .filter(|n| missing(old, n))
                .cloned()
                .collect(),
            removed: old
                .vcps
                .keys()
                .filter(|n| missing(new, n))
                .cloned()
                .collect(),
            changed: both
                .filter(|(_, old, new)| old != new)
                .map(|(name, old, new)| VcpDifference::between(name, old, new))
                .collect(),
            exports: exports
                .into_iter()
                .filter(|name| old.exports.get(*name) != new.exports.get(*name))
                .cloned()
                .collect(),
            nbd: old.nbd != new.nbd,
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl VcpDifference {
    fn between(name: &Name, old: &Vcp, new: &Vcp) -> Self {
        let mut live = Vec::new();
        let mut changed = |differs: bool, change: Change| {
            if differs {
                live.push(change);
            }
        };
        let (from, to) = (&old.cpu, &new.cpu);
        changed(from.share != to.share, Change::Share(to.share));
        changed(from.period != to.period, Change::Period(to.period));
        changed(from.slack != to.slack, Change::Slack(to.slack));
        changed(old.memory != new.memory, Change::Memory(new.memory));
        let depth = new.queue_depth;
        changed(old.queue_depth != depth, Change::QueueDepth(depth));
        Self {
            name: name.clone(),
            module: old.module != new.module,
            live,
            fixed: fixed(old, new),
        }
    }
}

/// The keys of differences that can't be applied while the VCP runs.
fn fixed(old: &Vcp, new: &Vcp) -> Vec<&'static str> {
    // This is the rest of `cpu`, with the changeable keys made equal.
    let rest = Cpu {
        share: new.cpu.share,
        period: new.cpu.period,
        slack: new.cpu.slack,
        ..old.cpu.clone()
    };
    let differs = [
        ("cpu", rest != new.cpu),
        ("restart", old.restart != new.restart),
        (
            "replacement-timeout",
            old.replacement_timeout != new.replacement_timeout,
        ),
        ("watchdog", old.watchdog != new.watchdog),
        ("reload", old.reload != new.reload),
        ("crash-reports", old.crash_reports != new.crash_reports),
        ("config", old.settings != new.settings),
        ("net", old.net != new.net),
        ("files", old.files != new.files),
    ];
    let differing = differs.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}

impl Vcp {
    /// Takes from `new` what a running VCP can apply; the rest stays, so that it is a
    /// difference the next time too.
    pub fn adopt(&mut self, new: &Vcp) {
        self.module = new.module.clone();
        self.cpu.share = new.cpu.share;
        self.cpu.period = new.cpu.period;
        self.cpu.slack = new.cpu.slack;
        self.memory = new.memory;
        self.queue_depth = new.queue_depth;
    }
}

impl Limit {
    /// The changes that turn `old` into this.
    pub fn changes_from(&self, old: &Limit) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.iops != old.iops {
            changes.push(Change::LimitIops(self.iops));
        }
        if self.bytes != old.bytes {
            changes.push(Change::LimitBytes(self.bytes));
        }
        if self.burst != old.burst {
            changes.push(Change::LimitBurst(self.burst));
        }
        changes
    }
}

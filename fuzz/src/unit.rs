//! A target with one small disk, as both iSCSI state machines want one.

use std::sync::Arc;

use vcp_target::Target;
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};

/// The node's name.
pub(crate) const NAME: &str = "iqn.2026-11.example:disk";

/// The target, and its one logical unit: number 1, `size` bytes.
pub(crate) fn target(
    config: TargetConfig,
    size: u64,
    options: UnitOptions,
) -> (Arc<Target>, Arc<LogicalUnit>) {
    let disk = Box::new(SparseMemory::new(size));
    let unit = Arc::new(LogicalUnit::new(disk, options).expect("a sound unit"));
    let mut units = Node::default();
    units.insert(1, Arc::clone(&unit));
    let nodes = vec![TargetNode::new(NAME, units)];
    (Target::new(TargetConfig { nodes, ..config }), unit)
}

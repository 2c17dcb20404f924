//! `[host]`.

use super::table::Node;
use crate::error::ConfigError;
use crate::reclaim::HostOptions;

pub(super) fn read(node: &Node<'_>) -> Result<HostOptions, ConfigError> {
    let table = node.table()?;
    table.only(&HostOptions::KEYS)?;
    let flag = |key| table.get(key).map(Node::boolean).transpose();
    Ok(HostOptions {
        memory_lock: flag("memory-lock")?,
        io_flusher: flag("io-flusher")?,
        oom_score_adjust: match table.get("oom-score-adjust") {
            Some(node) => Some(node.signed_number(HostOptions::SCORES)?),
            None => None,
        },
        core_dumps: flag("core-dumps")?.unwrap_or_default(),
    })
}

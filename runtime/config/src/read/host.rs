//! Parses `[host]`.

use super::table::Node;
use crate::error::ConfigError;
use crate::nbd::NbdOptions;
use crate::reclaim::HostOptions;
use crate::value::Timeout;

pub(super) fn read(node: &Node<'_>) -> Result<(HostOptions, NbdOptions), ConfigError> {
    let table = node.table()?;
    let mut known = HostOptions::KEYS.to_vec();
    known.push("nbd");
    table.only(&known)?;
    let nbd = table.get("nbd").map(nbd).transpose()?;
    let flag = |key| table.get(key).map(Node::boolean).transpose();
    let host = HostOptions {
        memory_lock: flag("memory-lock")?,
        io_flusher: flag("io-flusher")?,
        oom_score_adjust: match table.get("oom-score-adjust") {
            Some(node) => Some(node.signed_number(HostOptions::SCORES)?),
            None => None,
        },
        core_dumps: flag("core-dumps")?.unwrap_or_default(),
    };
    Ok((host, nbd.unwrap_or_default()))
}

fn nbd(node: &Node<'_>) -> Result<NbdOptions, ConfigError> {
    let table = node.table_like(" such as { connections = 128, keep-alive = \"120s\" }")?;
    table.only(&NbdOptions::KEYS)?;
    let mut options = NbdOptions::default();
    if let Some(node) = table.get("connections") {
        options.connections = node.number(NbdOptions::COUNTS)?;
    }
    if let Some(node) = table.get("negotiations") {
        options.negotiations = node.number(NbdOptions::COUNTS)?;
    }
    if let Some(node) = table.get("handshake") {
        options.handshake =
            NbdOptions::check_handshake(node.parse()?).map_err(|e| node.error(e))?;
    }
    if let Some(node) = table.get("keep-alive") {
        // A number is seconds, in quotes or not.
        let text = node.scalar().map_err(|_| node.not(Timeout::EXPECTED))?;
        let time = text.parse().and_then(NbdOptions::check_keep_alive);
        options.keep_alive = time.map_err(|e| node.error(e))?;
    }
    if let Some(node) = table.get("half-request") {
        options.half_request =
            NbdOptions::check_half_request(node.parse()?).map_err(|e| node.error(e))?;
    }
    if let Some(node) = table.get("memory") {
        options.memory = NbdOptions::check_memory(node.size()?).map_err(|e| node.error(e))?;
    }
    Ok(options)
}

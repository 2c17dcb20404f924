//! Parses `[export.NAME]`.

use super::table::Node;
use crate::attach::Attach;
use crate::budget::Limit;
use crate::check;
use crate::error::{ConfigError, Invalid};
use crate::export_name::ExportName;
use crate::model::{Export, HostConfig, Name};
use crate::value::Timeout;

const KEYS: [&str; 9] = [
    "vcp",
    "nbd",
    "read-only",
    "description",
    "limit",
    "memory",
    "socket-mode",
    "socket-group",
    "attach",
];

/// `config` holds all VCPs of the file, and the exports before this one.
pub(super) fn read(
    name: &ExportName,
    node: &Node<'_>,
    config: &HostConfig,
) -> Result<Export, ConfigError> {
    let table = node.table()?;
    table.only(&KEYS)?;
    let vcp = match table.get("vcp") {
        Some(node) => node.parse()?,
        None => name.as_str().parse::<Name>().map_err(|_| {
            let message = "missing; no VCP can have the name of this export, so say whose it is";
            table.missing("vcp", message)
        })?,
    };
    if !config.vcps.contains_key(&vcp) {
        let message = check::no_such_vcp(&vcp, config);
        return Err(match table.get("vcp") {
            Some(node) => node.error(message),
            None => table.missing("vcp", &message),
        });
    }
    let mut export = Export::new(vcp, Vec::new());
    if let Some(node) = table.get("nbd") {
        for element in node.one_or_more() {
            let address = element.parse()?;
            if export.nbd.contains(&address) {
                return Err(element.error(format!("\"{address}\" is given twice")));
            }
            check::push(&mut export.nbd, address).map_err(|e| element.error(e))?;
        }
    }
    if let Some(node) = table.get("read-only") {
        export.read_only = node.boolean()?;
    }
    if let Some(node) = table.get("description") {
        check::description(node.string()?).map_err(|e| node.error(e))?;
        export.description = Some(node.string()?.to_owned());
    }
    if let Some(node) = table.get("limit") {
        export.limit = limit(node)?;
    }
    if let Some(node) = table.get("memory") {
        export.memory = check::export_memory(node.size()?).map_err(|e| node.error(e))?;
    }
    if let Some(node) = table.get("socket-mode") {
        export.socket_mode = Some(node.parse()?);
    }
    if let Some(node) = table.get("socket-group") {
        export.socket_group = Some(node.parse()?);
    }
    if let Some(node) = table.get("attach") {
        export.attach = Some(attach(node)?);
    }
    let checked = check::socket(&export).and_then(|()| check::shared_socket(&export, config));
    checked.map_err(|fault| match table.get(fault.key) {
        Some(node) => node.error(fault.message),
        None => table.missing(fault.key, &fault.message),
    })?;
    Ok(export)
}

fn attach(node: &Node<'_>) -> Result<Attach, ConfigError> {
    let table = node.table_like(" such as { device = \"/dev/nbd0\" }, or {} for any device")?;
    table.only(&Attach::KEYS)?;
    let mut attach = Attach::default();
    if let Some(node) = table.get("device") {
        attach.device = Some(node.parse()?);
    }
    if let Some(node) = table.get("connections") {
        attach.connections = node.number(Attach::CONNECTIONS)?;
    }
    if let Some(node) = table.get("timeout") {
        attach.timeout = Some(seconds(node, Attach::parse_timeout)?);
    }
    if let Some(node) = table.get("dead-timeout") {
        attach.dead_timeout = seconds(node, Attach::parse_dead_timeout)?;
    }
    if let Some(node) = table.get("identifier") {
        Attach::check_identifier(node.string()?).map_err(|error| node.error(error))?;
        attach.identifier = Some(node.string()?.to_owned());
    }
    Ok(attach)
}

/// Parses a time; a number is seconds, in quotes or not.
fn seconds<T>(
    node: &Node<'_>,
    read: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, ConfigError> {
    let text = node.scalar().map_err(|_| node.not(Timeout::EXPECTED))?;
    read(&text).map_err(|error| node.error(error))
}

fn limit(node: &Node<'_>) -> Result<Limit, ConfigError> {
    let table = node.table_like(" such as { iops = 1000, bytes = \"100MiB\" }")?;
    table.only(&Limit::KEYS)?;
    let mut limit = Limit::default();
    if let Some(node) = table.get("iops") {
        limit.iops = Some(node.number(check::IOPS)?);
    }
    if let Some(node) = table.get("bytes") {
        let rate = node.size()?;
        limit.bytes = Some(check::bytes_a_second(rate).map_err(|e| node.error(e))?);
    }
    if let Some(node) = table.get("burst") {
        limit.burst = check::burst(node.parse()?).map_err(|e| node.error(e))?;
    }
    Ok(limit)
}

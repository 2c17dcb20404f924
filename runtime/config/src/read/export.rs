//! `[export.NAME]`.

use super::table::Node;
use crate::budget::Limit;
use crate::check;
use crate::error::ConfigError;
use crate::model::{Export, HostConfig, Name};

const KEYS: [&str; 5] = ["vcp", "nbd", "read-only", "description", "limit"];

/// `config` holds all VCPs of the file.
pub(super) fn read(
    name: &Name,
    node: &Node<'_>,
    config: &HostConfig,
) -> Result<Export, ConfigError> {
    let table = node.table()?;
    table.only(&KEYS)?;
    let vcp = match table.get("vcp") {
        Some(node) => node.parse()?,
        None => name.clone(),
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
    Ok(export)
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

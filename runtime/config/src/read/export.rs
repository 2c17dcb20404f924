//! `[export.NAME]`.

use super::table::Node;
use crate::check;
use crate::error::ConfigError;
use crate::model::{Export, HostConfig, Name};

const KEYS: [&str; 4] = ["vcp", "nbd", "read-only", "description"];

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
    Ok(export)
}

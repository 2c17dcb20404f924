//! A disk of a running host: one export, and where an NBD client finds it.

use anyhow::{Context as _, Result, bail};
use vcp_control::report;

use super::{complain_of, hosts};
use crate::args::TargetArguments;

/// See the module.
#[derive(Debug)]
pub(crate) struct Disk {
    /// The export's name.
    pub(crate) export: String,
    /// Where it is served; a unix socket where there is one.
    pub(crate) uri: String,
}

/// The export of this name, or the only one of the VCP of this name.
pub(crate) async fn disk(target: &TargetArguments) -> Result<Disk> {
    let hosts = hosts(&target.host).await?;
    complain_of(&hosts.silent);
    let found = hosts.with_vcp_or_export(&target.vcp)?;
    let name = &target.vcp.name;
    let export = export(&found.host, name)?;
    let unix = export.uris.iter().find(|uri| uri.starts_with("nbd+unix:"));
    let uri = unix.or(export.uris.first());
    Ok(Disk {
        export: export.name.clone(),
        uri: uri
            .with_context(|| format!("{name}: not served anywhere"))?
            .clone(),
    })
}

fn export<'a>(host: &'a report::Host, name: &str) -> Result<&'a report::Export> {
    let all = || host.vcps.iter().flat_map(|vcp| &vcp.exports);
    if let Some(export) = all().find(|export| export.name == name) {
        return Ok(export);
    }
    let vcp = host.vcps.iter().find(|vcp| vcp.name == name);
    match vcp.map_or(&[][..], |vcp| &vcp.exports) {
        [one] => Ok(one),
        [] => bail!("{name}: has no export"),
        several => {
            let names: Vec<_> = several.iter().map(|export| export.name.as_str()).collect();
            bail!(
                "{name}: has several exports; name one of {}",
                names.join(", ")
            )
        }
    }
}

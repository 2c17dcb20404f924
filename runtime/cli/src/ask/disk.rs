//! A disk of a running host: an export, and where an NBD client finds it.

use anyhow::{Context as _, Result, bail};
use vcp_control::{Address, Request, report};

use super::{complain_of, hosts};
use crate::args::{HostArguments, TargetArguments};

/// See the module.
#[derive(Debug)]
pub(crate) struct Disk {
    /// The export's name.
    pub(crate) export: String,
    /// The kernel device that it is attached as, if any.
    pub(crate) device: Option<String>,
    /// The URI of the export, at a unix socket where there is one.
    pub(crate) uri: String,
}

impl Disk {
    /// Has the host attach the disk and returns the device.
    pub(crate) async fn attach(&self, host: &HostArguments, read_only: bool) -> Result<String> {
        // This is the whole name, even if it looks like PID/NAME.
        let name = Address {
            pid: None,
            name: self.export.clone(),
        };
        let mut found = hosts(host).await?.with_vcp_or_export(&name)?;
        let request = Request::Attach {
            name: self.export.clone(),
            device: None,
            connections: None,
            read_only,
            timeout: None,
            dead_timeout: None,
        };
        let device: report::Device = found.client.ask(&request).await?;
        Ok(device.device)
    }
}

/// Has the host that serves a kernel device detach it.
pub(crate) async fn detach_device(host: &HostArguments, device: &str, force: bool) -> Result<()> {
    let mut found = hosts(host).await?.with_device(device)?;
    let request = Request::Detach {
        device: device.to_owned(),
        force,
    };
    let _: report::Detached = found.client.ask(&request).await?;
    Ok(())
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
        device: export.devices.first().map(|device| device.device.clone()),
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

//! The requests `attach` and `detach`.

use std::sync::Arc;

use vcp_attach::DeviceName;
use vcp_config::{Attach, NbdDevice};
use vcp_control::{Answer, Refusal, RefusalKind, Request};

use super::{Control, Controlled, failed};
use crate::attach::Wanted;

impl Control {
    /// Answers [`Request::Attach`] and [`Request::Detach`].
    pub(super) async fn devices(&self, request: Request) -> Result<Answer, Refusal> {
        let failed = |error: anyhow::Error| failed(format!("{error:#}"));
        match request {
            Request::Attach {
                name,
                device,
                connections,
                read_only,
                timeout,
                dead_timeout,
            } => {
                let device = device.map(|d| d.parse::<NbdDevice>()).transpose();
                let device = device.map_err(|error| bad("device", &error))?;
                let connections = connections.map(Attach::check_connections).transpose();
                let timeout = timeout.as_deref().map(Attach::parse_timeout).transpose();
                let dead = dead_timeout.as_deref().map(Attach::parse_dead_timeout);
                let wanted = Wanted {
                    device: device.map(|device| DeviceName(device.0)),
                    connections: connections.map_err(|error| bad("connections", &error))?,
                    read_only,
                    timeout: timeout.map_err(|error| bad("timeout", &error))?,
                    dead_timeout: dead.transpose().map_err(|e| bad("dead-timeout", &e))?,
                };
                let export = self.export_of(name)?;
                if self.attachments.has_driver().await {
                    self.serves_the_kernel();
                }
                let device = self.attachments.attach(&export, wanted).await;
                Ok(Answer::new(&device.map_err(failed)?))
            }
            Request::Detach { device, force } => {
                let which = match device.starts_with("/dev/") {
                    true => device,
                    false => self.export_of(device)?,
                };
                let detached = self.attachments.detach(&which, force).await;
                Ok(Answer::new(&detached.map_err(failed)?))
            }
            _ => Err(Refusal::new(RefusalKind::BadRequest, "no verb of devices")),
        }
    }

    /// The export of this name or, if there is none, the only one of the VCP of this
    /// name.
    fn export_of(&self, name: String) -> Result<String, Refusal> {
        let has = |vcp: &Arc<Controlled>| vcp.exports.iter().any(|export| export.name == name);
        if self.vcps().values().any(has) {
            return Ok(name);
        }
        let found = self.find(&name)?;
        match &found.exports[..] {
            [only] => Ok(only.name.clone()),
            [] => Err(failed(format!("VCP {name} has no export"))),
            several => {
                let names: Vec<_> = several.iter().map(|export| export.name.as_str()).collect();
                let names = names.join(", ");
                Err(failed(format!(
                    "VCP {name} has several exports: name one of {names}"
                )))
            }
        }
    }

    /// Detaches the device of an export that is to be removed; if the device is in use,
    /// the export has to stay.
    pub(crate) async fn detach_export(&self, export: &str) -> Result<(), Refusal> {
        for device in self.attachments.of(export) {
            let detached = self.attachments.detach(&device.device, false).await;
            detached.map_err(|error| failed(format!("export {export} stays: {error:#}")))?;
        }
        Ok(())
    }

    /// Detaches the devices of a VCP that is to stop; if one is in use, the VCP must not
    /// stop.
    pub(crate) async fn detach_all(&self, vcp: &str) -> Result<(), Refusal> {
        for device in self.attachments.of_vcp(vcp) {
            let detached = self.attachments.detach(&device.to_string(), false).await;
            detached.map_err(|error| {
                failed(format!("VCP {vcp} is not stopped: {error:#}").replace(
                    "; --force detaches it all the same",
                    "; \"vcp detach --force\" detaches it all the same",
                ))
            })?;
        }
        Ok(())
    }
}

fn bad(key: &str, error: &vcp_config::Invalid) -> Refusal {
    Refusal::new(RefusalKind::BadRequest, format!("{key}: {error}"))
}

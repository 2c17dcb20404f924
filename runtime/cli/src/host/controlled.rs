//! The table of VCPs for control sockets.

use std::sync::{Arc, Mutex};

use vcp_config::{ExportName, HostConfig, Name};
use vcp_control::report;

use super::Host;
use crate::control::{Controlled, Vcps};

impl Host {
    /// The table of VCPs for control sockets.
    pub(super) fn controlled(&self) -> Vcps {
        let uris = |export: &str| {
            let serving = self.servers.values();
            let serving = serving.filter(|s| s.exports.names().iter().any(|n| n == export));
            serving.map(|served| served.server.uri(export)).collect()
        };
        let (before, mut vcps) = (self.control.vcps(), Vcps::new());
        for (name, device) in &self.devices {
            let Some((name, vcp)) = self.config.vcps.get_key_value(name.as_str()) else {
                continue;
            };
            let before = before.get(name.as_str());
            let before = before.filter(|before| Arc::ptr_eq(&before.device.vcp, &device.vcp));
            let alone = self.alone(name, vcp, before.map(|before| before.config()).as_deref());
            let export = |name: &ExportName| report::Export {
                name: name.to_string(),
                uris: uris(name.as_str()),
                devices: Vec::new(),
            };
            let limit = |name: &ExportName| {
                let limit = self.limits.get(name.as_str())?;
                Some((name.to_string(), Arc::clone(limit)))
            };
            let controlled = Controlled {
                device: device.clone(),
                spare: vcp.restart.spare,
                exports: alone.exports.keys().map(export).collect(),
                limits: alone.exports.keys().filter_map(limit).collect(),
                pin: self.places.get(name.as_str()).cloned().unwrap_or_default(),
                config: Mutex::new(alone),
            };
            vcps.insert(name.to_string(), Arc::new(controlled));
        }
        vcps
    }

    /// The configuration of one VCP and its exports, with later changes by `set`.
    fn alone(&self, name: &Name, vcp: &vcp_config::Vcp, set: Option<&HostConfig>) -> HostConfig {
        let mut alone = HostConfig::default();
        let mut now = set
            .and_then(|set| set.vcps.get(name))
            .unwrap_or(vcp)
            .clone();
        now.module = vcp.module.clone();
        alone.vcps.insert(name.clone(), now);
        for (export, settings) in &self.config.exports {
            if settings.vcp != *name {
                continue;
            }
            let mut settings = settings.clone();
            if let Some(before) = set.and_then(|set| set.exports.get(export)) {
                settings.limit = before.limit;
            }
            alone.exports.insert(export.clone(), settings);
        }
        alone
    }
}

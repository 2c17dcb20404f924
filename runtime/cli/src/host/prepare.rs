//! Conversion of a configuration to the core's settings for VCPs.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use vcp_config::{LinkKind, NbdAddress, RestartPolicy, Sources};
use vcp_core::{
    Cache, DirectoryGrant, Engine, Module, Network, Peers, ReloadSettings, ReportSettings,
    RestartSettings, Settings, WatchdogSettings,
};

use crate::link::Opened;
use crate::sources::System;
use crate::{link, module};

/// What a host needs to prepare its VCPs.
#[derive(Clone)]
pub(crate) struct Preparing {
    pub(crate) engine: Engine,
    pub(crate) cache: Cache,
    /// The host's name.
    pub(crate) host: String,
    /// Whether a VCP is started even if its link is missing, and waits for it.
    pub(crate) waits: bool,
}

impl Preparing {
    /// The settings to start a VCP with; opens the files and links that it may use.
    pub(super) fn prepare(
        &self,
        name: &str,
        vcp: &vcp_config::Vcp,
        nbd: &[NbdAddress],
        links: &mut link::Pipes,
    ) -> Result<Settings> {
        let settings = self.settle(name, vcp, nbd, &System)?;
        let zone = module::zone(vcp);
        let network = network(vcp, &settings.config, zone, links, self.waits)
            .with_context(|| format!("VCP {name}"))?;
        Ok(Settings {
            network,
            ..settings
        })
    }

    /// The same without the network. Changes nothing.
    fn settle(
        &self,
        name: &str,
        vcp: &vcp_config::Vcp,
        nbd: &[NbdAddress],
        sources: &dyn Sources,
    ) -> Result<Settings> {
        let module = self.module(vcp).with_context(|| format!("VCP {name}"))?;
        let grants = grants(vcp).with_context(|| format!("VCP {name}"))?;
        let config = self.config(name, vcp, nbd, sources)?;
        together(name, vcp, module, grants, config)
    }

    pub(crate) fn module(&self, vcp: &vcp_config::Vcp) -> Result<Module> {
        module::load(&self.engine, &self.cache, &vcp.module)
    }

    /// The module's settings. `nbd` are the addresses of its exports that stay the same.
    pub(crate) fn config(
        &self,
        name: &str,
        vcp: &vcp_config::Vcp,
        nbd: &[NbdAddress],
        sources: &dyn Sources,
    ) -> Result<Vec<(String, String)>> {
        module::settings(name, vcp, nbd, &self.host, sources)
    }
}

/// The open directories that a VCP may reach.
pub(crate) fn grants(vcp: &vcp_config::Vcp) -> Result<Vec<DirectoryGrant>> {
    let open = |grant: &vcp_config::DirectoryGrant| {
        DirectoryGrant::open(&grant.host, &grant.guest, grant.read_only)
    };
    let opened: Result<_, _> = vcp.files.iter().map(open).collect();
    Ok(opened?)
}

/// Combines the settings of a VCP from their parts.
pub(crate) fn together(
    name: &str,
    vcp: &vcp_config::Vcp,
    module: Module,
    grants: Vec<DirectoryGrant>,
    config: Vec<(String, String)>,
) -> Result<Settings> {
    Ok(Settings {
        config,
        memory: memory(vcp)?,
        queue_depth: vcp.queue_depth as usize,
        grants,
        ..recovery(vcp, Settings::new(name, module))
    })
}

/// The operator's limit of its linear memory.
pub(crate) fn memory(vcp: &vcp_config::Vcp) -> Result<Option<usize>> {
    let memory = vcp.memory.map(|size| usize::try_from(size.bytes()));
    memory.transpose().context("memory")
}

/// Adds the configured treatment of faults.
fn recovery(vcp: &vcp_config::Vcp, settings: Settings) -> Settings {
    let restart = &vcp.restart;
    Settings {
        watchdog: WatchdogSettings {
            fuel: vcp.watchdog.fuel,
            call: vcp.watchdog.call.duration(),
            progress: vcp.watchdog.progress.duration(),
        },
        restart: RestartSettings {
            always: restart.policy == RestartPolicy::Always,
            min_run: restart.min_run.duration(),
            backoff_min: restart.backoff.first().duration(),
            backoff_max: restart.backoff.most().duration(),
            limit: restart.limit,
            spare: restart.spare,
            replacement_timeout: vcp.replacement_timeout.duration(),
            poison_after: restart.poison_after.deaths(),
        },
        reload: ReloadSettings {
            drain: vcp.reload.drain.duration(),
            ready: vcp.reload.ready.duration(),
            probation: vcp.reload.probation.duration(),
        },
        reports: ReportSettings {
            keep: vcp.crash_reports.keep as usize,
            core_dumps: vcp.crash_reports.core_dumps,
        },
        ..settings
    }
}

/// The network of a VCP with the settings `config`; link-local addresses over the host's
/// TCP belong to the interface `zone`. If `waits`, a link that may appear later is waited
/// for.
pub(crate) fn network(
    vcp: &vcp_config::Vcp,
    config: &[(String, String)],
    zone: Option<String>,
    links: &mut link::Pipes,
    waits: bool,
) -> Result<Option<Network>> {
    let Some(net) = &vcp.net else { return Ok(None) };
    if net.link == LinkKind::Host {
        // The VCP may connect to its configured portal, and to what it is allowed
        // besides.
        let portal = config.iter().find(|(key, _)| key == "portal");
        let portal = portal.and_then(|(_, portal)| portal.parse::<SocketAddr>().ok());
        let portal = portal.context("net.link: host is for module iscsi")?;
        let mut peers = Peers::only(portal.ip()).on(zone);
        for subnet in &net.allow {
            peers.allow(subnet.address, subnet.prefix);
        }
        return Ok(Some(Network::Streams { peers }));
    }
    let addresses = net.addresses.iter().map(ToString::to_string).collect();
    let gateways = net.gateways.iter().map(ToString::to_string).collect();
    Ok(Some(match link::open(net, links, waits)? {
        Opened::There(link, reopen) => Network::Frames {
            link,
            reopen,
            addresses,
            gateways,
        },
        Opened::Later(why, reopen) => Network::Awaited {
            why,
            reopen,
            addresses,
            gateways,
        },
    }))
}

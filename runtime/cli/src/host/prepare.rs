//! From what is configured to what a VCP is started with.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use vcp_config::{LinkKind, NbdAddress, RestartPolicy};
use vcp_core::{
    Cache, DirectoryGrant, Engine, Network, Peers, ReloadSettings, ReportSettings, RestartSettings,
    Settings, WatchdogSettings,
};

use crate::{link, module};

/// What a VCP is started with; opens what it may use.
pub(super) fn prepare(
    engine: &Engine,
    cache: &Cache,
    name: &str,
    vcp: &vcp_config::Vcp,
    nbd: &[NbdAddress],
    host: &str,
    links: &mut link::Pipes,
) -> Result<Settings> {
    let module = module::load(engine, cache, &vcp.module).with_context(|| format!("VCP {name}"))?;
    let mut grants = Vec::new();
    for grant in &vcp.files {
        let opened = DirectoryGrant::open(&grant.host, &grant.guest, grant.read_only);
        grants.push(opened.with_context(|| format!("VCP {name}"))?);
    }
    let config = module::settings(name, vcp, nbd, host)?;
    let zone = module::zone(vcp);
    let network = network(vcp, &config, zone, links).with_context(|| format!("VCP {name}"))?;
    Ok(Settings {
        config,
        memory: memory(vcp)?,
        queue_depth: vcp.queue_depth as usize,
        grants,
        network,
        ..recovery(vcp, Settings::new(name, module))
    })
}

/// What the operator lets it have of linear memory.
pub(crate) fn memory(vcp: &vcp_config::Vcp) -> Result<Option<usize>> {
    let memory = vcp.memory.map(|size| usize::try_from(size.bytes()));
    memory.transpose().context("memory")
}

/// What the configuration says about faults and what follows them.
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

/// How a VCP that is told `config` reaches the network; link-local addresses over the
/// host's TCP are those of the interface `zone`.
pub(crate) fn network(
    vcp: &vcp_config::Vcp,
    config: &[(String, String)],
    zone: Option<String>,
    links: &mut link::Pipes,
) -> Result<Option<Network>> {
    let Some(net) = &vcp.net else { return Ok(None) };
    if net.link == LinkKind::Host {
        // What it may connect to is what it was configured to connect to, and what it
        // is allowed besides.
        let portal = config.iter().find(|(key, _)| key == "portal");
        let portal = portal.and_then(|(_, portal)| portal.parse::<SocketAddr>().ok());
        let portal = portal.context("net.link: host is for module iscsi")?;
        let mut peers = Peers::only(portal.ip()).on(zone);
        for subnet in &net.allow {
            peers.allow(subnet.address, subnet.prefix);
        }
        return Ok(Some(Network::Streams { peers }));
    }
    let (link, reopen) = link::open(net, links)?;
    Ok(Some(Network::Frames {
        link,
        reopen,
        addresses: net.addresses.iter().map(ToString::to_string).collect(),
        gateways: net.gateways.iter().map(ToString::to_string).collect(),
    }))
}

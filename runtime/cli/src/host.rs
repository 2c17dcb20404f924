//! A host: the VCPs of a configuration, running, and the servers of their
//! exports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::sync::{mpsc, watch};
use vcp_config::{HostConfig, LinkKind, NbdAddress, RestartPolicy};
use vcp_control::report;
use vcp_core::{
    Cache, DirectoryGrant, Engine, Limit, Network, ReloadSettings, ReportSettings, RestartSettings,
    Settings, Vcp, WatchdogSettings,
};
use vcp_nbd::{Address, Server, ServerOptions};

use crate::attach::Attachments;
use crate::control::{Control, Controlled};
use crate::exports::{Device, Export, Exports, State};
use crate::follow::follow;
use crate::{budget, link, module};

/// How long VCPs may take to take their leave before the process ends anyway.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The limit of each export, by its name.
type Limits = BTreeMap<String, Arc<Limit>>;

/// Everything that runs.
pub(crate) struct Host {
    devices: BTreeMap<String, Device>,
    servers: Vec<(Server, Vec<String>)>,
    control: Arc<Control>,
    attachments: Arc<Attachments>,
    stopped: mpsc::UnboundedReceiver<String>,
    /// Holds the sockets of exports that were given no address.
    _sockets: Option<tempfile::TempDir>,
}

impl Host {
    /// Opens everything the configuration names, starts its VCPs and listens.
    /// Nothing is served before the VCPs say they are ready. `name` is what the
    /// kernel knows the host by.
    pub(crate) async fn start(
        config: &HostConfig,
        links: &mut link::Pipes,
        name: &str,
    ) -> Result<Self> {
        let engine = Engine::new(true)?;
        let cache = Cache::of_user();
        let (ended, stopped) = mpsc::unbounded_channel();
        let mut config = config.clone();
        let sockets = private_sockets(&mut config)?;
        let places = budget::places(&config)?;
        let mut prepared = Vec::new();
        for (name, vcp) in &config.vcps {
            let nbd = config
                .exports
                .values()
                .filter(|e| e.vcp == *name)
                .flat_map(|e| e.nbd.clone());
            let nbd: Vec<_> = nbd.collect();
            let place = places.get(name.as_str()).cloned().unwrap_or_default();
            let settings = prepare(&engine, &cache, name.as_str(), vcp, &nbd, links)?;
            let settings = Settings {
                cpu: budget::cpu(&vcp.cpu, place),
                ..settings
            };
            prepared.push((name.to_string(), settings));
        }
        let limit =
            |export: &vcp_config::Export| Arc::new(Limit::new(budget::rates(&export.limit)));
        let limits: Limits = config
            .exports
            .iter()
            .map(|(name, export)| (name.to_string(), limit(export)))
            .collect();
        let mut states = BTreeMap::new();
        let mut devices = BTreeMap::new();
        for (name, settings) in prepared {
            let started = Vcp::start(&engine, settings);
            let (vcp, events) = started.with_context(|| format!("VCP {name}"))?;
            let (state, seen) = watch::channel(State::Starting);
            let device = Device {
                vcp: Arc::new(vcp),
                state: seen,
            };
            devices.insert(name.clone(), device);
            states.insert(name, (events, state));
        }
        let exports = exports(&config, &devices, &limits)?;
        let servers = listen(&config, &exports).await?;
        let attachments = Attachments::new(&config, &exports, name);
        for (name, (events, state)) in states {
            tokio::spawn(follow(name, events, state, ended.clone()));
        }
        let vcps = controlled(&config, &devices, &servers, &limits, &places);
        Ok(Self {
            devices,
            servers,
            control: Arc::new(Control::new(engine, cache, vcps, Arc::clone(&attachments))),
            attachments,
            stopped,
            _sockets: sockets,
        })
    }

    /// Waits until every VCP serves its device; the first that fails ends it.
    pub(crate) async fn ready(&self) -> Result<()> {
        for (name, device) in &self.devices {
            let mut state = device.state.clone();
            let known = |state: &State| *state != State::Starting;
            let outcome = state.wait_for(known).await.map(|state| state.clone());
            match outcome {
                Ok(State::Ready(_)) => {}
                Ok(State::Failed(why)) => bail!("VCP {name}: {why}"),
                Ok(State::Starting | State::Stopped) | Err(_) => {
                    bail!("VCP {name}: ended before it was ready")
                }
            }
        }
        Ok(())
    }

    /// Waits until every VCP has been stopped, one by one.
    pub(crate) async fn all_stopped(&self) {
        for device in self.devices.values() {
            let stopped = |state: &State| *state == State::Stopped;
            // Nobody left to say so is as good.
            let _ = device.state.clone().wait_for(stopped).await;
        }
    }

    /// What a control socket can ask and do.
    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The URI of every export at every address.
    pub(crate) fn uris(&self) -> impl Iterator<Item = String> + '_ {
        self.servers
            .iter()
            .flat_map(|(server, names)| names.iter().map(|name| server.uri(name)))
    }

    /// The VCP of that name.
    pub(crate) fn device(&self, name: &str) -> Option<&Device> {
        self.devices.get(name)
    }

    /// Takes over what a host before this one has left in the kernel, also while
    /// VCPs are not ready yet.
    pub(crate) async fn restore(&self) {
        self.attachments.restore().await;
    }

    /// Attaches what the configuration says is to be attached.
    pub(crate) async fn attach(&self) -> Result<()> {
        self.attachments.attach_configured().await
    }

    /// Detaches what nobody uses, stops listening and lets the VCPs take their leave.
    pub(crate) async fn stop(mut self) {
        self.attachments.leave().await;
        self.servers.clear();
        for device in self.devices.values() {
            device.vcp.stop();
        }
        let mut left = self.devices.len();
        let all = async {
            while left > 0 && self.stopped.recv().await.is_some() {
                left -= 1;
            }
        };
        if tokio::time::timeout(STOP_LIMIT, all).await.is_err() {
            tracing::warn!("{left} VCPs did not stop in time");
        }
    }
}

/// What a control socket is told of each VCP.
fn controlled(
    config: &HostConfig,
    devices: &BTreeMap<String, Device>,
    servers: &[(Server, Vec<String>)],
    limits: &Limits,
    pins: &BTreeMap<String, Vec<usize>>,
) -> BTreeMap<String, Controlled> {
    let uris = |export: &str| {
        let serving = servers
            .iter()
            .filter(|(_, names)| names.iter().any(|name| name == export));
        serving.map(|(server, _)| server.uri(export)).collect()
    };
    let mut vcps = BTreeMap::new();
    for (name, vcp) in &config.vcps {
        let Some(device) = devices.get(name.as_str()) else {
            continue;
        };
        let mut alone = HostConfig::default();
        alone.vcps.insert(name.clone(), vcp.clone());
        let exports = config.exports.iter().filter(|(_, e)| e.vcp == *name);
        alone.exports = exports.map(|(n, e)| (n.clone(), e.clone())).collect();
        let export = |name: &vcp_config::Name| report::Export {
            name: name.to_string(),
            uris: uris(name.as_str()),
            devices: Vec::new(),
        };
        let controlled = Controlled {
            device: device.clone(),
            spare: vcp.restart.spare,
            exports: alone.exports.keys().map(export).collect(),
            limits: alone
                .exports
                .keys()
                .filter_map(|name| Some((name.to_string(), Arc::clone(limits.get(name.as_str())?))))
                .collect(),
            pin: pins.get(name.as_str()).cloned().unwrap_or_default(),
            config: Mutex::new(alone),
        };
        vcps.insert(name.to_string(), controlled);
    }
    vcps
}

/// Gives every export that has no address a socket in a directory of its own.
fn private_sockets(config: &mut HostConfig) -> Result<Option<tempfile::TempDir>> {
    if config.exports.values().all(|export| !export.nbd.is_empty()) {
        return Ok(None);
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_dir());
    let base = base.unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new()
        .prefix("vcp-")
        .tempdir_in(&base)
        .with_context(|| format!("making a directory for sockets in {}", base.display()))?;
    for (name, export) in &mut config.exports {
        if export.nbd.is_empty() {
            export.nbd.push(NbdAddress::Unix(
                directory.path().join(format!("{name}.sock")),
            ));
        }
    }
    Ok(Some(directory))
}

fn prepare(
    engine: &Engine,
    cache: &Cache,
    name: &str,
    vcp: &vcp_config::Vcp,
    nbd: &[NbdAddress],
    links: &mut link::Pipes,
) -> Result<Settings> {
    let module = module::load(engine, cache, &vcp.module).with_context(|| format!("VCP {name}"))?;
    let mut grants = Vec::new();
    for grant in &vcp.files {
        let opened = DirectoryGrant::open(&grant.host, &grant.guest, grant.read_only);
        grants.push(opened.with_context(|| format!("VCP {name}"))?);
    }
    let config = module::settings(name, vcp, nbd)?;
    let network = network(vcp, &config, links).with_context(|| format!("VCP {name}"))?;
    Ok(Settings {
        config,
        memory: usize::try_from(vcp.memory.bytes()).context("memory")?,
        queue_depth: vcp.queue_depth as usize,
        grants,
        network,
        ..recovery(vcp, Settings::new(name, module))
    })
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

pub(crate) fn network(
    vcp: &vcp_config::Vcp,
    config: &[(String, String)],
    links: &mut link::Pipes,
) -> Result<Option<Network>> {
    let Some(net) = &vcp.net else { return Ok(None) };
    if net.link == LinkKind::Host {
        // What it may connect to is what it was configured to connect to.
        let portal = config.iter().find(|(key, _)| key == "portal");
        let portal = portal.and_then(|(_, portal)| portal.parse::<SocketAddr>().ok());
        let portal = portal.context("net.link: host is for module iscsi")?;
        return Ok(Some(Network::Streams {
            peers: vec![portal.ip()],
        }));
    }
    Ok(Some(Network::Frames {
        link: link::open(net, links)?,
        addresses: net.addresses.iter().map(ToString::to_string).collect(),
        gateways: net.gateways.iter().map(ToString::to_string).collect(),
    }))
}

/// What is served of each device.
fn exports(
    config: &HostConfig,
    devices: &BTreeMap<String, Device>,
    limits: &Limits,
) -> Result<BTreeMap<String, Arc<Export>>> {
    let mut exports = BTreeMap::new();
    for (name, export) in &config.exports {
        let device = devices
            .get(export.vcp.as_str())
            .ok_or_else(|| anyhow!("export {name}: there is no VCP {}", export.vcp))?;
        let served = Export {
            device: device.clone(),
            read_only: export.read_only,
            description: export.description.clone().unwrap_or_default(),
            limit: limits.get(name.as_str()).cloned().context("its limit")?,
        };
        exports.insert(name.to_string(), Arc::new(served));
    }
    Ok(exports)
}

/// One server for each address, with the exports that are served there.
async fn listen(
    config: &HostConfig,
    exports: &BTreeMap<String, Arc<Export>>,
) -> Result<Vec<(Server, Vec<String>)>> {
    let mut by_address: Vec<(NbdAddress, Exports)> = Vec::new();
    for (name, export) in &config.exports {
        let served = exports.get(name.as_str()).context("its export")?;
        for address in &export.nbd {
            let index = by_address.iter().position(|(known, _)| known == address);
            let index = index.unwrap_or_else(|| {
                by_address.push((address.clone(), Exports::default()));
                by_address.len() - 1
            });
            by_address[index]
                .1
                .0
                .insert(name.to_string(), Arc::clone(served));
        }
    }
    let mut servers = Vec::new();
    for (address, exports) in by_address {
        let names = exports.0.keys().cloned().collect();
        let address = match address {
            NbdAddress::Unix(path) => Address::Unix(path),
            NbdAddress::Tcp { host, port } => Address::Tcp { host, port },
        };
        let server = Server::bind(&address, Arc::new(exports), ServerOptions::default()).await?;
        servers.push((server, names));
    }
    Ok(servers)
}

//! A host: the VCPs of a configuration, running, and the servers of their
//! exports.

mod controlled;
mod leave;
mod prepare;
mod private;
mod servers;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use vcp_config::{ExportName, HostConfig, HostOptions, Name, NbdAddress, RestartPolicy};
use vcp_core::{Cache, Engine, Limit, Network, Settings, Vcp};
use vcp_nbd::{Address, Server};

use crate::attach::{Attachments, Kept};
use crate::control::{Control, Reconfigure};
use crate::exports::{Device, Export, Exports, State, Table};
use crate::follow::{Unstarted, follow};
use crate::identity::Identity;
use crate::reclaim::Precautions;
use crate::service::Sockets;
use crate::{budget, descriptors, link};
use leave::{STOP_LIMIT, is_there};
pub(crate) use prepare::{Preparing, grants, network, together};
pub(crate) use servers::options as server_options;

/// The limits of exports, by name.
type Limits = BTreeMap<String, Arc<Limit>>;

/// A running host with all its parts.
pub(crate) struct Host {
    identity: Identity,
    engine: Engine,
    cache: Cache,
    /// The configuration of what runs.
    config: HostConfig,
    /// The CPUs of each VCP, by name; none: any.
    places: BTreeMap<String, Vec<usize>>,
    devices: BTreeMap<String, Device>,
    limits: Limits,
    /// The servers, by address.
    servers: BTreeMap<String, Served>,
    control: Arc<Control>,
    attachments: Arc<Attachments>,
    /// Listening sockets that others have passed to the host.
    passed: Sockets,
    /// The directory for the sockets of exports that have no address.
    sockets: Option<tempfile::TempDir>,
    /// Whether a VCP that can't start is started again later: others serve meanwhile.
    perseveres: bool,
}

/// Exports that could not be served as they are now configured.
pub(crate) struct Unserved {
    /// The names of the exports.
    pub(crate) exports: Vec<ExportName>,
    /// The reason.
    pub(crate) error: anyhow::Error,
}

/// A server and what it serves.
struct Served {
    server: Server,
    exports: Arc<Exports>,
}

impl Host {
    /// The process that runs a host of this name already.
    pub(crate) fn rival(&self) -> Option<&str> {
        self.identity.other()
    }

    /// A host without any VCP. `name` is what the kernel knows it by, and `options`
    /// are of the process: to be called before it has other threads.
    pub(crate) fn new(
        name: &str,
        options: HostOptions,
        passed: Sockets,
        reloads: Option<mpsc::Sender<Reconfigure>>,
    ) -> Result<Self> {
        // This comes before any thread that would not inherit it.
        let precautions = Precautions::at_start(options)?;
        crate::logging::begin();
        descriptors::raise();
        let engine = Engine::new(true)?;
        let cache = Cache::of_user();
        let attachments = Attachments::new(name);
        let perseveres = reloads.is_some();
        let control = Control::new(
            engine.clone(),
            cache.clone(),
            Arc::clone(&attachments),
            precautions,
            reloads,
        );
        Ok(Self {
            identity: Identity::of(name),
            engine,
            cache,
            config: HostConfig::default(),
            places: BTreeMap::new(),
            devices: BTreeMap::new(),
            limits: Limits::new(),
            servers: BTreeMap::new(),
            control: Arc::new(control),
            attachments,
            passed,
            sockets: None,
            perseveres,
        })
    }

    /// Opens everything the configuration names, starts its VCPs and listens. Nothing is
    /// served before the VCPs say they are ready. `name` is the name by which the kernel
    /// knows the host.
    pub(crate) async fn start(
        config: &HostConfig,
        links: &mut link::Pipes,
        name: &str,
    ) -> Result<Self> {
        let mut host = Self::new(name, config.host, Sockets::default(), None)?;
        host.places = budget::places(config)?;
        let mut prepared = Vec::new();
        let config = host.addressed(config)?;
        for (name, vcp) in &config.vcps {
            prepared.push((name, host.preparing(name, vcp, &config)(links)?));
        }
        for (name, settings) in prepared {
            host.board(name, settings)?;
        }
        let unserved = host.serve(&config).await.into_iter();
        unserved.map(|unserved| unserved.error).try_for_each(Err)?;
        Ok(host)
    }

    /// Starts one VCP of a configuration; its exports are served with the next
    /// [`Host::serve`].
    pub(crate) async fn launch(&mut self, name: &Name, config: &HostConfig) -> Result<()> {
        let vcp = config.vcps.get(name).context("it is not configured")?;
        let config = self.addressed(config)?;
        let place = budget::places(&config)?.remove(name.as_str());
        self.places
            .insert(name.to_string(), place.unwrap_or_default());
        // Compiling a module and asking a resolver take time, and others are served
        // meanwhile.
        let preparing = self.preparing(name, vcp, &config);
        let task = move || preparing(&mut link::Pipes::default());
        let settings = tokio::task::spawn_blocking(task)
            .await
            .context("preparing it")?;
        self.board(name, settings?)
    }

    /// Tells a VCP to stop; its exports go with the next [`Host::serve`].
    pub(crate) fn dismiss(&mut self, name: &str) {
        if let Some(device) = self.devices.remove(name) {
            device.vcp.stop();
            // Dropping the last reference waits for the VCP's end, which this thread must
            // not do.
            tokio::spawn(async move { device.stopped().await });
        }
        self.places.remove(name);
    }

    /// Waits until a stopped VCP has released everything, such as its link.
    pub(crate) async fn gone(&self, name: &str) {
        if let Some(device) = self.devices.get(name) {
            // If the VCP is stuck, its successor will complain.
            let _ = timeout(STOP_LIMIT, device.stopped()).await;
        }
    }

    /// Whether a VCP of this name runs, and has not been stopped.
    pub(crate) fn runs(&self, name: &str) -> bool {
        self.devices.get(name).is_some_and(is_there)
    }

    /// Collects what is needed to prepare a VCP on any thread.
    fn preparing(
        &self,
        name: &Name,
        vcp: &vcp_config::Vcp,
        config: &HostConfig,
    ) -> impl FnOnce(&mut link::Pipes) -> Result<Settings> + Send + use<> {
        let exports = config.exports.values().filter(|e| e.vcp == *name);
        let addresses = exports.flat_map(|export| export.nbd.clone());
        // A private address is another one each time.
        let nbd: Vec<_> = addresses.filter(|at| !self.is_private(at)).collect();
        let place = self.places.get(name.as_str()).cloned().unwrap_or_default();
        let preparing = Preparing {
            engine: self.engine.clone(),
            cache: self.cache.clone(),
            host: self.identity.name().to_owned(),
            waits: self.perseveres && vcp.restart.policy == RestartPolicy::Always,
        };
        let (name, vcp) = (name.to_string(), vcp.clone());
        move |links| {
            let settings = preparing.prepare(&name, &vcp, &nbd, links)?;
            Ok(Settings {
                cpu: budget::cpu(&vcp.cpu, place),
                ..settings
            })
        }
    }

    /// Whether the address is that of a socket that this host made for itself.
    fn is_private(&self, address: &NbdAddress) -> bool {
        let private = self.sockets.as_ref().map(tempfile::TempDir::path);
        matches!(address, NbdAddress::Unix(path) if private.is_some_and(|p| path.starts_with(p)))
    }

    fn board(&mut self, name: &Name, settings: Settings) -> Result<()> {
        let always = settings.restart.always;
        let first = match settings.network {
            Some(Network::Awaited { .. }) => State::Waiting,
            _ => State::Starting,
        };
        let started = Vcp::start(&self.engine, settings);
        let (vcp, events) = started.with_context(|| format!("VCP {name}"))?;
        let (state, seen) = watch::channel(first);
        let device = Device {
            vcp: Arc::new(vcp),
            state: seen,
        };
        let unstarted = match (self.perseveres, always) {
            (false, _) => Unstarted::Ends,
            (true, false) => Unstarted::Stays,
            (true, true) => Unstarted::TriedAgain(Arc::downgrade(&device.vcp)),
        };
        self.devices.insert(name.to_string(), device);
        tokio::spawn(follow(name.to_string(), events, state, unstarted));
        Ok(())
    }

    /// Serves the exports of this configuration whose VCPs run, and no others: exports
    /// that are already served stay. Returns what could not be done.
    pub(crate) async fn serve(&mut self, config: &HostConfig) -> Vec<Unserved> {
        let config = match self.addressed(config) {
            Ok(config) => config,
            Err(error) => {
                let exports = config.exports.keys().cloned().collect();
                return vec![Unserved { exports, error }];
            }
        };
        descriptors::check(&config, &self.config);
        self.config = config;
        let memory = self.config.nbd.memory.bytes() as usize;
        self.engine.client_memory().set_most(memory);
        let exports = self.exports();
        self.attachments.replace(&self.config, &exports);
        let mut wanted = tables(&self.config, &exports);
        self.servers
            .retain(|address, _| wanted.contains_key(address));
        let mut failed = Vec::new();
        for (address, served) in &self.servers {
            let Some((at, table)) = wanted.remove(address) else {
                continue;
            };
            let changed = self.change(&served.server, &at);
            failed.extend(changed.err().map(|error| self.unserved(&at, error)));
            served.exports.replace(table);
        }
        for (address, (at, table)) in wanted {
            let exports = Arc::new(Exports::default());
            exports.replace(table);
            match self.listen(&at, &exports).await {
                Ok(server) => _ = self.servers.insert(address, Served { server, exports }),
                Err(error) => failed.push(self.unserved(&at, error)),
            }
        }
        self.control.replace(self.controlled());
        failed
    }

    /// An error at an address concerns all exports there.
    fn unserved(&self, at: &NbdAddress, error: anyhow::Error) -> Unserved {
        let here = self.config.exports.iter();
        let here = here.filter(|(_, export)| export.nbd.contains(at));
        let exports = here.map(|(name, _)| name.clone()).collect();
        Unserved { exports, error }
    }

    /// The table of exports whose VCPs run.
    fn exports(&mut self) -> Table {
        let exports = &self.config.exports;
        self.limits
            .retain(|name, _| exports.contains_key(name.as_str()));
        let mut table = Table::new();
        for (name, export) in exports {
            let Some(device) = self.devices.get(export.vcp.as_str()) else {
                continue;
            };
            let new = || Arc::new(Limit::of(name.as_str(), budget::rates(&export.limit)));
            let limit = self.limits.entry(name.to_string()).or_insert_with(new);
            limit.pool().set_most(export.memory.bytes() as usize);
            limit.set_half_request(self.config.nbd.half_request.duration());
            let served = Export {
                device: device.clone(),
                read_only: export.read_only,
                description: export.description.clone().unwrap_or_default(),
                limit: Arc::clone(limit),
            };
            table.insert(name.to_string(), Arc::new(served));
        }
        table
    }

    /// Changes a running server to the current configuration.
    fn change(&self, server: &Server, at: &NbdAddress) -> Result<()> {
        let options = servers::options(&self.config, at)?;
        if !server.owns_file() {
            self.give_access(server.address(), options.access)?;
        }
        Ok(server.change(options)?)
    }

    /// Gives the file of a socket that an earlier process made the configured access; the
    /// file of a socket unit's socket stays as the unit says.
    fn give_access(&self, address: &Address, access: vcp_nbd::Access) -> Result<()> {
        match address {
            Address::Unix(path) if !self.passed.is_of_unit(address) => {
                vcp_nbd::set_access(path, access)
                    .with_context(|| format!("the socket for {address}"))
            }
            _ => Ok(()),
        }
    }

    async fn listen(&mut self, at: &NbdAddress, exports: &Arc<Exports>) -> Result<Server> {
        let options = servers::options(&self.config, at)?;
        let address = match at.clone() {
            NbdAddress::Unix(path) => Address::Unix(path),
            NbdAddress::Tcp { host, port } => Address::Tcp { host, port },
        };
        let exports: Arc<Exports> = Arc::clone(exports);
        if let Some(socket) = self.passed.take(&address) {
            self.give_access(&address, options.access)?;
            let server = Server::on(socket, exports, options);
            return server.with_context(|| format!("the socket for {address}"));
        }
        Ok(Server::bind(&address, exports, options).await?)
    }

    /// Gives an address to each export that has none: the address of a socket that was
    /// passed under its name, or a private one.
    fn addressed(&mut self, config: &HostConfig) -> Result<HostConfig> {
        let mut config = config.clone();
        for (name, export) in &mut config.exports {
            if export.nbd.is_empty()
                && let Some(address) = self.passed.named(name.as_str())
            {
                export.nbd.push(address);
            }
        }
        private::sockets(&mut config, &mut self.sockets)?;
        Ok(config)
    }

    /// Waits until every VCP serves its device; fails as soon as one fails.
    pub(crate) async fn ready(&self) -> Result<()> {
        for (name, device) in &self.devices {
            let mut state = device.state.clone();
            let outcome = state
                .wait_for(State::is_known)
                .await
                .map(|state| state.clone());
            match outcome {
                Ok(State::Ready(_)) => {}
                Ok(State::Failed(why)) => bail!("VCP {name}: {why}"),
                Ok(State::Starting | State::Waiting | State::Stopped) | Err(_) => {
                    bail!("VCP {name}: ended before it was ready")
                }
            }
        }
        Ok(())
    }

    /// Waits until all VCPs have been stopped.
    pub(crate) async fn all_stopped(&self) {
        for device in self.devices.values() {
            device.stopped().await;
        }
    }

    /// The part of the host that answers control sockets.
    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The URI of every export at every address.
    pub(crate) fn uris(&self) -> impl Iterator<Item = String> + '_ {
        self.servers.values().flat_map(|served| {
            let names = served.exports.names().into_iter();
            names.map(|name| served.server.uri(&name))
        })
    }

    /// The VCP of that name.
    pub(crate) fn device(&self, name: &str) -> Option<&Device> {
        self.devices.get(name)
    }

    /// Takes over the kernel devices that a former host left, even while VCPs are not
    /// ready yet, with the connections that were `kept`.
    pub(crate) async fn restore(&self, kept: Kept) {
        if !kept.is_empty() {
            self.control.serves_the_kernel();
        }
        self.attachments.restore(kept).await;
        if self.attachments.any() {
            self.control.serves_the_kernel();
        }
    }

    /// Attaches what the configuration says is to be attached; fails as soon as one
    /// fails.
    pub(crate) async fn attach(&self) -> Result<()> {
        self.prepare_to_attach().await;
        let failed = self.attachments.attach_configured(None).await;
        failed.into_iter().try_for_each(|(_, error)| Err(error))
    }

    /// Does the same in the background, retrying until everything is attached.
    pub(crate) async fn want_attached(&self) {
        if self.attachments.any_configured() {
            self.prepare_to_attach().await;
            self.attachments.want();
        }
    }

    /// Takes the precautions for serving the kernel; without a driver none are needed.
    async fn prepare_to_attach(&self) {
        if self.attachments.any_configured() && self.attachments.has_driver().await {
            self.control.serves_the_kernel();
        }
    }

    /// Keeps attaching configured devices, for ever.
    pub(crate) fn keep_attaching(&self) {
        tokio::spawn(Arc::clone(&self.attachments).keep_attaching());
    }

    /// All VCPs.
    pub(crate) fn devices(&self) -> &BTreeMap<String, Device> {
        &self.devices
    }

    /// The export of that name, if its VCP runs.
    pub(crate) fn export(&self, name: &str) -> Option<Arc<dyn vcp_nbd::Export>> {
        use vcp_nbd::Exports as _;
        self.servers
            .values()
            .find_map(|served| served.exports.open(name))
    }

    /// The listening sockets with their addresses, except private ones and those of
    /// socket units.
    pub(crate) fn listening(&self) -> impl Iterator<Item = (&String, BorrowedFd<'_>)> {
        let private = self.sockets.as_ref().map(tempfile::TempDir::path);
        let servers = self.servers.iter().filter(move |(_, served)| {
            let private = |path: &Path| private.is_some_and(|p| path.starts_with(p));
            let address = served.server.address();
            let private = matches!(address, Address::Unix(path) if private(path));
            !private && !self.passed.is_of_unit(address)
        });
        servers.map(|(address, served)| (address, served.server.socket()))
    }

    /// The addresses whose file leads to another process's socket, or is gone.
    pub(crate) fn out_of_reach(&self) -> impl Iterator<Item = &String> {
        let servers = self.servers.iter();
        let lost = servers.filter(|(_, served)| !served.server.can_be_reached());
        lost.map(|(address, _)| address)
    }

    /// The sockets that were passed.
    pub(crate) fn passed_mut(&mut self) -> &mut Sockets {
        &mut self.passed
    }
}

/// The exports to serve at each address.
fn tables(config: &HostConfig, exports: &Table) -> BTreeMap<String, (NbdAddress, Table)> {
    let mut tables: BTreeMap<String, (NbdAddress, Table)> = BTreeMap::new();
    for (name, served) in exports {
        let addresses = config.exports.get(name.as_str()).map(|export| &export.nbd);
        for address in addresses.into_iter().flatten() {
            let new = || (address.clone(), Table::new());
            let entry = tables.entry(address.to_string()).or_insert_with(new);
            entry.1.insert(name.clone(), Arc::clone(served));
        }
    }
    tables
}

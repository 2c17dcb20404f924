//! `vcp host`: runs a machine's configuration as a service. It reports its status to the
//! service manager, reads its configuration again when asked, and passes its sockets and
//! connections to the process that follows it.

mod deadline;
mod ending;
mod manager;
mod outcome;
mod passed;
mod reread;
mod resume;
mod status;
mod stored;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use vcp_config::{HostConfig, HostOptions};
use vcp_control::report::Reconfigured;

use crate::args::ServiceArguments;
use crate::attach;
use crate::control::{self, Reconfigure};
use crate::exports::State;
use crate::host::Host;
use crate::run::{LAST_ANSWERS, metrics, runtime};
use crate::watch::Stamp;
use deadline::Deadline;
pub(crate) use ending::{Ending, tell_everybody, unit};
use manager::Manager;
use outcome::Outcome;
pub(crate) use passed::Sockets;
use resume::Waiting;
use stored::{Store, Stored};

/// How long VCPs may take to become ready before the host counts as started without them:
/// one missing target must not keep the others from being used.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often, at the end of the machine, devices are checked for use.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// For how long a device in use may wait for its VCP then, one whose target is away for
/// one: whatever waits for the device keeps the machine.
const UNSERVED: Duration = Duration::from_secs(30);

/// How often the service manager is told how it is, if that has changed.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// A host with the state of a service.
struct Service {
    host: Host,
    manager: Manager,
    file: PathBuf,
    drop_ins: PathBuf,
    /// The configuration in effect: the files' contents, as far as possible.
    configured: HostConfig,
    /// Options that hold for the process from its start to its end.
    started_with: HostOptions,
    /// The version of each VCP's module file when it was last loaded or tried.
    stamps: BTreeMap<String, Option<Stamp>>,
    /// Listening sockets that the manager keeps, by the names under which it keeps them.
    kept: BTreeSet<String>,
    /// The status last reported to the manager.
    told: String,
    /// Addresses that were reported to be out of clients' reach.
    out_of_reach: BTreeSet<String>,
    /// Connections of the former process whose exports are not ready yet.
    waiting: Waiting,
    deadline: Deadline,
}

pub(crate) fn run(arguments: &ServiceArguments) -> Result<ExitCode> {
    if arguments.check {
        return crate::judge::run(arguments);
    }
    let (file, drop_ins) = arguments.files();
    let config = HostConfig::read_all(&file, &drop_ins)?;
    if arguments.dump_config {
        crate::ask::print(&config.to_toml())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Passed descriptors are taken before anything else is opened.
    let (sockets, stored) = passed::take()?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(arguments, config, sockets, stored));
    // A module that is just being compiled is no longer needed.
    runtime.shutdown_background();
    outcome
}

/// The signals that end a host or make it read its configuration again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind, name| signal(kind).with_context(|| format!("listening for {name}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hangup: listen(SignalKind::hangup(), "SIGHUP")?,
        })
    }
}

async fn serve(
    arguments: &ServiceArguments,
    config: HostConfig,
    sockets: Sockets,
    stored: Stored,
) -> Result<ExitCode> {
    let Signals {
        mut terminate,
        mut interrupt,
        mut hangup,
    } = Signals::new()?;
    let ended = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(ended);
    let manager = Manager::of_process();
    let (reloads, mut wishes) = mpsc::channel(4);
    let (file, drop_ins) = arguments.files();
    let name = attach::host_name(Some(&file), &config);
    let mut service = Service {
        host: Host::new(&name, config.host, sockets, Some(reloads))?,
        manager,
        file,
        drop_ins,
        configured: HostConfig::default(),
        started_with: config.host,
        stamps: BTreeMap::new(),
        kept: BTreeSet::new(),
        told: String::new(),
        out_of_reach: BTreeSet::new(),
        waiting: Waiting::new(),
        deadline: Deadline::set()?,
    };
    // Both would log in to the same targets as the same, and end each other's sessions.
    if let Some(process) = service.host.rival() {
        bail!(
            "{}: process {process} is a host of this configuration already",
            service.file.display()
        );
    }
    tokio::select! {
        _ = service.configure(config) => {}
        () = &mut ended => {
            manager.stopping();
            service.end().await?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let passed = service.host.passed_mut().control();
    let control = service.host.control();
    let passed = passed.map(|socket| control::on(socket, control));
    let own = control::open(arguments.control.as_deref(), control)?;
    let sockets: Vec<_> = passed.transpose()?.into_iter().chain(own).collect();
    if let Some(address) = &arguments.metrics {
        metrics(address, control).await?;
    }
    if let Some(limit) = sd_notify::watchdog_enabled() {
        tokio::spawn(watchdog::watch(manager, Arc::clone(control), limit));
    }
    service.host.passed_mut().close(manager);
    service.keep_sockets();
    // This comes after everything that can fail: until then the manager's store is
    // complete.
    let connections = stored.connections(manager);
    let (kept, waiting) = resume::resume(&service.host, manager, connections);
    service.waiting = waiting;
    let running = async {
        // Devices with requests held by the kernel do not wait for the slowest VCP.
        let known = timeout(START_LIMIT, service.known());
        let _ = tokio::join!(known, service.host.restore(kept));
        service.host.keep_attaching();
        service.host.want_attached().await;
        service.tell_ready();
        let mut look = tokio::time::interval(STATUS_INTERVAL);
        loop {
            tokio::select! {
                _ = look.tick() => {
                    service.look_at_sockets();
                    let status = service.status();
                    if status != service.told {
                        manager.status(&status);
                        service.told = status;
                    }
                }
                _ = hangup.recv() => drop(service.reconfigure().await),
                Some(answer) = wishes.recv() => service.answer(answer).await,
            }
        }
    };
    tokio::select! {
        () = running => {}
        () = &mut ended => {}
    }
    manager.stopping();
    let ended = service.end().await;
    for socket in sockets {
        // The client that asked for the end gets its answer.
        socket.finish(LAST_ANSWERS).await;
    }
    ended.map(|()| ExitCode::SUCCESS)
}

impl Service {
    /// Waits until it is known for each VCP whether it serves.
    async fn known(&self) {
        for device in self.host.devices().values() {
            // A VCP that waits for its link does not delay the start.
            let known = |state: &State| *state != State::Starting;
            // If the sender is gone, the VCP has ended.
            let _ = device.state.clone().wait_for(known).await;
        }
    }

    /// The status in a line for people.
    fn status(&self) -> String {
        let devices = self.host.devices();
        let running = devices
            .iter()
            .map(|(name, device)| (name.as_str(), device.vcp.status().state.word()));
        let missing = self.configured.vcps.keys().map(|name| name.as_str());
        let missing = missing.filter(|name| !devices.contains_key(*name));
        status::line(running, missing)
    }

    /// Tells the manager that the service is ready, with its status.
    fn tell_ready(&mut self) {
        self.told = self.status();
        self.manager.ready(&self.told);
    }

    async fn answer(&mut self, answer: Reconfigure) {
        let outcome = self.reconfigure().await;
        // The client may be gone.
        let _ = answer.send(outcome);
    }

    /// Reads the configuration again and applies it.
    async fn reconfigure(&mut self) -> Reconfigured {
        self.manager.reloading();
        let outcome = match HostConfig::read_all(&self.file, &self.drop_ins) {
            Ok(config) => self.configure(config).await,
            Err(error) => {
                let mut outcome = Outcome::default();
                outcome.failed(error.to_string());
                outcome
            }
        };
        self.keep_sockets();
        self.host.want_attached().await;
        self.tell_ready();
        outcome.report()
    }

    /// Has the manager keep the listening sockets, and no others, so that clients do not
    /// wait in vain after a host dies.
    fn keep_sockets(&mut self) {
        if !self.manager.listens() {
            return;
        }
        self.kept.extend(self.host.passed_mut().kept());
        let mut kept = BTreeSet::new();
        for (address, socket) in self.host.listening() {
            let name = passed::name_of(address);
            if !self.kept.contains(&name) {
                self.manager.store(&name, &[socket]);
            }
            kept.insert(name);
        }
        for gone in self.kept.difference(&kept) {
            self.manager.forget(gone);
        }
        self.kept = kept;
    }

    /// Reports each socket once whose file no longer leads to it.
    fn look_at_sockets(&mut self) {
        let lost: BTreeSet<String> = self.host.out_of_reach().cloned().collect();
        for address in lost.difference(&self.out_of_reach) {
            tracing::error!(
                "{address}: another has taken its place, or its file was removed: clients do \
                 not reach this host there. If a socket unit of this service is to have it, \
                 enable that and \"systemctl restart vcp\""
            );
        }
        self.out_of_reach = lost;
    }

    /// Ends; if the manager keeps connections, these do not end.
    async fn end(mut self) -> Result<()> {
        // Connections that still wait are kept as they are.
        self.waiting.abort_all();
        let ending = self.ending().await;
        if ending == Ending::Shutdown {
            self.outlast().await;
        } else if self.manager.listens() {
            let mut store = Store::new(self.manager);
            let keep = |parked: &_| {
                if let Err(error) = store.keep(parked) {
                    tracing::warn!("a connection can't be kept: {error}");
                }
            };
            self.host.park(ending, keep).await;
            self.manager.status(&format!(
                "connections kept for the next host: {}",
                store.count()
            ));
            if !self.manager.settled() {
                tracing::warn!("the service manager does not answer");
            }
        }
        self.host.stop(ending).await
    }

    /// The reason for the end, which matters only if there are devices.
    async fn ending(&self) -> Ending {
        match self.manager.listens() && self.host.has_devices() {
            true => Ending::ask().await,
            false => Ending::Unknown,
        }
    }

    /// While the machine goes down, serves the devices that are in use until they no
    /// longer are: the process that unmounts them may be the last to run. After a while
    /// the service manager takes the service for ended and leaves this process alone.
    async fn outlast(&mut self) {
        self.host.flush_mounted().await;
        let in_use = self.host.devices_in_use();
        if in_use.is_empty() {
            return;
        }
        let in_use = in_use.join("; ");
        if !ending::is_spared() {
            tracing::warn!(
                "the machine goes down with devices in use: {in_use}; what they have not \
                 written is lost, as the unit does not start this host as @vcp (ExecStart= of \
                 the unit that the package brings)"
            );
            return;
        }
        self.deadline.lift();
        tracing::info!(
            "the machine goes down; devices in use are served until they are not: {in_use}"
        );
        // It takes the service for ended at some point, and hears nothing any more.
        self.manager.mute();
        let mut served = Instant::now();
        while !self.host.devices_in_use().is_empty() {
            if !self.host.devices_wait() {
                served = Instant::now();
            } else if served.elapsed() > UNSERVED {
                tracing::error!(
                    "devices in use are detached, as nothing was done for them for {} s: {}",
                    UNSERVED.as_secs(),
                    self.host.devices_in_use().join("; ")
                );
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

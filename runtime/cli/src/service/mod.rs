//! `vcp host`: what a machine's configuration says, as a service. It tells the service
//! manager how it is, reads its configuration again when asked, and gives its sockets
//! and connections to the process that follows it.

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

/// How long VCPs may take until they serve before the host counts as started without
/// them: one target that is away is not to keep the others from being used.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked, at the end of the machine, whether devices are in use still.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// For how long a device in use may wait for its VCP then, one whose target is away for
/// one: whatever waits for the device keeps the machine.
const UNSERVED: Duration = Duration::from_secs(30);

/// How often the service manager is told how it is, if that has changed.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// A host and what makes it a service.
struct Service {
    host: Host,
    manager: Manager,
    file: PathBuf,
    drop_ins: PathBuf,
    /// What the files said, as far as it could be done.
    configured: HostConfig,
    /// What holds for the process from its start to its end.
    started_with: HostOptions,
    /// The file of each VCP's module when it was last loaded or tried.
    stamps: BTreeMap<String, Option<Stamp>>,
    /// Listening sockets that the manager keeps, by the names they have there.
    kept: BTreeSet<String>,
    /// What the manager was last told of how it is.
    told: String,
    /// Addresses that clients do not reach any more, as was said.
    out_of_reach: BTreeSet<String>,
    /// Connections of the process before whose exports are not ready yet.
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
    // Before anything else is opened.
    let (sockets, stored) = passed::take()?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(arguments, config, sockets, stored));
    // A module that is being compiled just now is of no use any more.
    runtime.shutdown_background();
    outcome
}

/// What ends a host, and what has it read its configuration again.
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
    // After everything that can fail: what the manager keeps is whole until then.
    let connections = stored.connections(manager);
    let (kept, waiting) = resume::resume(&service.host, manager, connections);
    service.waiting = waiting;
    let running = async {
        // What the kernel holds for us does not wait for the last of all VCPs.
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
        // Whoever asked for the end wants to hear of it.
        socket.finish(LAST_ANSWERS).await;
    }
    ended.map(|()| ExitCode::SUCCESS)
}

impl Service {
    /// Waits until it is known of each VCP whether it serves.
    async fn known(&self) {
        for device in self.host.devices().values() {
            // What waits for its link does not hold up the rest of the machine.
            let known = |state: &State| !matches!(state, State::Starting);
            // One that has ended is known, too.
            let _ = device.state.clone().wait_for(known).await;
        }
    }

    /// How it is, in a line for people.
    fn status(&self) -> String {
        let devices = self.host.devices();
        let running = devices
            .iter()
            .map(|(name, device)| (name.as_str(), device.vcp.status().state.word()));
        let missing = self.configured.vcps.keys().map(|name| name.as_str());
        let missing = missing.filter(|name| !devices.contains_key(*name));
        status::line(running, missing)
    }

    /// Tells the manager that it is ready, and how it is.
    fn tell_ready(&mut self) {
        self.told = self.status();
        self.manager.ready(&self.told);
    }

    async fn answer(&mut self, answer: Reconfigure) {
        let outcome = self.reconfigure().await;
        // Who asked may be gone.
        let _ = answer.send(outcome);
    }

    /// Reads the configuration again and does what it says.
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

    /// Has the manager keep what is listened on, and nothing else: a host that dies
    /// leaves nobody waiting in vain.
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

    /// Says of each socket once that its file leads to it no more.
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

    /// Ends; with a manager that keeps them, connections do not.
    async fn end(mut self) -> Result<()> {
        // Those who still wait are kept as they are.
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

    /// Why it ends, which matters only where there are devices.
    async fn ending(&self) -> Ending {
        match self.manager.listens() && self.host.has_devices() {
            true => Ending::ask().await,
            false => Ending::Unknown,
        }
    }

    /// While the machine goes down, serves the devices that are in use until they are not:
    /// whoever unmounts them may be the last process that runs. The service manager waits for a while, takes the service for ended then and leaves this process alone.
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

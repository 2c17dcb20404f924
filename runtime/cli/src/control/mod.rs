//! The host's side of its control socket, which answers `vcp ps`, `vcp reload` and the
//! like.

mod attach;
mod clients;
mod life;
mod rescan;
mod set;
mod stats;
mod tell;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, oneshot};
use vcp_config::{HostConfig, Module as Named};
use vcp_control::{
    Answer, Handler, Handling, Refusal, RefusalKind, Request, Server, place, report,
};
use vcp_core::{Cache, Engine, Limit, ReloadError, Reloaded};

use crate::attach::Attachments;
use crate::exports::Device;
use crate::module;
use crate::reclaim::Precautions;

/// A VCP and its configuration.
pub(crate) struct Controlled {
    pub(crate) device: Device,
    /// The configuration of the VCP and its exports.
    pub(crate) config: Mutex<HostConfig>,
    /// The CPUs that its channel processor may run on; none: any.
    pub(crate) pin: Vec<usize>,
    /// The limits of its exports, by name.
    pub(crate) limits: BTreeMap<String, Arc<Limit>>,
    /// Whether it keeps a spare.
    pub(crate) spare: bool,
    pub(crate) exports: Vec<report::Export>,
}

impl Controlled {
    /// The value is only ever replaced, so it is consistent after any panic.
    pub(crate) fn config(&self) -> MutexGuard<'_, HostConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that runs in this process, and what is needed to load more.
pub(crate) struct Control {
    engine: Engine,
    cache: Cache,
    started: Instant,
    vcps: RwLock<Vcps>,
    attachments: Arc<Attachments>,
    precautions: Precautions,
    /// Where to request that the configuration be read again, if the host can do so.
    reloads: Option<mpsc::Sender<Reconfigure>>,
}

/// All VCPs, by name.
pub(crate) type Vcps = BTreeMap<String, Arc<Controlled>>;

/// The outcome of a reload that could be tried.
#[derive(Debug)]
pub(crate) enum Reloading {
    /// There is another instance; the log says which.
    Replaced(Reloaded),
    /// The new module could not be started, for this reason; the old one goes on.
    NotStarted(String),
    /// The new module was started but failed, for this reason, which the log has too.
    RolledBack(String),
}

/// A request to read the configuration again, with a channel for the result.
pub(crate) type Reconfigure = oneshot::Sender<report::Reconfigured>;

impl Control {
    pub(crate) fn new(
        engine: Engine,
        cache: Cache,
        attachments: Arc<Attachments>,
        precautions: Precautions,
        reloads: Option<mpsc::Sender<Reconfigure>>,
    ) -> Self {
        Self {
            engine,
            cache,
            started: Instant::now(),
            vcps: RwLock::default(),
            attachments,
            precautions,
            reloads,
        }
    }

    /// Notes that a kernel device is going to be served: from then on the kernel may
    /// write memory back through this process. To be called before that, on the main
    /// thread.
    pub(crate) fn serves_the_kernel(&self) {
        let vcps = self.vcps();
        let vcps = vcps.values().map(|vcp| &*vcp.device.vcp);
        self.precautions.kernel_device(vcps);
    }

    /// Replaces the table of VCPs.
    pub(crate) fn replace(&self, vcps: Vcps) {
        *self.vcps.write().unwrap_or_else(PoisonError::into_inner) = vcps;
    }

    /// The current VCPs. The table is only ever replaced, so it is consistent after any
    /// panic.
    pub(crate) fn vcps(&self) -> Vcps {
        self.vcps
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the configuration again.
    async fn reconfigure(&self) -> Result<Answer, Refusal> {
        let why = "this host reads no configuration again: it was not started by vcp host";
        let reloads = self.reloads.as_ref();
        let reloads = reloads.ok_or_else(|| failed(why.to_owned()))?;
        let (answer, outcome) = oneshot::channel();
        // A host that is ending no longer answers.
        let _ = reloads.send(answer).await;
        let outcome = outcome.await;
        let outcome = outcome.map_err(|_| failed("the host is stopping".to_owned()))?;
        Ok(Answer::new(&outcome))
    }

    /// The module of this VCP; after a reload that was rolled back, the former one.
    pub(crate) fn module(&self, name: &str) -> Option<Named> {
        let vcp = self.find(name).ok()?;
        // A module's name is the one it was configured by.
        vcp.device.vcp.status().module.parse().ok()
    }

    /// Replaces the running module by `module`, or by the current version of its own
    /// file.
    pub(crate) async fn reload(
        &self,
        name: &str,
        module: Option<Named>,
    ) -> Result<Reloading, Refusal> {
        let vcp = self.find(name)?;
        let named = module
            .or_else(|| self.module(name))
            .ok_or_else(|| failed(format!("VCP {name}: its module has no name")))?;
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        // Compiling may take seconds.
        let load = tokio::task::spawn_blocking(move || module::load(&engine, &cache, &named));
        let loaded = load.await.map_err(|error| failed(error.to_string()))?;
        let loaded = loaded.map_err(|error| failed(format!("{error:#}")))?;
        let outcome = vcp.device.vcp.reload(loaded).await;
        match outcome {
            Ok(Ok(reloaded)) => Ok(Reloading::Replaced(reloaded)),
            Ok(Err(error @ ReloadError::NotStarted(_))) => {
                Ok(Reloading::NotStarted(error.to_string()))
            }
            Ok(Err(error @ ReloadError::RolledBack(_))) => {
                Ok(Reloading::RolledBack(error.to_string()))
            }
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the VCP has stopped".to_owned())),
        }
    }

    fn find(&self, name: &str) -> Result<Arc<Controlled>, Refusal> {
        let mut vcps = self.vcps();
        vcps.remove(name).ok_or_else(|| {
            let names: Vec<_> = vcps.keys().map(String::as_str).collect();
            let why = match names[..] {
                [] => format!("no VCP {name:?} here; there is none"),
                _ => format!("no VCP {name:?} here; there are: {}", names.join(", ")),
            };
            Refusal::new(RefusalKind::NoSuchVcp, why)
        })
    }

    fn ps(&self) -> report::Host {
        let (lost, left_out) = crate::logging::missing();
        report::Host {
            log: report::Log { lost, left_out },
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: tell::millis(self.started.elapsed()),
            vcps: self
                .vcps()
                .iter()
                .map(|(name, vcp)| {
                    let mut summary = tell::summary(name, vcp, self.started);
                    self.add_devices(&mut summary);
                    summary
                })
                .collect(),
        }
    }

    async fn answer(&self, request: Request) -> Result<Answer, Refusal> {
        match request {
            Request::Ps {} => Ok(Answer::new(&self.ps())),
            Request::Inspect { vcp } => {
                let found = self.find(&vcp)?;
                let mut inspection = tell::inspection(&vcp, &found, self.started);
                inspection.client_memory = self.client_memory(&found);
                self.add_devices(&mut inspection.summary);
                Ok(Answer::new(&inspection))
            }
            Request::Logs { vcp } => {
                let crashes = self.find(&vcp)?.device.vcp.reports();
                let crashes = crashes.iter().map(|report| tell::line(report)).collect();
                Ok(Answer::new(&report::Logs { vcp, crashes }))
            }
            Request::Crash { vcp, number, core } => self.crash(&vcp, number, core),
            Request::Reload { vcp, module } => {
                let module = module.as_deref().map(parse).transpose()?;
                let outcome = self.reload(&vcp, module).await?;
                let generation = self.find(&vcp)?.device.vcp.stats().generation;
                Ok(Answer::new(&tell::reload(&vcp, &outcome, generation)))
            }
            Request::ReloadAll {} => self.reconfigure().await,
            Request::Restart { vcp } => self.restart(&vcp).await,
            Request::Rescan { vcp } => self.rescan(&vcp).await,
            Request::Clients { name } => self.clients(&name).await,
            Request::EndClient { name, client } => self.end_client(&name, client).await,
            Request::Stop { vcp } => {
                let found = self.find(&vcp)?;
                self.detach_all(&vcp).await?;
                self.stop(&vcp, &found).await
            }
            Request::Inject { vcp, fault } => self.inject(&vcp, &fault).await,
            Request::Set { name, changes } => self.set(&name, &changes),
            request @ (Request::Attach { .. } | Request::Detach { .. }) => {
                self.devices(request).await
            }
            Request::Stats {} => Ok(Answer::new(&self.snapshot())),
        }
    }

    fn add_devices(&self, summary: &mut report::Summary) {
        for export in &mut summary.exports {
            export.devices = self.attachments.of(&export.name);
        }
    }

    fn crash(&self, vcp: &str, number: Option<u64>, core: bool) -> Result<Answer, Refusal> {
        let reports = self.find(vcp)?.device.vcp.reports();
        let none = |why: String| Refusal::new(RefusalKind::NoSuchReport, why);
        let found = match number {
            None => reports.last(),
            Some(number) => reports.iter().find(|report| report.number == number),
        };
        let found = found.ok_or_else(|| match (number, reports.first(), reports.last()) {
            (Some(number), Some(first), Some(last)) => none(format!(
                "VCP {vcp}: no report of crash {number}; there are {} to {}",
                first.number, last.number
            )),
            _ => none(format!("VCP {vcp}: no crash reports")),
        })?;
        let answer = Answer::new(&tell::crash(found));
        match (core, &found.core) {
            (false, _) => Ok(answer),
            (true, Some(dump)) => Ok(answer.with_bytes(dump.clone())),
            (true, None) => Err(none(format!(
                "VCP {vcp}: crash {}: no core dump in the report",
                found.number
            ))),
        }
    }
}

impl Handler for Control {
    fn handle(&self, request: Request) -> Handling<'_> {
        Box::pin(self.answer(request))
    }
}

/// Opens the control socket. If a socket was asked for, it must be opened; without the
/// usual one a host still serves.
pub(crate) fn open(asked: Option<&Path>, control: &Arc<Control>) -> Result<Option<Server>> {
    let handler: Arc<dyn Handler> = Arc::<Control>::clone(control);
    let usual = match asked {
        Some(path) if path.as_os_str() == "none" => return Ok(None),
        Some(path) => return Ok(Some(Server::bind(path, handler)?)),
        None => place::directory(),
    };
    let open = || -> Result<Server> {
        place::make(&usual)?;
        // Removes the sockets of hosts that were killed.
        place::sockets(&usual)?;
        Ok(Server::bind(&place::own(&usual), handler)?)
    };
    match open() {
        Ok(server) => Ok(Some(server)),
        Err(error) => {
            tracing::warn!(
                "no control socket in {}: {error:#}; --control PATH makes one elsewhere",
                usual.display()
            );
            Ok(None)
        }
    }
}

/// Serves the control socket on a socket that was passed.
pub(crate) fn on(socket: OwnedFd, control: &Arc<Control>) -> Result<Server> {
    let handler: Arc<dyn Handler> = Arc::<Control>::clone(control);
    Server::on(socket, handler).context("the control socket that was passed")
}

/// Parses the module that a client wants loaded. A relative path would be relative to
/// this process, which is not what was meant.
fn parse(module: &str) -> Result<Named, Refusal> {
    let bad = |why: String| Refusal::new(RefusalKind::BadRequest, format!("module: {why}"));
    let named: Named = module
        .parse()
        .map_err(|error: vcp_config::Invalid| bad(error.to_string()))?;
    match &named {
        Named::File(path) if !path.is_absolute() => Err(bad("expected an absolute path".into())),
        _ => Ok(named),
    }
}

fn done(vcp: &str, found: &Controlled) -> Answer {
    let status = found.device.vcp.status();
    Answer::new(&report::Done {
        vcp: vcp.to_owned(),
        generation: status.generation,
        state: status.state.word().to_owned(),
    })
}

fn failed(why: String) -> Refusal {
    Refusal::new(RefusalKind::Failed, why)
}

//! A VCP as the rest of the host sees it: started, given clients, looked at,
//! reloaded, stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use vcp_queue::Client;

use crate::bindings::processor;
use crate::channel::{Channel, Command, Setup, Waker, network_of};
use crate::engine::Engine;
use crate::event::{Event, ReloadError, Reloaded};
use crate::fault::Fault;
use crate::guest::{Blueprint, Injection, Limits, Plan};
use crate::module::Module;
use crate::report::CrashReport;
use crate::settings::{Network, Settings, nanoseconds};
use crate::state;
use crate::status::{Shared, State, Stats, Status};

/// Why a VCP could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The thread or something it needs could not be had.
    #[error("{what}: {error}")]
    System {
        /// What for.
        what: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The host functions could not be linked.
    #[error("linking the host's functions: {0}")]
    Link(String),
}

/// A running VCP. Dropping it stops it and waits for its thread.
pub struct Vcp {
    commands: Sender<Command>,
    waker: Waker,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Vcp {
    /// Starts a VCP on a thread of its own. What becomes of it is told by the
    /// events.
    pub fn start(
        engine: &Engine,
        settings: Settings,
    ) -> Result<(Self, UnboundedReceiver<Event>), StartError> {
        let (events, received) = unbounded_channel();
        let name: Arc<str> = settings.name.as_str().into();
        let pin = settings.pin.clone();
        let shared = Arc::new(Shared::new(settings.module.name()));
        let last = events.clone();
        let setup = set_up(engine, settings, events)?;
        let system = |what: &str| {
            let what = format!("VCP {name}: {what}");
            move |error| StartError::System { what, error }
        };
        let (commands, mailbox) = channel();
        let own = commands.clone();
        let (channel, waker) = Channel::new(setup, Arc::clone(&shared), own, mailbox)
            .map_err(system("setting up its channel processor"))?;
        let runtime = tokio::runtime::Handle::try_current().ok();
        let pinned = Arc::clone(&name);
        let ending = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("vcp-{name}"))
            .spawn(move || {
                // Granted WASI operations may need tokio's timers.
                let _runtime = runtime.as_ref().map(|runtime| runtime.enter());
                pin_to(&pinned, &pin);
                // A mistake of the host's is no reason to leave those waiting who
                // rely on the last event; nothing of the channel is used after it.
                if catch_unwind(AssertUnwindSafe(|| channel.run())).is_err() {
                    let _ = last.send(Event::Failed("its channel processor panicked".to_owned()));
                    let _ = last.send(Event::Stopped);
                }
                ending.status().state = State::Stopped;
            })
            .map_err(system("starting its thread"))?;
        Ok((
            Self {
                commands,
                waker,
                shared,
                thread: Some(thread),
            },
            received,
        ))
    }

    /// Hands over a client. One handed to a VCP that has ended is dropped.
    pub fn attach(&self, client: Box<dyn Client>) {
        self.tell(Command::Attach(client));
    }

    /// Asks it to finish and end; [`Event::Stopped`] tells when it has.
    pub fn stop(&self) {
        self.tell(Command::Stop);
    }

    /// Has the instance fail in a certain way. Nothing happens while there is
    /// none.
    pub fn inject(&self, what: Injection) {
        self.tell(Command::Inject(what));
    }

    /// Puts a fresh instance in the place of the one that is there, if there is
    /// one; also of a VCP that is held.
    pub fn restart(&self) {
        self.tell(Command::Restart);
    }

    /// Puts another module, or another version of the same, in the place of the
    /// one that runs, while clients wait for as short as can be. Answered once it
    /// is ready, or when it is certain that it won't be.
    pub fn reload(&self, module: Module) -> oneshot::Receiver<Result<Reloaded, ReloadError>> {
        let (answer, outcome) = oneshot::channel();
        self.tell(Command::Reload { module, answer });
        outcome
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.shared.status().clone()
    }

    /// Reports of its last crashes, the oldest first.
    pub fn reports(&self) -> Vec<Arc<CrashReport>> {
        self.shared.reports()
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    fn tell(&self, command: Command) {
        // A thread that has ended needs no telling.
        let _ = self.commands.send(command);
        self.waker.wake();
    }
}

impl Drop for Vcp {
    fn drop(&mut self) {
        self.stop();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // Dropped by a client, so by its own thread: that ends by itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("a channel processor panicked");
        }
    }
}

/// What the thread keeps of the settings.
fn set_up(
    engine: &Engine,
    settings: Settings,
    events: tokio::sync::mpsc::UnboundedSender<Event>,
) -> Result<Setup, StartError> {
    let linker = state::linker(engine).map_err(|e| StartError::Link(format!("{e:#}")))?;
    let policy = settings.policy();
    let (link, peers, network) = match settings.network {
        Some(Network::Frames {
            link,
            addresses,
            gateways,
        }) => {
            let network = network_of(&*link, &addresses, &gateways);
            (Some(link), None, Some(network))
        }
        Some(Network::Streams { peers }) => (None, Some(peers), Some(processor::Network::Streams)),
        None => (None, None, None),
    };
    let depth = settings.queue_depth.clamp(1, 65536);
    let plan = Arc::new(Plan {
        name: settings.name.as_str().into(),
        linker,
        config: settings.config,
        queue_depth: depth as u32,
        limits: Limits {
            fuel: settings.watchdog.fuel,
            time: settings.watchdog.call,
            memory: settings.memory,
            core_dumps: settings.reports.core_dumps,
        },
        grants: settings.grants,
        network,
        saboteur: Arc::clone(&engine.saboteur),
        boundary: Arc::default(),
    });
    let blueprint = Blueprint::new(Arc::clone(&plan), settings.module);
    let blueprint = blueprint.map_err(|fault: Fault| StartError::Link(fault.to_string()))?;
    Ok(Setup {
        plan,
        blueprint,
        limits: vcp_queue::Limits {
            depth,
            ..vcp_queue::Limits::default()
        },
        link,
        peers,
        policy,
        spare: settings.restart.spare,
        drain: nanoseconds(settings.reload.drain),
        progress: settings.watchdog.progress,
        keep: settings.reports.keep,
        affinity: rustix::thread::sched_getaffinity(None).ok(),
        events,
    })
}

/// Pins this thread; without the right to, it runs anywhere.
fn pin_to(name: &str, cpus: &[usize]) {
    if cpus.is_empty() {
        return;
    }
    let mut set = rustix::thread::CpuSet::new();
    for &cpu in cpus {
        if cpu < rustix::thread::CpuSet::MAX_CPU {
            set.set(cpu);
        }
    }
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(
            vcp = name,
            "pinning to CPUs {cpus:?}: {error}; running on any"
        );
    }
}

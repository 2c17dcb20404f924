//! A VCP as the rest of the host sees it: started, given clients, stopped.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vcp_queue::{Client, Geometry, Limits, Link};
use wasmtime::component::Linker;

use crate::bindings::processor;
use crate::channel::{Channel, Command, Waker, network_of};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::module::Module;
use crate::state::{self, DirectoryGrant, State};

/// Everything a VCP is started with.
pub struct Settings {
    /// Its name, for logs.
    pub name: String,
    /// What it runs.
    pub module: Module,
    /// Its configuration, handed to it as it is.
    pub config: Vec<(String, String)>,
    /// The most linear memory it may have, in bytes.
    pub memory: usize,
    /// The most requests it is given at a time.
    pub queue_depth: usize,
    /// CPUs that its thread may run on; empty for all.
    pub pin: Vec<usize>,
    /// Fuel that one call may use.
    pub fuel_per_call: u64,
    /// Directories it may use.
    pub grants: Vec<DirectoryGrant>,
    /// Its network, if it needs one.
    pub network: Option<Network>,
    /// What happens when its instance dies.
    pub restart: RestartSettings,
}

/// When a VCP whose instance died gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartSettings {
    /// Restart at all. Otherwise the first fault is the last.
    pub always: bool,
    /// An instance that ran this long is replaced at once.
    pub min_run: Duration,
    /// Otherwise after this delay, which doubles each time
    pub backoff_min: Duration,
    /// up to this.
    pub backoff_max: Duration,
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self {
            always: true,
            min_run: Duration::from_millis(50),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// A VCP's way to the network.
pub enum Network {
    /// Frames over a link.
    Frames {
        /// Carries them.
        link: Box<dyn Link>,
        /// `address/prefix` of the VCP.
        addresses: Vec<String>,
        /// Default gateways.
        gateways: Vec<String>,
    },
    /// Streams over the host's own TCP.
    Streams {
        /// The only addresses that it may connect to.
        peers: Vec<IpAddr>,
    },
}

/// What happens to a VCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It serves requests.
    Ready(Geometry),
    /// It can't for the time being; why, in one line.
    Suspended(String),
    /// Its instance died. It is started again unless `Failed` follows.
    Fault {
        /// Of what.
        fault: Fault,
        /// Which instance.
        generation: u32,
    },
    /// It found out something that it was configured to; one line.
    Found(String),
    /// It won't serve again; why, in one line.
    Failed(String),
    /// Its thread has ended. The last event.
    Stopped,
}

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

/// What the thread keeps of [`Settings`].
pub(crate) struct Setup {
    pub(crate) name: Arc<str>,
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) module: Module,
    pub(crate) config: Vec<(String, String)>,
    pub(crate) memory: usize,
    pub(crate) limits: Limits,
    pub(crate) fuel_per_call: u64,
    pub(crate) grants: Vec<DirectoryGrant>,
    pub(crate) link: Option<Box<dyn Link>>,
    pub(crate) peers: Option<Vec<IpAddr>>,
    pub(crate) network: Option<processor::Network>,
    pub(crate) restart: Restart,
    pub(crate) events: UnboundedSender<Event>,
}

/// [`RestartSettings`] in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Restart {
    pub(crate) always: bool,
    pub(crate) min_run: u64,
    pub(crate) backoff_min: u64,
    pub(crate) backoff_max: u64,
}

impl From<RestartSettings> for Restart {
    fn from(settings: RestartSettings) -> Self {
        let nanoseconds = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX / 4);
        Self {
            always: settings.always,
            min_run: nanoseconds(settings.min_run),
            backoff_min: nanoseconds(settings.backoff_min),
            backoff_max: nanoseconds(settings.backoff_max),
        }
    }
}

/// Counted by the thread, read by anyone.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) generation: AtomicU32,
    pub(crate) faults: AtomicU64,
    pub(crate) clients: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) fuel: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) frames_dropped: AtomicU64,
}

/// What a VCP has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Instances so far.
    pub generation: u32,
    /// Instances that died.
    pub faults: u64,
    /// Clients attached now.
    pub clients: u64,
    /// Calls of `process`.
    pub calls: u64,
    /// Fuel used in them.
    pub fuel: u64,
    /// Queue entries given to it.
    pub requests: u64,
    /// Client requests answered.
    pub completed: u64,
    /// Frames received and sent, and those dropped for want of room.
    pub frames_in: u64,
    /// See `frames_in`.
    pub frames_out: u64,
    /// See `frames_in`.
    pub frames_dropped: u64,
}

/// A running VCP. Dropping it stops it and waits for its thread.
pub struct Vcp {
    commands: Sender<Command>,
    waker: Waker,
    counters: Arc<Counters>,
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
        let linker = state::linker(engine).map_err(|e| StartError::Link(format!("{e:#}")))?;
        let (link, peers, network) = match settings.network {
            Some(Network::Frames {
                link,
                addresses,
                gateways,
            }) => {
                let network = network_of(&*link, &addresses, &gateways);
                (Some(link), None, Some(network))
            }
            Some(Network::Streams { peers }) => {
                (None, Some(peers), Some(processor::Network::Streams))
            }
            None => (None, None, None),
        };
        let name: Arc<str> = settings.name.into();
        let setup = Setup {
            name: Arc::clone(&name),
            engine: engine.clone(),
            linker,
            module: settings.module,
            config: settings.config,
            memory: settings.memory,
            limits: Limits {
                depth: settings.queue_depth.clamp(1, 65536),
                ..Limits::default()
            },
            fuel_per_call: settings.fuel_per_call,
            grants: settings.grants,
            link,
            peers,
            network,
            restart: settings.restart.into(),
            events,
        };
        let counters = Arc::new(Counters::default());
        let (commands, mailbox) = channel();
        let system = |what: &str| {
            let what = format!("VCP {name}: {what}");
            move |error| StartError::System { what, error }
        };
        let last = setup.events.clone();
        let (channel, waker) = Channel::new(setup, Arc::clone(&counters), mailbox)
            .map_err(system("setting up its channel processor"))?;
        let runtime = tokio::runtime::Handle::try_current().ok();
        let pin = settings.pin;
        let pinned = name.clone();
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
            })
            .map_err(system("starting its thread"))?;
        Ok((
            Self {
                commands,
                waker,
                counters,
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

    /// Kills the instance, as a fault would.
    pub fn inject(&self) {
        self.tell(Command::Inject);
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            generation: counters.generation.load(Ordering::Relaxed),
            faults: get(&counters.faults),
            clients: get(&counters.clients),
            calls: get(&counters.calls),
            fuel: get(&counters.fuel),
            requests: get(&counters.requests),
            completed: get(&counters.completed),
            frames_in: get(&counters.frames_in),
            frames_out: get(&counters.frames_out),
            frames_dropped: get(&counters.frames_dropped),
        }
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

//! A VCP as the rest of the host sees it: started, given clients, looked at,
//! reloaded, stopped.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use vcp_queue::{Client, LinkProperties, Parked};
use vcp_sched::{Budget, Refused};

use crate::bindings::processor;
use crate::channel::{Channel, ClientStatus, Command, OpenLink, Setup, Waker, network_of};
use crate::engine::Engine;
use crate::event::{
    Event, InjectError, ReloadError, Reloaded, RescanError, Rescanned, RestartError,
};
use crate::fuel::Rate;
use crate::guest::{Allowance, Blueprint, Injection, Limits, Plan};
use crate::limit::Limit;
use crate::module::Module;
use crate::pool::{Claim, Pool};
use crate::processor::{Berth, Passenger};
use crate::report::CrashReport;
use crate::settings::{Network, Settings, nanoseconds};
use crate::status::{Shared, Stats, Status};

/// The most requests that a VCP is given at a time.
const DEEPEST: usize = 65536;

/// Why a VCP could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The thread or something it needs could not be had.
    #[error("{what}: {error}")]
    System {
        /// The step that failed.
        what: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// Its share is more than its channel processor has left.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A running VCP. Dropping it stops it and waits until nothing of it is left.
pub struct Vcp {
    commands: Sender<Command>,
    waker: Waker,
    shared: Arc<Shared>,
    berth: Berth,
    client_memory: Arc<Pool>,
    /// Closed when nothing of it is left.
    over: Mutex<Receiver<Infallible>>,
}

impl Vcp {
    /// Starts a VCP on the channel processor of its CPU, or on one of its own. The events
    /// tell what becomes of it.
    pub fn start(
        engine: &Engine,
        settings: Settings,
    ) -> Result<(Self, UnboundedReceiver<Event>), StartError> {
        let (events, received) = unbounded_channel();
        let name: Arc<str> = settings.name.as_str().into();
        let shared = Arc::new(Shared::new(settings.module.name()));
        let system = |what: &str| {
            let what = format!("VCP {name}: {what}");
            move |error| StartError::System { what, error }
        };
        let (place, budget) = (settings.cpu.place(&name), settings.cpu.budget);
        let rate = Arc::new(engine.rate());
        let (done, over) = channel();
        let setup = set_up(engine, settings, events.clone(), Arc::clone(&rate), done);
        let (commands, mailbox) = channel();
        let own = commands.clone();
        let berth = engine.processors.find(&place);
        let berth = berth.map_err(system("starting its channel processor"))?;
        let channel = Channel::new(setup, Arc::clone(&shared), own, mailbox, berth.bell());
        let (channel, waker) = match channel {
            Ok(made) => made,
            Err(error) => {
                engine.processors.give_up(&berth);
                return Err(system("setting up its channel")(error));
            }
        };
        let passenger = Passenger {
            id: berth.id,
            name,
            budget,
            channel,
            shared: Arc::clone(&shared),
            events,
            rate,
        };
        berth.board(passenger)?;
        Ok((
            Self {
                commands,
                waker,
                shared,
                berth,
                client_memory: Arc::clone(engine.client_memory()),
                over: Mutex::new(over),
            },
            received,
        ))
    }

    /// Hands over a client. A VCP that has ended drops it.
    pub fn attach(&self, client: Box<dyn Client>) {
        self.tell(Command::Attach(client, None));
    }

    /// As [`Vcp::attach`], for a client of an export that has a limit. All clients of
    /// the export are to come with the same one.
    pub fn attach_limited(&self, client: Box<dyn Client>, limit: Arc<Limit>) {
        self.tell(Command::Attach(client, Some(limit)));
    }

    /// Claims memory for a client of this limit that is to come and holds so many bytes
    /// already: no other is given them meanwhile. Drop the claim when the client was handed
    /// over.
    pub fn claim(&self, limit: Arc<Limit>, held: usize) -> Claim {
        Claim::new(limit, Arc::clone(&self.client_memory), held)
    }

    /// Lists its clients. There is no answer if it has ended.
    pub fn clients(&self) -> oneshot::Receiver<Vec<ClientStatus>> {
        let (answer, clients) = oneshot::channel();
        self.tell(Command::Clients(answer));
        clients
    }

    /// Ends the connection of the client with this number, and says whether there was
    /// one. What it had asked for is carried out or not, as when it leaves by itself.
    pub fn end_client(&self, id: u64) -> oneshot::Receiver<bool> {
        let (answer, ended) = oneshot::channel();
        self.tell(Command::EndClient(id, answer));
        ended
    }

    /// Asks it to finish and end; [`Event::Stopped`] tells when it has.
    pub fn stop(&self) {
        self.tell(Command::Stop);
        self.berth.let_leave();
    }

    /// As [`Vcp::stop`], but its clients' connections are left whole, for another process to
    /// go on with. It finishes what it can within two seconds; what it can't goes along with
    /// the client that asked for it. There is no answer if it was stopping, or has stopped.
    pub fn park(&self) -> oneshot::Receiver<Vec<Parked>> {
        let (answer, parked) = oneshot::channel();
        self.tell(Command::Park(answer));
        self.berth.let_leave();
        parked
    }

    /// Asks its channel processor's thread for an answer, which comes whatever its guest
    /// does. The answer is dropped if that thread has ended.
    pub fn ping(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        self.berth.ping(answer);
        answered
    }

    /// Makes the instance fail in a certain way. The answer is its generation, before it
    /// fails, or why it won't; a VCP that has ended gives none.
    pub fn inject(&self, what: Injection) -> oneshot::Receiver<Result<u32, InjectError>> {
        let (answer, outcome) = oneshot::channel();
        self.tell(Command::Inject(what, answer));
        outcome
    }

    /// Puts a fresh instance in the place of the one that is there, if there is one; also of
    /// a VCP that is held. If its link is gone, that is opened first. The answer is the
    /// generation of the instance that was started, whatever becomes of it, or why there is
    /// none; a VCP that has ended gives none.
    pub fn restart(&self) -> oneshot::Receiver<Result<u32, RestartError>> {
        let (answer, outcome) = oneshot::channel();
        self.tell(Command::Restart(answer));
        outcome
    }

    /// Has it look at its device again. The answer comes when it says what that is; a module
    /// that has nothing to look at gives none until its instance ends.
    pub fn rescan(&self) -> oneshot::Receiver<Result<Rescanned, RescanError>> {
        let (answer, outcome) = oneshot::channel();
        self.tell(Command::Rescan(answer));
        outcome
    }

    /// Puts another module, or another version of the same, in the place of the one that
    /// runs, while clients wait for as short as can be. The answer comes once the new one is
    /// ready, or when it is certain that it won't be.
    pub fn reload(&self, module: Module) -> oneshot::Receiver<Result<Reloaded, ReloadError>> {
        let (answer, outcome) = oneshot::channel();
        self.tell(Command::Reload { module, answer });
        outcome
    }

    /// Gives it another share of its channel processor, from now on.
    pub fn set_budget(&self, budget: Budget) -> Result<(), Refused> {
        self.berth.set_budget(budget)
    }

    /// Sets whether the kernel writes memory back through its device: its thread then does
    /// not wait for that when it allocates. Threads that the caller starts later inherit
    /// what the caller has.
    pub fn set_io_flusher(&self, on: bool) {
        self.berth.set_io_flusher(on);
    }

    /// Sets the most linear memory that it may have, in bytes; `None`: what its module asks
    /// for. Memory in use is kept until its instance ends.
    pub fn set_memory(&self, bytes: Option<usize>) {
        self.tell(Command::Memory(bytes));
    }

    /// Gives it so many requests at a time from now on. An instance that was told of fewer
    /// gets no more than those; its successor does.
    pub fn set_queue_depth(&self, depth: usize) {
        self.tell(Command::QueueDepth(depth.clamp(1, DEEPEST)));
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.shared.status().clone()
    }

    /// Reports of its last crashes, the oldest first.
    pub fn reports(&self) -> Vec<Arc<CrashReport>> {
        self.shared.reports()
    }

    /// Its counters so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    fn tell(&self, command: Command) {
        // A thread that has ended need not be told.
        let _ = self.commands.send(command);
        self.waker.wake();
    }
}

impl Drop for Vcp {
    fn drop(&mut self) {
        self.stop();
        // If a client drops it, on its own thread, that thread goes on by itself.
        if !self.berth.is_here() {
            let over = self.over.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = over.recv();
        }
    }
}

/// What its instances have in common. It takes configuration and grants out of the settings.
pub(crate) fn plan(
    engine: &Engine,
    settings: &mut Settings,
    network: Option<processor::Network>,
    rate: Arc<Rate>,
) -> Plan {
    Plan {
        name: settings.name.as_str().into(),
        engine: engine.wasmtime.clone(),
        config: std::mem::take(&mut settings.config),
        allowance: Allowance::new(settings.memory, depth(settings) as u32),
        limits: Limits {
            fuel: settings.watchdog.fuel,
            call: settings.watchdog.call,
            core_dumps: settings.reports.core_dumps,
        },
        grants: std::mem::take(&mut settings.grants),
        network: Mutex::new(network),
        identity: Mutex::default(),
        saboteur: Arc::clone(&engine.saboteur),
        boundary: Arc::default(),
        rate,
    }
}

/// The most requests that it is given at a time.
fn depth(settings: &Settings) -> usize {
    settings.queue_depth.clamp(1, DEEPEST)
}

/// The properties of a link that is not there yet.
const NOT_YET: LinkProperties = LinkProperties {
    mac: [0; 6],
    mtu: 0,
    checksum_offload: false,
    segmentation_offload: false,
};

/// The setup of its channel, made from the settings.
fn set_up(
    engine: &Engine,
    mut settings: Settings,
    events: UnboundedSender<Event>,
    rate: Arc<Rate>,
    done: Sender<Infallible>,
) -> Setup {
    let (link, peers, network) = match settings.network.take() {
        Some(Network::Frames {
            link,
            addresses,
            gateways,
            reopen,
        }) => {
            let network = network_of(link.properties(), &addresses, &gateways);
            let open = OpenLink {
                link: Ok(link),
                addresses,
                gateways,
                reopen,
            };
            (Some(open), None, Some(network))
        }
        Some(Network::Awaited {
            why,
            addresses,
            gateways,
            reopen,
        }) => {
            // No instance is told this: the link says what it is when it is there.
            let network = network_of(&NOT_YET, &addresses, &gateways);
            let open = OpenLink {
                link: Err(why),
                addresses,
                gateways,
                reopen: Some(reopen),
            };
            (Some(open), None, Some(network))
        }
        Some(Network::Streams { peers }) => (None, Some(peers), Some(processor::Network::Streams)),
        None => (None, None, None),
    };
    let plan = Arc::new(plan(engine, &mut settings, network, rate));
    let (policy, depth) = (settings.policy(), depth(&settings));
    let blueprint = Blueprint::new(Arc::clone(&plan), settings.module);
    Setup {
        plan,
        blueprint,
        limits: vcp_queue::Limits {
            depth,
            suspect_after: settings.restart.suspect_after(),
            ..vcp_queue::Limits::default()
        },
        link,
        peers,
        policy,
        fails_poison: settings.restart.poison_after.is_some(),
        spare: settings.restart.spare,
        drain: nanoseconds(settings.reload.drain),
        progress: settings.watchdog.progress,
        client_memory: Arc::clone(engine.client_memory()),
        keep: settings.reports.keep,
        affinity: rustix::thread::sched_getaffinity(None).ok(),
        events,
        spin: nanoseconds(settings.cpu.poll),
        gather: nanoseconds(settings.cpu.coalesce),
        done,
    }
}

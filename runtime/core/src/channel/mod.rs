//! A channel: what runs one VCP and polls everything that VCP's queues end in. It
//! is a future that its channel processor polls (`processor/`).
//!
//! A turn of the loop waits for something to happen, gathers all that has
//! happened into one batch of events, calls the guest once, and carries out the
//! batch of effects. Nothing here blocks but the wait, and that only where nobody
//! else needs the thread.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the state of the channel, and its loop |
//! | `turn` | one turn: wait, gather, call |
//! | `effects` | carrying out what the guest wants |
//! | `life` | instances: their start, their death, what follows |
//! | `clock` | what waits too long: requests, and the host for an instance |
//! | `relink` | a link that vanished, and its return |
//! | `reload`, `prepare` | another module in the place of one that runs; spares |
//! | `hands` | a thread for what would hold up the data path |
//! | `rescan` | another look at what the device is |
//! | `stop` | the end of it all |
//! | `account` | what is counted |
//! | `clients`, `network`, `streams`, `poller` | what the queues end in |
//! | `convert` | between the queue's words and the table's |

mod account;
mod clients;
mod clock;
mod convert;
mod effects;
mod hands;
mod idle;
mod life;
mod network;
mod poller;
mod prepare;
mod relink;
mod reload;
mod rescan;
mod stop;
mod streams;
mod turn;

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use rustix::thread::CpuSet;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use vcp_queue::{Area, Client, Geometry, Link, Parked, Status, Table};
use vcp_supervisor::{Policy, Supervisor};

use crate::bindings::control;
use crate::bucket::Bucket;
use crate::event::{Event, InjectError, ReloadError, Reloaded, RestartError};
use crate::guest::{Blueprint, Effects, Events, Guest, Injection, Plan};
use crate::journal::Journal;
use crate::limit::Limit;
use crate::module::Module;
use crate::peers::Peers;
use crate::pool::Pool;
use crate::processor::{Gather, Spin};
use crate::settings::Reopen;
use crate::status::Shared;
use account::Standstill;
use clients::Clients;
use hands::Hands;
use network::Network;
use poller::{Poller, Ready};
use prepare::{Prepared, Spare};
use relink::Relink;
use reload::Reload;
use stop::Leave;
use streams::Streams;

pub use clients::ClientStatus;
pub(crate) use convert::network_of;
pub(crate) use poller::Waker;

/// How many notices a VCP may give in a burst, and how many each second beyond that: they
/// wait in memory for their reader.
const NOTICE_BURST: u32 = 8192;
const NOTICES_PER_SECOND: u32 = 256;

/// What a channel is started with.
pub(crate) struct Setup {
    pub(crate) plan: Arc<Plan>,
    pub(crate) blueprint: Blueprint,
    pub(crate) limits: vcp_queue::Limits,
    pub(crate) link: Option<OpenLink>,
    pub(crate) peers: Option<Peers>,
    pub(crate) policy: Policy,
    /// Whether a request that an instance held alone when it died is failed.
    pub(crate) fails_poison: bool,
    /// Whether a spare instance is kept.
    pub(crate) spare: bool,
    /// How long an instance may take to finish before a reload, in nanoseconds.
    pub(crate) drain: u64,
    /// The memory that clients of all VCPs may hold.
    pub(crate) client_memory: Arc<Pool>,
    /// How long requests may be held without an answer.
    pub(crate) progress: Option<Duration>,
    /// Crash reports to keep.
    pub(crate) keep: usize,
    /// Where threads that help this one may run.
    pub(crate) affinity: Option<CpuSet>,
    pub(crate) events: UnboundedSender<Event>,
    /// The longest that a wait may spin before it sleeps, in nanoseconds.
    pub(crate) spin: u64,
    /// The longest between two looks where requests are many, in nanoseconds.
    pub(crate) gather: u64,
    /// Dropped when nothing of the VCP is left.
    pub(crate) done: Sender<Infallible>,
}

/// A link, and what is needed to open it again.
pub(crate) struct OpenLink {
    /// The link, or why there is none yet.
    pub(crate) link: Result<Box<dyn Link>, String>,
    pub(crate) addresses: Vec<String>,
    pub(crate) gateways: Vec<String>,
    pub(crate) reopen: Option<Reopen>,
}

/// What other threads tell a channel processor.
pub(crate) enum Command {
    /// A new client of the block queue.
    Attach(Box<dyn Client>, Option<Arc<Limit>>),
    /// List the clients.
    Clients(oneshot::Sender<Vec<ClientStatus>>),
    /// End a client's connection.
    EndClient(u64, oneshot::Sender<bool>),
    /// Finish and end.
    Stop,
    /// Finish and end, with the connections of all clients left whole.
    Park(oneshot::Sender<Vec<Parked>>),
    /// Make the instance fail.
    Inject(Injection, oneshot::Sender<Result<u32, InjectError>>),
    /// A fresh instance, also of a VCP that is held.
    Restart(oneshot::Sender<Result<u32, RestartError>>),
    /// Another look at what the device is.
    Rescan(rescan::Waiting),
    /// Another module.
    Reload {
        module: Module,
        answer: oneshot::Sender<Result<Reloaded, ReloadError>>,
    },
    /// The most linear memory from now on, in bytes; `None`: what the module asks for.
    Memory(Option<usize>),
    /// The most requests at a time from now on.
    QueueDepth(usize),
    /// An instance that was asked for is there, or could not be made.
    Prepared(Prepared),
    /// The link is there again, or why it could not be opened.
    Reopened(Result<Box<dyn Link>, String>),
}

/// The state of one VCP's channel.
pub(crate) struct Channel {
    setup: Setup,
    shared: Arc<Shared>,
    /// The sender for helping threads, which wake the poller as well.
    own: Sender<Command>,
    mailbox: Receiver<Command>,
    poller: Poller,
    ready: Vec<Ready>,
    clients: Clients,
    network: Option<Network>,
    relink: Relink,
    streams: Option<Streams>,
    table: Table,
    area: Area,
    supervisor: Supervisor,
    guest: Option<Guest>,
    leave: Leave,
    /// Where its clients are handed over when it stops.
    parking: Option<oneshot::Sender<Vec<Parked>>>,
    reload: Option<Reload>,
    spare: Spare,
    /// The blueprint to go back to if the module on trial is no good.
    previous: Option<Blueprint>,
    /// Whether this instance was ready, so that it may be given requests.
    ready_now: bool,
    /// The geometry that is settled, which clients are told. The table has the one that was
    /// reported last.
    settled: Option<Geometry>,
    /// Why it is held or suspended, or what the last instance died of.
    why: String,
    /// The newest tag when the instance said that it is suspended.
    suspended_at: u64,
    /// The instance answers no more requests, because an operator asked for that.
    stalling: bool,
    /// The next batch of effects has a bad descriptor in it, for the same reason.
    corrupting: bool,
    /// The next fault was injected.
    injected: bool,
    /// When a request was last answered, or began to wait for an answer.
    progress_at: u64,
    /// When the guest wants to be called again.
    deadline: Option<u64>,
    /// Commands for the next call of the guest.
    commands: Vec<control::Command>,
    /// Those who wait for the result of a rescan.
    rescans: Vec<rescan::Waiting>,
    scratch: Vec<u8>,
    /// Turn again at once: something was carried out that others may have waited for.
    again: bool,
    notices: Bucket,
    journal: Journal,
    crashes: u64,
    hands: Hands,
    /// Its processor's bell has rung.
    called: bool,
    /// The spinning in waits without a request, which a client ends, and in waits with one
    /// request, which the device ends: the two take differently long.
    spins: [Spin; 2],
    gather: Gather,
    still: Standstill,
}

/// Whether the channel goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

impl Channel {
    /// Makes the channel; the waker is for those who send commands.
    pub(crate) fn new(
        mut setup: Setup,
        shared: Arc<Shared>,
        own: Sender<Command>,
        mailbox: Receiver<Command>,
        bell: Arc<OwnedFd>,
    ) -> std::io::Result<(Self, Waker)> {
        let poller = Poller::new(bell)?;
        let waker = poller.waker();
        let spins = [(); 2].map(|()| Spin::new(setup.spin));
        let gather = Gather::new(setup.gather);
        let mut awaited = None;
        let (network, relink) = match setup.link.take() {
            Some(open) => {
                let link = open.link.map_err(|why| awaited = Some(why)).ok();
                let network = link.map(|link| Network::new(link, &poller));
                let relink = Relink::new(open.reopen, open.addresses, open.gateways);
                (network.transpose()?, relink)
            }
            None => (None, Relink::new(None, Vec::new(), Vec::new())),
        };
        let hands = Hands::new(&setup.plan.name, setup.affinity);
        let streams = setup.peers.take().map(Streams::new);
        let mut channel = Self {
            table: Table::new(setup.limits),
            supervisor: Supervisor::new(setup.policy),
            shared,
            own,
            mailbox,
            poller,
            ready: Vec::new(),
            clients: Clients::new(Arc::clone(&setup.client_memory)),
            network,
            relink,
            streams,
            area: Area::new(0, 0),
            guest: None,
            leave: Leave::No,
            parking: None,
            reload: None,
            hands,
            spare: Spare::default(),
            previous: None,
            ready_now: false,
            settled: None,
            why: String::new(),
            suspended_at: 0,
            stalling: false,
            corrupting: false,
            injected: false,
            progress_at: 0,
            deadline: None,
            commands: Vec::new(),
            rescans: Vec::new(),
            scratch: Vec::new(),
            again: false,
            notices: Bucket::new(NOTICE_BURST, NOTICES_PER_SECOND),
            journal: Journal::default(),
            crashes: 0,
            called: false,
            spins,
            gather,
            still: Standstill::default(),
            setup,
        };
        if let Some(why) = awaited {
            channel.await_link(&why);
        }
        Ok((channel, waker))
    }

    /// The descriptor that is ready when one of the channel's is.
    pub(crate) fn poller(&self) -> Arc<OwnedFd> {
        self.poller.descriptor()
    }

    /// Runs until the VCP has stopped.
    pub(crate) async fn run(mut self) {
        loop {
            match self.turn().await {
                Ok(Flow::Continue) => {}
                Ok(Flow::End) => break,
                Err(fault) => self.on_fault(fault).await,
            }
        }
        // Clients see their connections close; nothing of the guest is left.
        self.guest = None;
        self.forget_spare();
        let events = self.setup.events.clone();
        // The last event is sent when everything has been taken apart.
        let Self { hands, setup, .. } = self;
        hands.finish(move || {
            // The receiver may be gone; then nobody waits for this.
            let _ = events.send(Event::Stopped);
            drop(setup.done);
        });
    }

    fn refuse_all(&mut self, status: Status) {
        let failed = self.table.fail_all(status);
        self.answer_all(failed);
    }

    fn emit(&self, event: Event) {
        // The receiver may be gone; then nobody waits for this.
        let _ = self.setup.events.send(event);
    }
}

fn empty_events() -> Events {
    Events {
        now: 0,
        commands: Vec::new(),
        requests: Vec::new(),
        frames: Vec::new(),
        stream_data: Vec::new(),
        stream_events: Vec::new(),
    }
}

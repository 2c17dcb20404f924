//! The channel processor: one thread that runs one VCP and polls everything that
//! VCP's queues end in.
//!
//! A turn of the loop waits for something to happen, gathers all that has
//! happened into one batch of events, calls the guest once, and carries out the
//! batch of effects. Nothing here blocks but the wait.

mod clients;
mod effects;
mod network;
mod poller;
mod streams;
mod turn;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use rustix::time::{ClockId, clock_gettime};
use vcp_queue::{Area, Client, Status, Table};

use crate::bindings::{block, control, processor};
use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::guest::{Effects, Events, Guest};
use crate::logging::Logger;
use crate::state::State;
use crate::vcp::{Counters, Event, Restart, Setup};
use clients::Clients;
use network::Network;
use poller::{Poller, Ready};
use streams::Streams;

pub(crate) use poller::Waker;

/// How long a VCP may take to finish what it holds, and then to take its leave.
const STOP_PATIENCE: u64 = 3_000_000_000;

/// Notices of all instances of a VCP in a burst, and how many it may give each
/// second beyond: they wait in memory for whoever listens.
const NOTICE_BURST: u32 = 8192;
const NOTICES_PER_SECOND: u32 = 256;

/// What other threads tell a channel processor.
pub(crate) enum Command {
    /// A new client of the block queue.
    Attach(Box<dyn Client>),
    /// Finish and end.
    Stop,
    /// Kill the instance, for tests of recovery.
    Inject,
}

/// Where a VCP is in its life.
enum Phase {
    /// Serving, or about to.
    Running,
    /// Its instance died; the next is due at this time.
    Restarting { at: u64 },
    /// Told to stop; until this time what it holds may be finished, then it may
    /// take its leave.
    Draining { until: u64 },
    /// Taking its leave, until this time.
    Leaving { until: u64 },
    /// It won't serve again: everything is refused.
    Dead,
}

/// The state of the thread.
pub(crate) struct Channel {
    setup: Setup,
    counters: Arc<Counters>,
    mailbox: Receiver<Command>,
    poller: Poller,
    ready: Vec<Ready>,
    clients: Clients,
    network: Option<Network>,
    streams: Option<Streams>,
    table: Table,
    area: Area,
    guest: Option<Guest>,
    phase: Phase,
    generation: u32,
    started_at: u64,
    backoff: u64,
    /// Whether it was ever ready, and whether this instance was.
    served: bool,
    ready_now: bool,
    /// When the guest wants to be called again.
    deadline: Option<u64>,
    /// Tell the guest this with the next call.
    commands: Vec<control::Command>,
    scratch: Vec<u8>,
    /// Something was carried out that others may have waited for: turn at once.
    again: bool,
    notices: Bucket,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

impl Channel {
    /// Makes the thread's state; the waker is for those who send commands.
    pub(crate) fn new(
        mut setup: Setup,
        counters: Arc<Counters>,
        mailbox: Receiver<Command>,
    ) -> std::io::Result<(Self, Waker)> {
        let poller = Poller::new()?;
        let waker = poller.waker();
        let network = match setup.link.take() {
            Some(link) => Some(Network::new(link, &poller)?),
            None => None,
        };
        let streams = setup.peers.take().map(Streams::new);
        let table = Table::new(setup.limits);
        let backoff = setup.restart.backoff_min;
        let channel = Self {
            setup,
            counters,
            mailbox,
            poller,
            ready: Vec::new(),
            clients: Clients::default(),
            network,
            streams,
            table,
            area: Area::new(0, 0),
            guest: None,
            phase: Phase::Running,
            generation: 0,
            started_at: 0,
            backoff,
            served: false,
            ready_now: false,
            deadline: None,
            commands: Vec::new(),
            scratch: Vec::new(),
            again: false,
            notices: Bucket::new(NOTICE_BURST, NOTICES_PER_SECOND),
        };
        Ok((channel, waker))
    }

    /// Runs until the VCP has stopped.
    pub(crate) fn run(mut self) {
        self.start_instance();
        loop {
            match self.turn() {
                Ok(Flow::Continue) => {}
                Ok(Flow::End) => break,
                Err(fault) => self.on_fault(fault),
            }
        }
        // Clients see their connections close; nothing of the guest is left.
        self.guest = None;
        self.emit(Event::Stopped);
    }

    /// Starts the next generation.
    fn start_instance(&mut self) {
        self.generation += 1;
        self.counters
            .generation
            .store(self.generation, Ordering::Relaxed);
        self.started_at = now();
        self.ready_now = false;
        match self.instantiate() {
            Ok(guest) => {
                let data = guest.areas.data;
                self.area = Area::new(data.address, data.length);
                self.guest = Some(guest);
                self.phase = Phase::Running;
                // The first call is due at once.
                self.deadline = Some(0);
            }
            Err(fault) => self.on_fault(fault),
        }
    }

    fn instantiate(&self) -> Result<Guest, Fault> {
        let setup = &self.setup;
        let logger = Logger::new(Arc::clone(&setup.name), self.generation);
        let state = State::new(&setup.grants, setup.memory, logger)
            .map_err(|e| Fault::Instantiate(format!("{e:#}")))?;
        let mut seed = vec![0; 32];
        rustix::rand::getrandom(&mut seed[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Fault::Instantiate(format!("reading random bytes: {e}")))?;
        let start = control::Start {
            generation: self.generation,
            now: now(),
            seed,
            config: setup.config.clone(),
            queue_depth: setup.limits.depth as u32,
        };
        Guest::start(
            &setup.engine,
            &setup.linker,
            &setup.module,
            state,
            &start,
            setup.network.as_ref(),
            setup.fuel_per_call,
        )
    }

    /// The instance died. Its memory goes with it; what it had not answered
    /// stays in the table for the next one.
    fn on_fault(&mut self, fault: Fault) {
        self.drop_instance();
        if matches!(self.phase, Phase::Dead) {
            // Of one that was given up in the same turn.
            return;
        }
        self.table.restart();
        self.counters.faults.fetch_add(1, Ordering::Relaxed);
        self.emit(Event::Fault {
            fault: fault.clone(),
            generation: self.generation,
        });
        if self.leaving() {
            self.end_leaving();
            return;
        }
        let hopeless = !self.served && !matches!(fault, Fault::Injected);
        if hopeless || !self.setup.restart.always {
            self.die(fault.to_string());
            return;
        }
        let Restart {
            min_run,
            backoff_min,
            backoff_max,
            ..
        } = self.setup.restart;
        let ran = now().saturating_sub(self.started_at);
        let delay = if ran >= min_run {
            self.backoff = backoff_min;
            0
        } else {
            let delay = self.backoff;
            self.backoff = (self.backoff * 2).min(backoff_max);
            delay
        };
        self.phase = Phase::Restarting { at: now() + delay };
    }

    /// What an instance leaves behind in the host ends with it.
    fn drop_instance(&mut self) {
        self.guest = None;
        self.deadline = None;
        self.commands.clear();
        if let Some(streams) = &mut self.streams {
            streams.reset(&self.poller);
        }
    }

    /// It was leaving anyway, and there is nothing it could still do.
    fn end_leaving(&mut self) {
        self.refuse_all(Status::ShuttingDown);
        self.phase = Phase::Leaving { until: 0 };
    }

    /// It won't serve again: answers everything with an error from now on.
    fn die(&mut self, why: String) {
        self.drop_instance();
        if self.leaving() {
            self.end_leaving();
        } else {
            self.phase = Phase::Dead;
            self.refuse_all(Status::IoError);
        }
        self.emit(Event::Failed(why));
    }

    fn refuse_all(&mut self, status: Status) {
        let failed = self.table.fail_all(status);
        let mut finished: Vec<_> = failed.into_iter().map(|f| (f, &[][..])).collect();
        self.clients
            .answer(&mut finished, &mut self.table, &self.poller);
    }

    fn emit(&self, event: Event) {
        // Nobody listening is nobody to tell.
        let _ = self.setup.events.send(event);
    }
}

/// The monotonic clock in nanoseconds: `vcp:io/types.instant`.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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

/// The VCP's view of the network, from what the link is.
pub(crate) fn network_of(
    link: &dyn vcp_queue::Link,
    addresses: &[String],
    gateways: &[String],
) -> processor::Network {
    let properties = link.properties();
    processor::Network::Frames(crate::bindings::frames::Link {
        mac: properties.mac.to_vec(),
        mtu: properties.mtu,
        addresses: addresses.to_vec(),
        gateways: gateways.to_vec(),
        checksum_offload: properties.checksum_offload,
        segmentation_offload: properties.segmentation_offload,
    })
}

/// From the table's words to the queue's.
fn request_of(entry: &vcp_queue::Entry) -> block::Request {
    use vcp_queue::Operation as Op;
    let mut modifiers = block::Modifiers::empty();
    if entry.modifiers.fua {
        modifiers |= block::Modifiers::FUA;
    }
    if entry.modifiers.no_unmap {
        modifiers |= block::Modifiers::NO_UNMAP;
    }
    let (address, length) = entry
        .loan
        .map_or((0, 0), |loan| (loan.address, loan.length));
    block::Request {
        tag: entry.tag,
        operation: match entry.operation {
            Op::Read => block::Operation::Read,
            Op::Write => block::Operation::Write,
            Op::Flush => block::Operation::Flush,
            Op::Discard => block::Operation::Discard,
            Op::WriteZeroes => block::Operation::WriteZeroes,
        },
        modifiers,
        offset: entry.offset,
        length: entry.length,
        data: crate::bindings::types::Span { address, length },
    }
}

fn status_of(status: block::Status) -> Status {
    match status {
        block::Status::Ok => Status::Ok,
        block::Status::IoError => Status::IoError,
        block::Status::Invalid => Status::Invalid,
        block::Status::NoSpace => Status::NoSpace,
        block::Status::NotPermitted => Status::NotPermitted,
        block::Status::NotSupported => Status::NotSupported,
        block::Status::ShuttingDown => Status::ShuttingDown,
    }
}

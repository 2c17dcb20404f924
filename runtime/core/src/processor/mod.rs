//! Channel processors: threads, pinned if it is wanted, that carry one VCP or more.
//!
//! A VCP is a future, and its channel processor polls it: `vcp-sched` says which
//! one, the thread's own CPU clock what it cost. All that is done in a poll is the
//! VCP's: its code, the host functions it calls, the copies and system calls on its
//! behalf. A call of the guest that takes longer gives the thread back each tenth of
//! a millisecond, and goes on later where it was.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the processors there are, and which VCP is put where |
//! | `work` | the thread: which VCPs are awake, which one runs and is charged |
//! | `seat` | one VCP on it |
//! | `pace` | what a future and the thread that polls it tell each other |
//! | `spin` | when it pays to spin before sleeping |
//! | `gather` | when it pays to let more events come in |

mod gather;
pub(crate) mod pace;
mod seat;
mod spin;
mod work;

use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;
use vcp_sched::{Budget, Id, Refused};
use vcp_topology::affinity;
use vcp_topology::cgroup::{Hierarchies, Limits, Who};
use vcp_topology::priority::{self, Priority};

pub(crate) use gather::Gather;
pub(crate) use seat::Passenger;
pub(crate) use spin::Spin;

/// All channel processors of a process that VCPs can be put on.
#[derive(Default)]
pub(crate) struct Processors {
    shared: Mutex<Vec<Arc<Processor>>>,
}

/// One channel processor, for other threads than its own.
pub(crate) struct Processor {
    /// Its CPU, for which VCPs share it; a processor without one is never shared.
    cpu: Option<usize>,
    inbox: Sender<Message>,
    bell: Arc<OwnedFd>,
    thread: OnceLock<ThreadId>,
    /// VCPs that are on it or on their way; changed with `Processors` locked.
    passengers: AtomicU64,
}

/// A message to its thread.
pub(crate) enum Message {
    /// Take this VCP on.
    Board {
        passenger: Box<Passenger>,
        answer: Sender<Result<(), Refused>>,
    },
    /// End: no VCP is left, and none will come.
    End,
    /// Give the VCP another budget.
    Budget {
        id: Id,
        budget: Budget,
        answer: Sender<Result<(), Refused>>,
    },
    /// The VCP is told to stop: from now on it also has the time that others leave.
    Leave(Id),
    /// Set whether the kernel writes memory back through this thread.
    IoFlusher(bool),
    /// Answer, as a sign that the thread still turns.
    Ping(oneshot::Sender<()>),
}

/// How a channel processor's thread is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) name: String,
    /// The CPUs it may run on; empty for all. VCPs of one and the same CPU share a
    /// processor.
    pub(crate) cpus: Vec<usize>,
    /// Its real-time priority, if it is to have one.
    pub(crate) priority: Option<u8>,
    /// The control group it goes to, if any.
    pub(crate) cgroup: Option<String>,
}

/// A VCP's place on a processor, by which it is sent messages.
#[derive(Clone)]
pub(crate) struct Berth {
    processor: Arc<Processor>,
    pub(crate) id: Id,
}

/// How late the kernel may end a sleep of a channel processor, in nanoseconds.
const SLACK: u64 = 1000;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Processors {
    /// Finds the processor for this place, or starts a new one. The caller must board with
    /// the berth, or give it up.
    pub(crate) fn find(self: &Arc<Self>, place: &Place) -> io::Result<Berth> {
        let id = Id(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let mut shared = self.lock();
        let cpu = match place.cpus[..] {
            [cpu] => Some(cpu),
            _ => None,
        };
        let there = shared.iter().find(|p| cpu.is_some() && p.cpu == cpu);
        if let Some(processor) = there.cloned() {
            processor.passengers.fetch_add(1, Ordering::Relaxed);
            return Ok(Berth { processor, id });
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (inbox, messages) = channel();
        let processor = Arc::new(Processor {
            cpu,
            inbox,
            bell: Arc::new(bell),
            thread: OnceLock::new(),
            passengers: AtomicU64::new(1),
        });
        self.start(place, &processor, messages)?;
        if cpu.is_some() {
            shared.push(Arc::clone(&processor));
        }
        Ok(Berth { processor, id })
    }

    fn start(
        self: &Arc<Self>,
        place: &Place,
        processor: &Arc<Processor>,
        messages: Receiver<Message>,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Handle::try_current().ok();
        let (all, own, place) = (Arc::clone(self), Arc::clone(processor), place.clone());
        let builder = std::thread::Builder::new().name(place.name.clone());
        let thread = builder.spawn(move || {
            // Granted WASI operations may need tokio's timers.
            let _runtime = runtime.as_ref().map(|runtime| runtime.enter());
            settle(&place);
            work::Work::new(all, own, messages).run();
        })?;
        // The cell is new, so it is not set yet.
        let _ = processor.thread.set(thread.thread().id());
        Ok(())
    }

    /// Gives up a berth without boarding.
    pub(crate) fn give_up(&self, berth: &Berth) {
        if self.left(&berth.processor) {
            berth.processor.tell(Message::End);
        }
    }

    /// Notes that a VCP has left. Returns whether it was the last, so that the thread ends.
    fn left(&self, processor: &Arc<Processor>) -> bool {
        let mut shared = self.lock();
        let last = processor.passengers.fetch_sub(1, Ordering::Relaxed) == 1;
        if last {
            shared.retain(|other| !Arc::ptr_eq(other, processor));
        }
        last
    }

    /// Locks the list, which is whole after any panic.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Processor>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processor {
    /// Clears the bell. The messages that it rang for are read after this.
    fn hush(&self) {
        // It is ready; and if not, then there is nothing to clear.
        let _ = rustix::io::read(self.bell.as_fd(), &mut [0u8; 8]);
    }

    fn tell(&self, message: Message) {
        // A thread that has ended answers by dropping the sender in the message.
        let _ = self.inbox.send(message);
        // A full counter means that it is awake already.
        let _ = rustix::io::write(self.bell.as_fd(), &1u64.to_ne_bytes());
    }
}

impl Berth {
    /// The descriptor that says that there is a message for the thread.
    pub(crate) fn bell(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.processor.bell)
    }

    /// Whether this is the processor's thread.
    pub(crate) fn is_here(&self) -> bool {
        self.processor.thread.get() == Some(&std::thread::current().id())
    }

    /// Puts the VCP on the processor, unless its time is promised to others.
    pub(crate) fn board(&self, passenger: Passenger) -> Result<(), Refused> {
        self.ask(|answer| Message::Board {
            passenger: Box::new(passenger),
            answer,
        })
    }

    /// Has the VCP go on with another budget.
    pub(crate) fn set_budget(&self, budget: Budget) -> Result<(), Refused> {
        let id = self.id;
        self.ask(|answer| Message::Budget { id, budget, answer })
    }

    /// Lets the VCP have all the time that others leave: it is told to stop, and must end
    /// the call that it is in before it can hear that.
    pub(crate) fn let_leave(&self) {
        self.processor.tell(Message::Leave(self.id));
    }

    /// Sets whether the thread is spared from waiting for writeback when it allocates.
    pub(crate) fn set_io_flusher(&self, on: bool) {
        self.processor.tell(Message::IoFlusher(on));
    }

    /// Has the thread answer when it next reads its messages.
    pub(crate) fn ping(&self, answer: oneshot::Sender<()>) {
        self.processor.tell(Message::Ping(answer));
    }

    fn ask(
        &self,
        message: impl FnOnce(Sender<Result<(), Refused>>) -> Message,
    ) -> Result<(), Refused> {
        let (answer, answered) = channel();
        self.processor.tell(message(answer));
        // A thread that has ended has nothing to refuse.
        answered.recv().unwrap_or(Ok(()))
    }
}

/// See prctl(2), `PR_SET_IO_FLUSHER`.
fn set_io_flusher(on: bool) {
    if let Err(error) = rustix::process::configure_io_flusher_behavior(on) {
        tracing::warn!("a channel processor as I/O flusher: {error}");
    }
}

/// Puts this thread where it belongs; where it lacks the right, it goes without.
fn settle(place: &Place) {
    // A thread that sleeps for microseconds is not to be woken microseconds late.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(SLACK));
    let Place { name, cpus, .. } = place;
    if let Some(cgroup) = &place.cgroup {
        let moved = Hierarchies::detect().enter(Path::new(cgroup), &Limits::default(), Who::Thread);
        if let Err(error) = moved {
            tracing::warn!("{name}: {error}; staying in the host's control group");
        }
    }
    if !cpus.is_empty()
        && let Err(error) = affinity::pin_this_thread(cpus)
    {
        tracing::warn!("{name}: {error}; running on any CPU");
    }
    if let Some(level) = place.priority
        && let Err(error) = priority::set(Priority::Fifo(level))
    {
        tracing::warn!("{name}: {error}; running like any thread");
    }
}

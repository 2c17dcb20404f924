//! The thread of a channel processor: which VCPs are awake, which one runs and is charged.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vcp_sched::{Budget, Id, Pick, Scheduler};

use super::pace::{self, Leave, Pause};
use super::seat::Seat;
use super::{Message, Processor, Processors};
use crate::clock::{now, thread_time};

/// How often the descriptors of the others are looked at while one VCP runs, in nanoseconds.
const LOOK: u64 = 50_000;
/// How long a VCP that is alone and may have everything goes on before it is charged, in
/// nanoseconds.
const STRETCH: u64 = 10_000_000;
/// The least weight in slack of a VCP that is told to stop: that of one without a setting.
const LEAVING: u32 = 100;

pub(super) struct Work {
    all: Arc<Processors>,
    own: Arc<Processor>,
    messages: Receiver<Message>,
    scheduler: Scheduler,
    seats: Vec<Seat>,
    /// The CPU time that this thread had used when that was last read.
    used: u64,
    looked: u64,
}

impl Work {
    pub(super) fn new(
        all: Arc<Processors>,
        own: Arc<Processor>,
        messages: Receiver<Message>,
    ) -> Self {
        Self {
            all,
            own,
            messages,
            scheduler: Scheduler::new(),
            seats: Vec::new(),
            used: thread_time(),
            looked: 0,
        }
    }

    /// Works until the last VCP has left.
    pub(super) fn run(mut self) {
        loop {
            if !self.read_messages() {
                return;
            }
            let time = now();
            self.wake_due(time);
            if self.seats.len() > 1 && time >= self.looked + LOOK {
                self.look(Some(0));
            }
            match self.scheduler.pick(time) {
                Pick::Run { id, .. } => {
                    if !self.turn(id) {
                        return;
                    }
                }
                Pick::Idle { until } => self.idle(until, time),
            }
        }
    }

    /// Reads all messages. Returns whether there is still a VCP to work for.
    fn read_messages(&mut self) -> bool {
        loop {
            match self.messages.try_recv() {
                Ok(Message::Board { passenger, answer }) => {
                    let (id, name) = (passenger.id, Arc::clone(&passenger.name));
                    let admitted = self.scheduler.admit(id, &name, passenger.budget, now());
                    let refused = admitted.is_err();
                    if !refused {
                        self.scheduler.wake(id, now());
                        let seat = Seat::new(*passenger, Arc::clone(&self.own.bell));
                        self.seats.push(seat);
                    }
                    // The receiver may be gone; then nobody waits for this.
                    let _ = answer.send(admitted);
                    if refused && self.all.left(&self.own) {
                        return false;
                    }
                }
                Ok(Message::Budget { id, budget, answer }) => {
                    let changed = self.scheduler.change(id, budget, now());
                    if changed.is_ok()
                        && let Some(seat) = self.seats.iter_mut().find(|seat| seat.id == id)
                    {
                        seat.set_budget(budget);
                    }
                    let _ = answer.send(changed);
                }
                Ok(Message::Leave(id)) => self.let_leave(id),
                Ok(Message::IoFlusher(on)) => super::set_io_flusher(on),
                // The receiver may be gone; then nobody waits for this.
                Ok(Message::Ping(answer)) => _ = answer.send(()),
                Ok(Message::End) => return false,
                Err(TryRecvError::Empty) => return true,
                // This can't be, as the processor holds a sender itself.
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Lets a VCP end as soon as others let it, however small its share is: a share says
    /// what it may take while it serves.
    fn let_leave(&mut self, id: Id) {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.id == id) else {
            return;
        };
        let budget = Budget {
            slack: seat.budget.slack.max(LEAVING),
            ..seat.budget
        };
        // Its reservation stays as it was admitted.
        if self.scheduler.change(id, budget, now()).is_ok() {
            seat.set_budget(budget);
        }
    }

    /// Wakes the VCPs whose time has come, or that were called.
    fn wake_due(&mut self, time: u64) {
        // A VCP that is alone is polled anyway, and waits in its poll.
        let alone = self.seats.len() == 1;
        for seat in &mut self.seats {
            if seat.awake {
                continue;
            }
            let rests = matches!(seat.pause, Pause::Rest(_));
            let due = seat.until().is_some_and(|until| until <= time);
            let called = !rests && seat.alarm.take();
            if due || called || (alone && rests) {
                seat.awake = true;
                self.scheduler.wake(seat.id, time);
            }
        }
    }

    /// Waits, as no VCP can run before `until` unless something happens.
    fn idle(&mut self, until: Option<u64>, time: u64) {
        let sleeping = self.seats.iter().filter(|seat| !seat.awake);
        let first = sleeping.filter_map(Seat::until).chain(until).min();
        self.look(first.map(|until| until.saturating_sub(time)));
    }

    /// Waits for descriptors for so long, and wakes the VCPs that they belong to.
    fn look(&mut self, nanoseconds: Option<u64>) {
        let timeout = nanoseconds.map(|ns| Timespec {
            tv_sec: (ns / 1_000_000_000).min(1 << 30) as i64,
            tv_nsec: (ns % 1_000_000_000) as i64,
        });
        let listening = self.seats.iter_mut().filter(|seat| seat.listens());
        let mut listening: Vec<&mut Seat> = listening.collect();
        let bell = PollFd::new(&*self.own.bell, PollFlags::IN);
        let pollers = listening
            .iter()
            .map(|seat| Arc::clone(&seat.poller))
            .collect::<Vec<_>>();
        let others = pollers.iter().map(|fd| PollFd::new(&**fd, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = std::iter::once(bell).chain(others).collect();
        // An interrupted poll has found nothing; what is there is found the next time.
        let found = poll(&mut fds, timeout.as_ref()).unwrap_or(0);
        self.looked = now();
        if found == 0 {
            return;
        }
        if !fds[0].revents().is_empty() {
            self.own.hush();
        }
        for (seat, fd) in listening.iter_mut().zip(&fds[1..]) {
            if !fd.revents().is_empty() {
                seat.awake = true;
                self.scheduler.wake(seat.id, self.looked);
            }
        }
    }

    /// Lets a VCP run until it gives the thread back. Returns whether any VCP is left.
    fn turn(&mut self, id: Id) -> bool {
        let alone = self.seats.len() == 1;
        let Some(at) = self.seats.iter().position(|seat| seat.id == id) else {
            return true;
        };
        let seat = &mut self.seats[at];
        let leave = Leave {
            sleep: alone,
            back_at: if alone && seat.free {
                now() + STRETCH
            } else {
                0
            },
        };
        let before = seat.pause;
        let slept = alone && matches!(before, Pause::Rest(_) | Pause::Called);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            pace::poll(seat.future.as_mut(), &seat.alarm, leave)
        }));
        let used = thread_time();
        let ran = used - std::mem::replace(&mut self.used, used);
        let time = now();
        if slept {
            // Its time of rest was within that poll.
            self.scheduler.block(id, time);
            self.scheduler.wake(id, time);
        }
        self.scheduler.charge(id, ran, time);
        let Ok(Err(pause)) = polled else {
            let panicked = polled.is_err();
            self.scheduler.remove(id);
            self.seats.swap_remove(at).end(panicked);
            return !self.all.left(&self.own);
        };
        if pause == Pause::Called {
            self.own.hush();
        }
        seat.observe(before, pause, ran);
        seat.pause = pause;
        let waits = seat.until().is_none_or(|until| until > time);
        // Events that came while it ran are still its own, and no slack of others.
        if waits && (alone || !seat.has_news()) {
            seat.awake = false;
            self.scheduler.block(id, time);
        }
        seat.publish(&self.scheduler.account(id));
        true
    }
}

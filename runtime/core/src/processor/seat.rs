//! One VCP on a channel processor.

use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc::UnboundedSender;
use vcp_sched::{Account, Budget, Id};

use super::pace::{Alarm, Pause};
use crate::channel::Channel;
use crate::event::Event;
use crate::fuel::Rate;
use crate::status::Shared;

/// A VCP on its way to a processor.
pub(crate) struct Passenger {
    pub(crate) id: Id,
    pub(crate) name: Arc<str>,
    pub(crate) budget: Budget,
    pub(crate) channel: Channel,
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) rate: Arc<Rate>,
}

/// A VCP on the thread.
pub(super) struct Seat {
    pub(super) id: Id,
    pub(super) future: Pin<Box<dyn Future<Output = ()>>>,
    pub(super) alarm: Arc<Alarm>,
    /// The descriptor that is ready when one of the VCP's is.
    pub(super) poller: Arc<OwnedFd>,
    pub(super) pause: Pause,
    /// The scheduler counts it among those that have something to do.
    pub(super) awake: bool,
    /// The CPU time that it may take.
    pub(super) budget: Budget,
    /// Whether no time is reserved for it, so that none is kept from it.
    pub(super) free: bool,
    shared: Arc<Shared>,
    events: UnboundedSender<Event>,
    rate: Arc<Rate>,
}

impl Seat {
    pub(super) fn new(passenger: Passenger, bell: Arc<OwnedFd>) -> Self {
        let Passenger {
            id,
            budget,
            channel,
            shared,
            events,
            rate,
            ..
        } = passenger;
        Self {
            id,
            poller: channel.poller(),
            future: Box::pin(channel.run()),
            alarm: Alarm::new(Some(bell)),
            pause: Pause::Yield,
            awake: true,
            budget,
            free: is_free(budget),
            shared,
            events,
            rate,
        }
    }

    pub(super) fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
        self.free = is_free(budget);
    }

    /// When it wants to go on at the latest, if it waits.
    pub(super) fn until(&self) -> Option<u64> {
        match self.pause {
            Pause::Yield | Pause::Called => Some(0),
            Pause::Call(until) => Some(until),
            Pause::Rest(until) => until,
        }
    }

    /// Whether its descriptors can wake it.
    pub(super) fn listens(&self) -> bool {
        !self.awake && matches!(self.pause, Pause::Rest(_))
    }

    /// Whether it rests, and one of its descriptors is ready.
    pub(super) fn has_news(&self) -> bool {
        if !matches!(self.pause, Pause::Rest(_)) {
            return false;
        }
        let mut fds = [PollFd::new(&*self.poller, PollFlags::IN)];
        // If that can't be said, it is found when all are looked at.
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Notes how long a stretch between two yields of a call took.
    pub(super) fn observe(&self, before: Pause, after: Pause, ran: u64) {
        if (before, after) == (Pause::Yield, Pause::Yield) {
            self.rate.observe(ran);
        }
    }

    /// Publishes the CPU time that it has had.
    pub(super) fn publish(&self, account: &Account) {
        let counters = &self.shared.counters;
        counters
            .reserved_ns
            .store(account.reserved, Ordering::Relaxed);
        counters.slack_ns.store(account.slack, Ordering::Relaxed);
        counters
            .throttled_ns
            .store(account.throttled, Ordering::Relaxed);
        counters
            .waiting_ns
            .store(account.waiting, Ordering::Relaxed);
    }

    /// Ends the VCP; `panicked` if a panic of the host's ended it. A mistake of the host's
    /// is no reason to leave those waiting who rely on the last event.
    pub(super) fn end(self, panicked: bool) {
        if panicked {
            let what = "its channel processor panicked".to_owned();
            // The receiver may be gone; then nobody waits for this.
            let _ = self.events.send(Event::Failed(what));
            let _ = self.events.send(Event::Stopped);
        }
        self.shared.end();
    }
}

fn is_free(budget: Budget) -> bool {
    budget.slice == 0
}

//! The end of a VCP: it finishes what it holds, takes its leave, and is gone.

use tokio::sync::oneshot;
use vcp_queue::{Parked, Status};

use super::{Channel, Flow};
use crate::bindings::control;
use crate::clock::now;

/// How long a VCP may take to finish what it holds, and then to take its leave.
/// Together they keep to the 5 seconds within which a host is to be gone.
const PATIENCE: u64 = 2_000_000_000;

/// How long what clients have sent already may take to be read.
const LAST_LOOK: u64 = 10_000_000;

/// Whether and how far it is on its way out.
pub(super) enum Leave {
    /// It isn't.
    No,
    /// Told to stop; until this time what it holds may be finished, and not before that
    /// everything is.
    Draining { from: u64, until: u64 },
    /// Taking its leave, until this time.
    Leaving { until: u64 },
}

impl Channel {
    /// Whether nothing new is taken on.
    pub(super) fn leaving(&self) -> bool {
        !matches!(self.leave, Leave::No)
    }

    /// Whether everything has been answered and only leave is to be taken.
    pub(super) fn taking_leave(&self) -> bool {
        matches!(self.leave, Leave::Leaving { .. })
    }

    pub(super) fn begin_stop(&mut self) {
        if self.leaving() {
            return;
        }
        self.cancel_reload("is stopping");
        // What clients still ask for is answered here, and not left on their sockets.
        self.clients.refuse();
        self.drain();
    }

    fn drain(&mut self) {
        // One that can't serve now has nothing that it could finish.
        let serving = self.guest.is_some() && self.supervisor.answers();
        let patience = if serving { PATIENCE } else { 0 };
        let time = now();
        self.leave = Leave::Draining {
            // What clients had sent by now has been read then.
            from: time + patience.min(LAST_LOOK),
            until: time + patience,
        };
    }

    /// Leaves as [`Channel::begin_stop`] does, and gives up its clients instead of
    /// ending their connections: what is not finished then goes with them.
    pub(super) fn begin_park(&mut self, answer: oneshot::Sender<Vec<Parked>>) {
        if self.leaving() {
            return;
        }
        self.cancel_reload("is stopping");
        // What is not read is for whoever goes on.
        self.clients.stop_reading(&self.poller);
        self.parking = Some(answer);
        self.drain();
    }

    /// Nothing more is done for clients.
    pub(super) fn dismiss(&mut self) {
        let Some(answer) = self.parking.take() else {
            self.refuse_all(Status::ShuttingDown);
            return;
        };
        self.answer_done();
        let parked = self.clients.park(&mut self.table, &self.poller);
        // With nobody to go on, the connections close.
        let _ = answer.send(parked);
    }

    /// It was leaving anyway, and there is nothing it could still do.
    pub(super) fn end_leaving(&mut self) {
        self.dismiss();
        self.leave = Leave::Leaving { until: 0 };
    }

    /// Whether everything is answered, and the clients have taken it.
    fn is_idle(&self) -> bool {
        // Connections that go on elsewhere take along what they are owed.
        let kept = self.parking.is_some();
        self.table.is_empty() && (kept || self.clients.owe_nothing())
    }

    pub(super) fn leave_deadline(&self) -> Option<u64> {
        match self.leave {
            Leave::No => None,
            Leave::Draining { from, until } => Some(if self.is_idle() { from } else { until }),
            Leave::Leaving { until } => Some(until),
        }
    }

    /// Goes on to the next step when its time has come.
    pub(super) fn advance_leave(&mut self, time: u64) -> Flow {
        match self.leave {
            Leave::Draining { from, until } if time >= until || time >= from && self.is_idle() => {
                self.dismiss();
                self.table.restart();
                if self.guest.is_none() {
                    return Flow::End;
                }
                self.commands.push(control::Command::Stop);
                self.leave = Leave::Leaving {
                    until: time + PATIENCE,
                };
            }
            Leave::Leaving { until } if time >= until => return Flow::End,
            _ => {}
        }
        Flow::Continue
    }
}

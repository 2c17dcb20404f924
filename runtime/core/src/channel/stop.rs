//! The end of a VCP: it finishes what it holds, its instance is told to stop, and it is
//! gone.

use tokio::sync::oneshot;
use vcp_queue::{Parked, Status};

use super::{Channel, Flow};
use crate::bindings::control;
use crate::clock::now;

/// How long a VCP may take to finish what it holds, and then how long to stop, in
/// nanoseconds. Together they keep to the 5 seconds within which a host is to be gone.
const PATIENCE: u64 = 2_000_000_000;

/// How long reading what clients have already sent may take, in nanoseconds.
const LAST_LOOK: u64 = 10_000_000;

/// How far the VCP is in stopping.
pub(super) enum Leave {
    /// It is not stopping.
    No,
    /// It finishes what it holds, at least until `from` and at most until `until`.
    Draining { from: u64, until: u64 },
    /// Its instance was told to stop, and may take until this time.
    Leaving { until: u64 },
}

impl Channel {
    /// Whether it is stopping, so that nothing new is taken on.
    pub(super) fn leaving(&self) -> bool {
        !matches!(self.leave, Leave::No)
    }

    /// Whether everything has been answered, and only the instance has to stop.
    pub(super) fn taking_leave(&self) -> bool {
        matches!(self.leave, Leave::Leaving { .. })
    }

    pub(super) fn begin_stop(&mut self) {
        if self.leaving() {
            return;
        }
        self.cancel_reload("is stopping");
        // Requests that clients still send are answered here, and not left on their sockets.
        self.clients.refuse();
        self.drain();
    }

    fn drain(&mut self) {
        // An instance that can't serve now has nothing that it could finish.
        let serving = self.guest.is_some() && self.supervisor.answers();
        let patience = if serving { PATIENCE } else { 0 };
        let time = now();
        self.leave = Leave::Draining {
            // By then, what clients have sent so far has been read.
            from: time + patience.min(LAST_LOOK),
            until: time + patience,
        };
    }

    /// Stops as [`Channel::begin_stop`] does, but gives up its clients instead of ending
    /// their connections: what is not finished then goes with them.
    pub(super) fn begin_park(&mut self, answer: oneshot::Sender<Vec<Parked>>) {
        if self.leaving() {
            return;
        }
        self.cancel_reload("is stopping");
        // What is not read is left to whoever serves these clients next.
        self.clients.stop_reading(&self.poller);
        self.parking = Some(answer);
        self.drain();
    }

    /// Ends the service to clients: hands them over, or refuses what is left.
    pub(super) fn dismiss(&mut self) {
        let Some(answer) = self.parking.take() else {
            self.refuse_all(Status::ShuttingDown);
            return;
        };
        self.answer_done();
        let parked = self.clients.park(&mut self.table, &self.poller);
        // If the receiver is gone, the connections close.
        let _ = answer.send(parked);
    }

    /// Ends the stop at once: there is nothing that the VCP could still do.
    pub(super) fn end_leaving(&mut self) {
        self.dismiss();
        self.leave = Leave::Leaving { until: 0 };
    }

    /// Whether everything is answered, and the clients have taken it.
    fn is_idle(&self) -> bool {
        // Connections that are handed over take along the answers that they are owed.
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

    /// Goes on to the next step of stopping when its time has come.
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

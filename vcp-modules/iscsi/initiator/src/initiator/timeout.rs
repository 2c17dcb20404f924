//! What happens when a timer runs out.

use alloc::format;

use super::session::Fault;
use super::{Initiator, MS, Phase};
use crate::task::{State, TaskId};
use crate::timer::Timer;

impl Initiator {
    pub(super) fn expired(&mut self, now: u64, timer: Timer) -> Result<(), Fault> {
        match timer {
            Timer::Login => {
                let time = self.config.timing.login_timeout / MS;
                let what = match self.phase {
                    Phase::Connecting => "cannot connect: no answer",
                    Phase::Login(_) => "no answer to the login",
                    _ => "no answer from the logical unit",
                };
                return Err(format!("{what} within {time} ms").into());
            }
            Timer::Idle => self.silent(now),
            Timer::Ping => return self.ping_expired(now),
            Timer::Reconnect => self.connect(now),
            // What waits in the queue may go on.
            Timer::Throttle => {}
            Timer::Park => self.unpark(now),
            Timer::Watch => self.watch(now),
            Timer::Survey => self.survey_due(now),
            Timer::Capacity => self.capacity_due(now),
            Timer::TaskManagement => return Err("no answer to the abort of a command".into()),
            Timer::Grace => self.send_logout(now),
            Timer::Logout => return Err("no answer to the logout".into()),
        }
        Ok(())
    }

    /// Pings a target that has been silent.
    fn silent(&mut self, now: u64) {
        if !self.is_serving() {
            return;
        }
        let due = self.last_heard + self.config.timing.nop_interval;
        if due > now {
            self.timers.set(Timer::Idle, due);
        } else if self.ping.is_none() {
            self.send_ping(now);
        }
    }

    /// No echo. A target that says other things is alive all the same, and perhaps
    /// has much to say.
    fn ping_expired(&mut self, now: u64) -> Result<(), Fault> {
        let timeout = self.config.timing.nop_timeout;
        match &self.ping {
            Some(ping) if self.last_heard <= ping.sent_at => {
                Err(format!("no answer to a ping within {} ms", timeout / MS).into())
            }
            Some(_) => {
                self.timers
                    .set(Timer::Ping, self.last_heard.max(now) + timeout);
                if let Some(ping) = &mut self.ping {
                    ping.sent_at = now;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Looks for commands that were sent too long ago; the oldest is aborted, one
    /// at a time.
    fn watch(&mut self, now: u64) {
        let timeout = self.config.timing.command_timeout;
        let oldest: Option<(TaskId, State, u64)> = self
            .tasks
            .under_way()
            .map(|(id, task)| (id, task.state, task.progress.sent_at))
            .min_by_key(|(_, _, sent_at)| *sent_at);
        let Some((id, state, sent_at)) = oldest else {
            return;
        };
        let due = sent_at.saturating_add(timeout);
        if due > now {
            self.timers.set(Timer::Watch, due);
            return;
        }
        if state == State::Active && self.abort.is_none() {
            self.abort_task(now, id);
        }
        self.timers.set(Timer::Watch, now + self.short_timeout());
    }
}

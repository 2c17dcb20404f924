//! What happens when a timer runs out.

use alloc::format;

use super::session::Fault;
use super::{Initiator, MS, Phase};
use crate::control::Control;
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
            Timer::Wary => self.tasks.forget_culprits(),
            Timer::Watch => self.watch(now),
            Timer::Survey => self.survey_due(now),
            Timer::Capacity => self.capacity_due(now),
            Timer::TaskManagement => return Err("no answer to the abort of a command".into()),
            Timer::Grace => self.send_logout(now),
            Timer::Logout => return Err("no answer to the logout".into()),
        }
        Ok(())
    }

    /// Pings a target that has been silent, and confirms statuses to one that has not.
    fn silent(&mut self, now: u64) {
        if !self.is_serving() {
            return;
        }
        let due = self.last_heard + self.config.timing.nop_interval;
        if due > now {
            let unconfirmed = self.confirm(now);
            self.timers
                .set(Timer::Idle, unconfirmed.map_or(due, |at| at.min(due)));
        } else if self.ping.is_none() {
            self.send_ping(now);
        }
    }

    /// Confirms statuses that nothing else has confirmed for as long as a target may be
    /// silent: it has to keep them until then, and the initiator to say so when nothing
    /// is sent for long (RFC 7143 §4.2.2.2, §11.18). Returns when it would be due.
    fn confirm(&mut self, now: u64) -> Option<u64> {
        let interval = self.config.timing.nop_interval;
        let connection = self.connection.as_mut()?;
        let due = connection.unconfirmed?.saturating_add(interval);
        if due > now {
            return Some(due);
        }
        // What waits to be sent says it too.
        if !connection.has_output() {
            connection.push(Control::Confirmation);
        }
        None
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
                self.confirm(now);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Nothing is under way. If that is because the target takes no commands, requests
    /// wait for it.
    fn watch_window(&mut self) {
        let closed = self
            .connection
            .as_ref()
            .is_some_and(|c| !c.numbers.window_open());
        if closed && self.tasks.waiting().next().is_some() {
            self.tell_closed();
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
            return self.watch_window();
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

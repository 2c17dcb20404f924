//! Handling of expired timers.

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
            // The queue may be sent again, which happens by itself.
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

    /// Pings a target that has been silent, and acknowledges statuses to one that has
    /// not.
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

    /// Acknowledges statuses that nothing else has acknowledged for as long as a target
    /// may be silent: it has to keep them until then, and the initiator must acknowledge
    /// them when nothing is sent for long (RFC 7143 §4.2.2.2, §11.18). Returns when that
    /// would be due.
    fn confirm(&mut self, now: u64) -> Option<u64> {
        let interval = self.config.timing.nop_interval;
        let connection = self.connection.as_mut()?;
        let due = connection.unconfirmed?.saturating_add(interval);
        if due > now {
            return Some(due);
        }
        // Any waiting PDU acknowledges them too.
        if !connection.has_output() {
            connection.push(Control::Confirmation);
        }
        None
    }

    /// Handles a missing echo. A target that sends other PDUs is alive even so, and
    /// perhaps has much to send.
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

    /// Reports an outage if nothing is under way because the target takes no commands.
    fn watch_window(&mut self) {
        let closed = self
            .connection
            .as_ref()
            .is_some_and(|c| !c.numbers.window_open());
        if closed && self.tasks.waiting().next().is_some() {
            self.tell_closed();
        }
    }

    /// Looks for commands that have been unanswered for too long; the oldest is aborted,
    /// one at a time.
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

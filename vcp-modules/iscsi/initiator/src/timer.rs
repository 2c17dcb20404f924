//! The initiator's timers: one small table of deadlines in nanoseconds.

/// The events that a timer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The limit for connecting, logging in and knowing the logical unit.
    Login,
    /// The silence of the target after which it is pinged.
    Idle,
    /// The limit for the answer to a ping.
    Ping,
    /// The next attempt to connect.
    Reconnect,
    /// The end of a pause after BUSY, TASK SET FULL or NOT READY.
    Throttle,
    /// The end of the pause of deferred commands.
    Park,
    /// The time from which requests similar to a culprit need not be sent alone.
    Wary,
    /// The next check of the age of outstanding commands.
    Watch,
    /// The time to ask unanswered questions of the survey again.
    Survey,
    /// The next check of the capacity.
    Capacity,
    /// The limit for the answer to a task management request.
    TaskManagement,
    /// The limit for requests under way to finish before the logout.
    Grace,
    /// The limit for the answer to a logout.
    Logout,
}

const ALL: [Timer; 13] = [
    Timer::Login,
    Timer::Idle,
    Timer::Ping,
    Timer::Reconnect,
    Timer::Throttle,
    Timer::Park,
    Timer::Wary,
    Timer::Watch,
    Timer::Survey,
    Timer::Capacity,
    Timer::TaskManagement,
    Timer::Grace,
    Timer::Logout,
];

/// Deadlines, by timer.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: [Option<u64>; ALL.len()],
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: u64) {
        self.deadlines[timer as usize] = Some(deadline);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = None;
    }

    pub(crate) fn stop_all(&mut self) {
        self.deadlines = Default::default();
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize].is_some()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        self.deadlines.iter().flatten().copied().min()
    }

    /// Takes a timer whose deadline has come, the earliest first.
    pub(crate) fn expire(&mut self, now: u64) -> Option<Timer> {
        let timer = ALL
            .into_iter()
            .filter(|&t| self.deadlines[t as usize].is_some_and(|deadline| deadline <= now))
            .min_by_key(|&t| self.deadlines[t as usize])?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expire_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Watch, 20);
        timers.set(Timer::Ping, 10);
        timers.set(Timer::Grace, 30);
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.expire(9), None);
        assert_eq!(timers.expire(25), Some(Timer::Ping));
        assert_eq!(timers.expire(25), Some(Timer::Watch));
        assert_eq!(timers.expire(25), None);
        timers.stop(Timer::Grace);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn every_timer_has_its_own_place() {
        for (n, timer) in ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, n);
        }
    }
}

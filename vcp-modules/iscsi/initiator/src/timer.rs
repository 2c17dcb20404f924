//! The initiator's timers: one small table of deadlines in nanoseconds.

/// What can run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The connection is to be open and logged in, and the logical unit known.
    Login,
    /// Nothing was heard from the target for so long that it is to be pinged.
    Idle,
    /// The answer to a ping.
    Ping,
    /// The next attempt to connect.
    Reconnect,
    /// BUSY, TASK SET FULL or NOT READY: commands may be sent again.
    Throttle,
    /// Commands that were put off may be sent again.
    Park,
    /// What is like a request that ended sessions need not be sent alone any more.
    Wary,
    /// A look at the age of outstanding commands.
    Watch,
    /// What the logical unit did not answer may be asked again.
    Survey,
    /// A look at the capacity.
    Capacity,
    /// The answer to a task management request.
    TaskManagement,
    /// Requests under way may finish before the logout.
    Grace,
    /// The answer to a logout.
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

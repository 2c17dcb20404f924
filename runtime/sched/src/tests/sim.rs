//! A processor in virtual time, and tasks that behave as VCPs do.
//!
//! It checks at each step what must hold whatever the tasks do: the processor is idle only
//! if all tasks that could run have had more than their share, and no task without a part in
//! the slack has more than its share.

use super::{SECOND, US};
use crate::{Budget, Id, Pick, Scheduler};

/// Random numbers, from a small seeded generator, so that each run is the same.
pub(super) struct Random(u64);

impl Random {
    /// A number in 0..=most.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % (most + 1)
    }
}

/// What a task does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// It works all the time.
    Hog,
    /// It does nothing.
    Idle,
    /// It has a request that takes `work` each `every` nanoseconds.
    Periodic { every: u64, work: u64 },
    /// It works for up to `work`, and sleeps for up to `rest`.
    Bursts { work: u64, rest: u64 },
}

pub(super) struct Task {
    pub(super) budget: Budget,
    load: Load,
    /// The work that there is to do now, and since when.
    work: u64,
    asked: u64,
    /// When the next request comes.
    next: u64,
    awake_since: Option<u64>,
    /// How long it had something to do.
    pub(super) awake: u64,
    /// How long it ran.
    pub(super) ran: u64,
    /// How far it is ahead of its share within its reservation, if time that it did not take
    /// is lost: a leaky bucket, which is another way to say what a share is.
    ahead: f64,
    leaked: u64,
    /// How far it may be ahead, beside a run of each.
    limit: u64,
    /// The longest that a request took from its coming to its end.
    pub(super) slowest: u64,
    pub(super) requests: u64,
    /// When it ran: (end, length).
    pub(super) log: Vec<(u64, u64)>,
}

pub(super) struct Sim {
    pub(super) scheduler: Scheduler,
    pub(super) tasks: Vec<Task>,
    pub(super) now: u64,
    pub(super) idle: u64,
    /// How long a task runs before it yields.
    pub(super) quantum: u64,
    /// How much later it may yield.
    pub(super) overrun: u64,
    /// Whether it yields at the time that the scheduler said, if that is earlier.
    pub(super) obeys: bool,
    random: Random,
}

impl Sim {
    pub(super) fn new() -> Self {
        Self {
            scheduler: Scheduler::new(),
            tasks: Vec::new(),
            now: 0,
            idle: 0,
            quantum: 100 * US,
            overrun: 30 * US,
            obeys: false,
            random: Random(0x9e37_79b9_7f4a_7c15),
        }
    }

    pub(super) fn add(&mut self, budget: Budget, load: Load) -> usize {
        let at = self.tasks.len();
        let name = format!("task{at}");
        let admitted = self.scheduler.admit(Id(at as u64), &name, budget, self.now);
        admitted.expect("a set that fits");
        self.tasks.push(Task {
            budget,
            load,
            work: 0,
            asked: self.now,
            next: self.now,
            awake_since: None,
            awake: 0,
            ran: 0,
            ahead: 0.0,
            leaked: self.now,
            limit: 2 * budget.slice,
            slowest: 0,
            requests: 0,
            log: Vec::new(),
        });
        at
    }

    pub(super) fn change(&mut self, at: usize, budget: Budget) {
        let changed = self.scheduler.change(Id(at as u64), budget, self.now);
        changed.expect("a set that fits");
        let task = &mut self.tasks[at];
        task.leak(self.now);
        task.budget = budget;
        task.limit = task.limit.max(2 * budget.slice);
    }

    /// Runs for so long, and the last quantum to its end.
    pub(super) fn run(&mut self, nanoseconds: u64) {
        let end = self.now + nanoseconds;
        while self.now < end {
            self.arrivals();
            match self.scheduler.pick(self.now) {
                Pick::Run { id, most, slack } => self.turn(id.0 as usize, most, slack),
                Pick::Idle { until } => self.rest(until, end),
            }
        }
        // This tells the scheduler what time it is.
        self.arrivals();
        self.scheduler.pick(self.now);
        self.check_accounts();
    }

    /// The part of the processor that a task had.
    pub(super) fn part(&self, task: usize) -> f64 {
        self.tasks[task].ran as f64 / self.now as f64
    }

    fn arrivals(&mut self) {
        for (at, task) in self.tasks.iter_mut().enumerate() {
            if task.next > self.now || task.work > 0 {
                continue;
            }
            match task.load {
                Load::Idle => continue,
                Load::Hog => task.work = u64::MAX,
                Load::Periodic { every, work } => {
                    (task.work, task.asked) = (work, task.next);
                    task.next += every;
                }
                Load::Bursts { work, rest } => {
                    task.work = 1 + self.random.up_to(work);
                    // It counts from the end of the work.
                    task.next = 1 + self.random.up_to(rest);
                }
            }
            task.awake_since.get_or_insert(self.now);
            self.scheduler.wake(Id(at as u64), self.now);
        }
    }

    fn turn(&mut self, at: usize, most: u64, slack: bool) {
        assert!(most > 0);
        let late = self.random.up_to(self.overrun);
        let quantum = if self.obeys {
            self.quantum.min(most)
        } else {
            self.quantum
        };
        // Others may have made it late by so much: it may catch up with that.
        let late_by = (self.quantum + self.overrun) * self.tasks.len() as u64;
        let task = &mut self.tasks[at];
        assert!(task.work > 0, "task{at} has nothing to do");
        assert!(!slack || task.budget.slack > 0, "task{at} takes no slack");
        let ran = task.work.min(quantum + late);
        self.now += ran;
        task.ran += ran;
        task.log.push((self.now, ran));
        task.leak(self.now);
        if !slack {
            task.ahead += ran as f64;
            let (limit, ahead) = (task.limit + late_by, task.ahead);
            assert!(ahead < limit as f64 + 1.0, "task{at} is {ahead} ahead");
        }
        self.scheduler.charge(Id(at as u64), ran, self.now);
        if !matches!(task.load, Load::Hog) {
            task.work -= ran;
        }
        if task.work == 0 && !task.goes_on(self.now) {
            task.awake += self.now - task.awake_since.take().expect("it was awake");
            self.scheduler.block(Id(at as u64), self.now);
        }
    }

    fn rest(&mut self, until: Option<u64>, end: u64) {
        for (at, task) in self.tasks.iter_mut().enumerate() {
            if task.work > 0 {
                task.leak(self.now);
                assert!(task.budget.slack == 0, "idle, and task{at} takes slack");
                // The other way to count may be off by so much.
                let soon = until.is_some_and(|until| until - self.now < US);
                assert!(task.ahead > 0.0 || soon, "idle, and task{at} has time left");
                assert!(until.is_some(), "idle for ever, and task{at} waits");
            }
        }
        let sleeping = self.tasks.iter().filter(|task| task.work == 0);
        let coming = sleeping.filter(|task| !matches!(task.load, Load::Idle));
        let next = coming.map(|task| task.next).chain(until).min();
        let next = next.unwrap_or(end);
        assert!(next > self.now, "asked to wait for what has been");
        self.idle += next - self.now;
        self.now = next;
    }

    /// Time is charged once, and no time that a task was awake is lost.
    fn check_accounts(&self) {
        let mut busy = 0;
        for (at, task) in self.tasks.iter().enumerate() {
            let account = self.scheduler.account(Id(at as u64));
            assert_eq!(account.reserved + account.slack, task.ran, "task{at}");
            let awake = task.awake + task.awake_since.map_or(0, |since| self.now - since);
            let stood = account.throttled + account.waiting;
            assert_eq!(task.ran + stood, awake, "task{at}: {account:?}");
            busy += task.ran;
        }
        assert_eq!(busy + self.idle, self.now);
    }
}

impl Task {
    /// Ends a request. Returns whether there is another one already.
    fn goes_on(&mut self, now: u64) -> bool {
        self.slowest = self.slowest.max(now - self.asked);
        self.requests += 1;
        match self.load {
            Load::Periodic { every, work } if self.next <= now => {
                (self.work, self.asked) = (work, self.next);
                self.next += every;
                true
            }
            Load::Bursts { .. } => {
                self.next += now;
                false
            }
            _ => false,
        }
    }

    fn leak(&mut self, now: u64) {
        let Budget { period, slice, .. } = self.budget;
        let share = slice as f64 / period as f64;
        self.ahead = (self.ahead - share * (now - self.leaked) as f64).max(0.0);
        self.leaked = now;
    }
}

/// A budget of a share in percent of a period, and a weight.
pub(super) fn budget(percent: u64, period: u64, slack: u32) -> Budget {
    let slice = period / 100 * percent;
    Budget {
        period,
        slice,
        slack,
    }
}

/// How long the guarantees are checked for.
pub(super) const LONG: u64 = 10 * SECOND;

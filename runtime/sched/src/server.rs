//! One VCP as the scheduler sees it: what is left of its slice, till when, and how far it is
//! in the slack. It knows nothing of the others.

use crate::account::Account;
use crate::budget::Budget;

/// The largest debt, in nanoseconds of a processor: one second.
///
/// A VCP that ran for longer than it had pays for it from its next slices. An honest
/// overrun, such as one huge copy, takes some tens of milliseconds and is paid in
/// full. What is beyond this limit can only be a wrong measurement, or a processor
/// that was taken away as a whole; it is forgiven, so that a VCP with 1 % waits for
/// no longer than 100 seconds.
pub const MAX_DEBT: u64 = 1_000_000_000;

/// A VCP that is later than this with a slice, in nanoseconds, begins anew.
///
/// Among reservations that fit, none is late by more than the runs that could not be
/// interrupted. There should be room for some of those, even if all periods are shorter.
const MAX_LATE: u64 = 10_000_000;

/// A VCP that is on the processor.
///
/// A reservation is always kept as it will be when it can be used next: a VCP that uses up a
/// slice is given the next one at once, to be used `from` then on. So nothing needs to be
/// done when that time comes.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) budget: Budget,
    /// Whether it has something to do.
    pub(crate) runnable: bool,
    /// The rest of the slice: 1..=slice, or 0 if there is no slice.
    pub(crate) left: u64,
    /// The time from which that may be used.
    pub(crate) from: u64,
    /// The time before which it should be used.
    pub(crate) deadline: u64,
    /// The time that it ran in slack, divided by its weight, in 2³²nds of a nanosecond.
    pub(crate) virtual_time: u128,
    /// 2³² divided by its weight.
    per_nanosecond: u64,
    /// The number of the charge in which it last ran.
    pub(crate) last: u64,
    /// The time to which its account is complete.
    pub(crate) since: u64,
    pub(crate) account: Account,
}

impl Server {
    /// Makes a server that has nothing to do yet.
    pub(crate) fn new(name: String, budget: Budget, now: u64, floor: u128) -> Self {
        let mut server = Self {
            name,
            budget,
            runnable: false,
            left: 0,
            from: 0,
            deadline: 0,
            virtual_time: floor,
            per_nanosecond: 0,
            last: 0,
            since: now,
            account: Account::default(),
        };
        server.set_weight(budget.slack);
        server.refill(now);
        server
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.budget.slice > 0
    }

    /// Whether it may run within its reservation now, if it has something to do.
    pub(crate) fn has_time(&self, now: u64) -> bool {
        self.is_reserved() && self.from <= now
    }

    /// Notes that it has something to do, after it had nothing. No other in the slack is
    /// further back than `floor`.
    pub(crate) fn wake(&mut self, now: u64, floor: u128) {
        self.runnable = true;
        // Sleeping earns nothing.
        self.virtual_time = self.virtual_time.max(floor);
        // The rest of the slice is kept with its deadline if it is no more than its share of
        // the time until then. Otherwise there is a whole slice, with a later deadline.
        // Overruns are not forgiven by that: time has paid for them. A VCP that is throttled
        // is ahead of its share.
        if self.surplus(now) <= 0 {
            self.refill(now);
        }
    }

    /// Charges a run within its reservation.
    pub(crate) fn charge_reserved(&mut self, ran: u64, now: u64) {
        self.account.reserved = self.account.reserved.saturating_add(ran);
        if ran < self.left {
            self.left -= ran;
        } else if self.is_reserved() {
            self.owe((ran - self.left).min(MAX_DEBT));
            // The processor is overloaded, or was away. That time is lost; otherwise VCPs
            // that are late would keep out those that wake up.
            if self.deadline.saturating_add(MAX_LATE) <= now {
                self.deadline = now.saturating_add(self.budget.period);
            }
        }
    }

    /// Charges a run in slack. No other that was to have it was further back than `floor`.
    pub(crate) fn charge_slack(&mut self, ran: u64, floor: u128) {
        self.account.slack = self.account.slack.saturating_add(ran);
        let one = u128::from(self.per_nanosecond);
        // As with debts: a wrong measurement must not keep it out for ever.
        let most = floor.saturating_add(one * u128::from(MAX_DEBT));
        let then = self.virtual_time.saturating_add(one * u128::from(ran));
        self.virtual_time = then.min(most).max(self.virtual_time);
    }

    /// Changes its budget. What it had beyond its share of the time so far is kept from it;
    /// what it had not is lost.
    pub(crate) fn change(&mut self, budget: Budget, now: u64, floor: u128) {
        let before = std::mem::replace(&mut self.budget, budget);
        if before.slack != budget.slack {
            self.set_weight(budget.slack);
            self.virtual_time = self.virtual_time.max(floor);
        }
        if (before.slice, before.period) == (budget.slice, budget.period) {
            return;
        }
        let surplus = match before.slice {
            0 => 0,
            _ => self.surplus_of(before, now),
        };
        self.refill(now);
        if self.is_reserved() {
            let surplus = u64::try_from(surplus).unwrap_or(0);
            if surplus < self.left {
                self.left -= surplus;
            } else {
                self.owe((surplus - self.left).min(MAX_DEBT));
            }
        }
    }

    /// Accounts for the time that it has waited up to now.
    pub(crate) fn settle(&mut self, now: u64) {
        self.account = self.settled(now);
        self.since = now;
    }

    /// Its account as it would be now, if it has not run since.
    pub(crate) fn settled(&self, now: u64) -> Account {
        let mut account = self.account;
        if self.runnable {
            let from = if self.is_reserved() { self.from } else { 0 };
            account.stood(self.since, now, from);
        }
        account
    }

    /// Gives it a whole slice, from now on.
    fn refill(&mut self, now: u64) {
        self.left = self.budget.slice;
        self.from = now;
        self.deadline = now.saturating_add(self.budget.period);
    }

    /// Uses up the slice, and adds a debt: the next slice that pays all of it and has
    /// something left is the one to be used, from the end of the one before it.
    fn owe(&mut self, debt: u64) {
        let Budget { period, slice, .. } = self.budget;
        let over = debt / slice;
        self.left = slice - debt % slice;
        self.from = self.deadline.saturating_add(over.saturating_mul(period));
        self.deadline = self.from.saturating_add(period);
    }

    /// The time that it has had beyond its share up to now, in nanoseconds; less than 0 if
    /// it had less.
    fn surplus(&self, now: u64) -> i128 {
        self.surplus_of(self.budget, now)
    }

    fn surplus_of(&self, budget: Budget, now: u64) -> i128 {
        let ahead = u128::from(self.deadline.saturating_sub(now)) * u128::from(budget.slice);
        // Below 2¹²⁸ / 2; and rounded up, in favour of the others.
        let share = ahead.div_ceil(u128::from(budget.period.max(1))) as i128;
        share - i128::from(self.left)
    }

    fn set_weight(&mut self, weight: u32) {
        self.per_nanosecond = (1u64 << 32).checked_div(u64::from(weight)).unwrap_or(0);
    }
}

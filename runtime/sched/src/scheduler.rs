//! All VCPs of one channel processor, and which one's turn it is.

use crate::account::Account;
use crate::budget::{Budget, Refused, fits};
use crate::server::Server;

/// The longest run in slack before the scheduler wants to be asked again, in
/// nanoseconds.
pub const QUANTUM: u64 = 1_000_000;

/// The number of a VCP, chosen by the caller.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u64);

/// Which VCP runs next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This VCP runs.
    Run {
        /// Its number.
        id: Id,
        /// Ask again after so many nanoseconds, or when a VCP wakes up; at least 1.
        most: u64,
        /// Whether it runs in slack, and not within its own reservation.
        slack: bool,
    },
    /// No VCP runs, unless one wakes up.
    Idle {
        /// Ask again at this time, when some VCP's next slice begins. `None` if no VCP has
        /// anything to do.
        until: Option<u64>,
    },
}

/// Shares one processor among VCPs.
///
/// The caller does as [`pick`](Self::pick) says and then tells what the run cost with
/// [`charge`](Self::charge), and before it asks again also which VCPs have something to do
/// ([`wake`](Self::wake)) and which have nothing ([`block`](Self::block)). Calls about an
/// unknown [`Id`] do nothing.
///
/// With n VCPs, each call takes O(log n) and `pick` O(n): one or two passes over an
/// array that even with hundreds of VCPs take little against the shortest run.
#[derive(Debug, Default)]
pub struct Scheduler {
    /// The ids in ascending order; each one's server is at the same place in `servers`.
    ids: Vec<Id>,
    servers: Vec<Server>,
    /// The last pick.
    turn: Option<Turn>,
    /// No VCP that may run in slack is further back in virtual time, or was when slack was
    /// last given.
    floor: u128,
    charges: u64,
    /// The last time that it was told.
    now: u64,
}

/// A VCP's turn to run.
#[derive(Copy, Clone, Debug)]
struct Turn {
    id: Id,
    slack: bool,
    /// Whether the cost of the run is not known yet.
    open: bool,
}

impl Scheduler {
    /// A processor without VCPs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a VCP on. It has nothing to do until it is woken. `name` is for messages.
    ///
    /// # Errors
    /// If the budget makes no sense, if it and the others come to more than one processor,
    /// or if there is a VCP with this id.
    pub fn admit(&mut self, id: Id, name: &str, budget: Budget, now: u64) -> Result<(), Refused> {
        let Err(place) = self.ids.binary_search(&id) else {
            return Err(Refused::Present(name.to_owned()));
        };
        budget.check(name)?;
        fits(self.promises().chain([(name, budget)]))?;
        let server = Server::new(name.to_owned(), budget, now, self.floor);
        self.ids.insert(place, id);
        self.servers.insert(place, server);
        Ok(())
    }

    /// Gives a VCP another budget, now. What it has used of the old one beyond its
    /// share stays a debt, so that changes to and fro gain nothing.
    ///
    /// # Errors
    /// As [`admit`](Self::admit), or if there is no VCP with this id; it then goes on with
    /// the budget that it has.
    pub fn change(&mut self, id: Id, budget: Budget, now: u64) -> Result<(), Refused> {
        let place = self.find(id).ok_or(Refused::Absent(id.0))?;
        let name = self.servers[place].name.as_str();
        budget.check(name)?;
        let (before, after) = (&self.servers[..place], &self.servers[place + 1..]);
        let others = before.iter().chain(after).map(promise);
        fits(others.chain([(name, budget)]))?;
        self.settle(place, now);
        self.servers[place].change(budget, now, self.floor);
        Ok(())
    }

    /// Forgets a VCP, and what it had reserved.
    pub fn remove(&mut self, id: Id) {
        if let Some(place) = self.find(id) {
            self.ids.remove(place);
            self.servers.remove(place);
            self.turn.take_if(|turn| turn.id == id);
        }
    }

    /// Notes that a VCP has something to do. No change if it had before.
    pub fn wake(&mut self, id: Id, now: u64) {
        if let Some(place) = self.find(id)
            && !self.servers[place].runnable
        {
            self.settle(place, now);
            self.servers[place].wake(now, self.floor);
        }
    }

    /// Notes that a VCP has nothing to do. No change if it had nothing before.
    pub fn block(&mut self, id: Id, now: u64) {
        if let Some(place) = self.find(id)
            && self.servers[place].runnable
        {
            self.settle(place, now);
            self.servers[place].runnable = false;
        }
    }

    /// Charges a VCP for a run of `ran` nanoseconds until now: to its reservation or to
    /// slack, as its last turn was.
    pub fn charge(&mut self, id: Id, ran: u64, now: u64) {
        let Some(place) = self.find(id) else { return };
        let turn = self.turn.filter(|turn| turn.id == id);
        if turn.is_none_or(|turn| !turn.open) {
            self.settle(place, now);
        }
        self.charges += 1;
        self.now = now;
        let server = &mut self.servers[place];
        server.last = self.charges;
        if let Some(turn) = turn
            && turn.open
        {
            // In the time of its turn beyond its run, it waited.
            server.since = server.since.saturating_add(ran).min(now);
            if server.runnable {
                server.account.stood(server.since, now, 0);
            }
            server.since = now;
            self.turn = Some(Turn {
                open: false,
                ..turn
            });
        }
        if server.is_reserved() && turn.is_none_or(|turn| !turn.slack) {
            server.charge_reserved(ran, now);
        } else {
            server.charge_slack(ran, self.floor);
        }
    }

    /// Says which VCP runs next, and for at most how long until this is asked again.
    pub fn pick(&mut self, now: u64) -> Pick {
        // If the turn is open, its VCP did not run after all, and waited.
        self.turn = None;
        self.now = now;
        let choice = self.choose(now);
        let (place, most, slack) = match (choice.reserved, choice.slack) {
            (Some(place), _) => (place, self.most(place, choice.next, now), false),
            (None, Some(place)) => {
                let server = &self.servers[place];
                self.floor = self.floor.max(server.virtual_time);
                let next = choice.next.map_or(QUANTUM, |next| next - now);
                (place, next.min(QUANTUM), true)
            }
            (None, None) => return Pick::Idle { until: choice.next },
        };
        let id = self.ids[place];
        self.servers[place].settle(now);
        self.turn = Some(Turn {
            id,
            slack,
            open: true,
        });
        Pick::Run { id, most, slack }
    }

    /// The time that a VCP has run and waited, up to the last time that the scheduler was
    /// told; a run that has not been charged yet does not count. Empty for an unknown id.
    pub fn account(&self, id: Id) -> Account {
        let Some(server) = self.find(id).map(|place| &self.servers[place]) else {
            return Account::default();
        };
        match self.turn {
            Some(turn) if turn.open && turn.id == id => server.account,
            _ => server.settled(self.now),
        }
    }

    /// Finds in one pass which VCPs might run, and when the next slice begins.
    fn choose(&self, now: u64) -> Choice {
        let mut choice = Choice::default();
        let (mut earliest, mut furthest_back) = ((u64::MAX, u64::MAX), (u128::MAX, u64::MAX));
        for (place, server) in self.servers.iter().enumerate() {
            if !server.runnable {
                continue;
            }
            if server.has_time(now) {
                let rank = (server.deadline, server.last);
                if choice.reserved.is_none() || rank < earliest {
                    (choice.reserved, earliest) = (Some(place), rank);
                }
                continue;
            }
            if server.is_reserved() {
                let next = choice.next.unwrap_or(u64::MAX);
                choice.next = Some(next.min(server.from));
            }
            let rank = (server.virtual_time, server.last);
            if server.budget.slack > 0 && (choice.slack.is_none() || rank < furthest_back) {
                (choice.slack, furthest_back) = (Some(place), rank);
            }
        }
        choice
    }

    /// How long this VCP may run within its reservation, before its slice is used up or
    /// another's next slice begins with an earlier deadline. None begins before `next`.
    fn most(&self, place: usize, next: Option<u64>, now: u64) -> u64 {
        let server = &self.servers[place];
        let end = now.saturating_add(server.left);
        if next.is_none_or(|next| next >= end) {
            return server.left;
        }
        let preempts = |other: &&Server| {
            other.runnable
                && other.is_reserved()
                && other.from > now
                && other.deadline < server.deadline
        };
        let back = self.servers.iter().filter(preempts).map(|other| other.from);
        back.min().map_or(server.left, |from| from.min(end) - now)
    }

    /// Brings the account of a VCP up to now. The time of an open turn is left to its
    /// charge.
    fn settle(&mut self, place: usize, now: u64) {
        self.now = now;
        let id = self.ids[place];
        let server = &mut self.servers[place];
        match self.turn {
            Some(turn) if turn.open && turn.id == id => server.since = now,
            _ => server.settle(now),
        }
    }

    fn promises(&self) -> impl Iterator<Item = (&str, Budget)> + Clone {
        self.servers.iter().map(promise)
    }

    fn find(&self, id: Id) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }
}

fn promise(server: &Server) -> (&str, Budget) {
    (&server.name, server.budget)
}

/// The candidates of a pick; places in the array.
#[derive(Default)]
struct Choice {
    /// The one with the earliest deadline of those with reserved time left.
    reserved: Option<usize>,
    /// The one furthest back of those that take slack.
    slack: Option<usize>,
    /// When the next slice of a throttled VCP begins.
    next: Option<u64>,
}

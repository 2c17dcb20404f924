//! Properties that hold whatever happens, in whatever order.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Complete(prop::sample::Index),
    Crash,
    /// A death that the requests are blamed for.
    Blamed(Blame),
    /// The device says that it waits.
    Acquit,
    /// Whether suspects are tried.
    Trials(bool),
    Take,
    /// So much time goes by; requests that wait then may do so for so long.
    Later(u64, u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any::<prop::sample::Index>().prop_map(Event::Complete),
        1 => Just(Event::Crash),
        1 => Just(Event::Blamed(Blame::Crash)),
        1 => Just(Event::Blamed(Blame::Hang)),
        1 => Just(Event::Acquit),
        1 => any::<bool>().prop_map(Event::Trials),
        3 => Just(Event::Take),
    ]
}

proptest! {
    /// Writes to ranges that share no byte, but share blocks, all in flight at
    /// once, finished in any order, with crashes: each is answered once, and the
    /// device holds exactly what was written.
    #[test]
    fn disjoint_writes_survive_anything(
        cuts in prop::collection::btree_set(0usize..SIZE, 2..30),
        zeroes in any::<u32>(),
        events in prop::collection::vec(event(), 0..200),
        native_zeroes in any::<bool>(),
        depth in 1usize..8,
    ) {
        let mut device = Device::new();
        let mut table = Table::new(Limits { depth, ..Limits::default() });
        let max_write_zeroes = if native_zeroes { 8192 } else { 0 };
        table.set_geometry(Geometry { max_write_zeroes, ..geometry() });
        let mut model = device.contents.clone();
        let cuts: Vec<_> = cuts.into_iter().collect();
        for (n, pair) in cuts.windows(2).enumerate() {
            let zero = zeroes >> n & 1 == 1;
            let operation = if zero { Operation::WriteZeroes } else { Operation::Write };
            let length = (pair[1] - pair[0]) as u32;
            let new = request(n as u64 + 1, operation, pair[0] as u64, length);
            model[pair[0]..pair[1]].fill(if zero { 0 } else { n as u8 + 1 });
            table.submit(ClientId(n as u64 % 3), new);
        }
        let mut answered = Vec::new();
        for event in events {
            match event {
                Event::Take => device.take_all(&mut table),
                Event::Crash => device.crash(&mut table),
                Event::Blamed(blame) => {
                    table.blame(blame);
                    device.crash(&mut table);
                }
                Event::Acquit => table.acquit(),
                Event::Trials(allowed) => table.set_trials(allowed),
                Event::Later(..) => {}
                Event::Complete(_) if device.entries.is_empty() => {}
                Event::Complete(which) => {
                    let which = which.index(device.entries.len());
                    answered.extend(device.complete(which, &mut table));
                }
            }
        }
        table.set_trials(true);
        answered.extend(run_dry(&mut device, &mut table));
        let mut cookies: Vec<_> = answered.iter().map(|a| a.cookie).collect();
        cookies.sort_unstable();
        prop_assert_eq!(cookies, (1..cuts.len() as u64).collect::<Vec<_>>());
        prop_assert!(device.contents == model);
    }

    /// Requests of all kinds with deadlines, clients that go, crashes and hangs: each
    /// request that still has a client is answered once, with an error exactly if its
    /// deadline came before its answer.
    #[test]
    fn each_is_answered_by_the_device_or_by_its_clock(
        kinds in prop::collection::vec((0u8..4, 0usize..SIZE / 2, 1usize..9000), 1..30),
        events in prop::collection::vec(timed(), 0..300),
    ) {
        let mut run = Timed::new();
        for event in events {
            if run.submitted < kinds.len() {
                run.submit(kinds[run.submitted]);
            }
            run.step(event);
            run.check();
        }
        run.finish();
        let mut expected: Vec<u64> = (1..=run.submitted as u64).collect();
        expected.retain(|cookie| cookie % 3 != run.gone || run.answered.contains(cookie));
        run.answered.sort_unstable();
        prop_assert_eq!(run.answered, expected);
    }
}

fn timed() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => event(),
        2 => (0u64..20, 0u64..40).prop_map(|(by, wait)| Event::Later(by, wait)),
    ]
}

/// A table, its device, a clock, and a model of the deadlines.
struct Timed {
    device: Device,
    table: Table,
    now: u64,
    submitted: usize,
    deadlines: std::collections::BTreeMap<u64, u64>,
    answered: Vec<u64>,
    /// Cookies of the client that left have this remainder.
    gone: u64,
}

impl Timed {
    fn new() -> Self {
        let mut table = Table::new(Limits {
            depth: 8,
            ..Limits::default()
        });
        table.set_geometry(geometry());
        Self {
            device: Device::new(),
            table,
            now: 0,
            submitted: 0,
            deadlines: Default::default(),
            answered: Vec::new(),
            gone: u64::MAX,
        }
    }

    fn submit(&mut self, (kind, offset, length): (u8, usize, usize)) {
        self.submitted += 1;
        let cookie = self.submitted as u64;
        if cookie % 3 == self.gone {
            // Its client is gone, and does not ask.
            self.answered.push(cookie);
            return;
        }
        let (operation, offset, length) = match kind {
            0 => (Operation::Read, offset as u64, length as u32),
            1 => (Operation::Write, offset as u64, length as u32),
            2 => (Operation::Discard, offset as u64, length as u32),
            _ => (Operation::Flush, 0, 0),
        };
        let new = request(cookie, operation, offset, length);
        self.table.submit(ClientId(cookie % 3), new);
    }

    fn answer(&mut self, answers: impl IntoIterator<Item = Answered>) {
        for answer in answers {
            self.deadlines.remove(&answer.cookie);
            self.answered.push(answer.cookie);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Take => self.device.take_all(&mut self.table),
            Event::Crash => self.device.crash(&mut self.table),
            Event::Blamed(blame) => {
                self.table.blame(blame);
                self.device.crash(&mut self.table);
            }
            Event::Acquit => self.table.acquit(),
            Event::Trials(allowed) => self.table.set_trials(allowed),
            Event::Later(by, wait) => self.later(by, wait),
            Event::Complete(_) if self.device.entries.is_empty() => {}
            Event::Complete(which) => {
                let which = which.index(self.device.entries.len());
                let answer = self.device.complete(which, &mut self.table);
                self.answer(answer);
            }
        }
        let done = self.table.take_done();
        self.answer(done.into_iter().map(|done| Answered::new(done, &[])));
    }

    /// Finishes everything, with nothing going wrong any more.
    fn finish(&mut self) {
        self.table.set_trials(true);
        loop {
            self.step(Event::Take);
            if self.device.entries.is_empty() {
                break;
            }
            let answer = self.device.complete(0, &mut self.table);
            self.answer(answer);
        }
        assert!(self.table.is_empty() && self.table.next_deadline().is_none());
    }

    fn later(&mut self, by: u64, wait: u64) {
        if by == 0 && wait == 0 && self.gone == u64::MAX {
            self.gone = 1;
            self.table.forget(ClientId(1));
            self.deadlines.retain(|cookie, _| cookie % 3 != 1);
            return;
        }
        self.now += by;
        let expired = self.table.expire(self.now, Status::IoError);
        let mut failed: Vec<_> = expired.finished.iter().map(|f| f.cookie).collect();
        assert!(expired.finished.iter().all(|f| f.status == Status::IoError));
        failed.sort_unstable();
        let due = self.deadlines.iter().filter(|(_, at)| **at <= self.now);
        let due: Vec<u64> = due.map(|(cookie, _)| *cookie).collect();
        assert_eq!(failed, due);
        self.deadlines.retain(|_, at| *at > self.now);
        self.answered.extend(due);
        if expired.issued {
            self.device.replace();
        }
        let deadline = self.now + wait;
        self.table.set_deadline(deadline);
        for cookie in 1..=self.submitted as u64 {
            if !self.answered.contains(&cookie) && cookie % 3 != self.gone {
                let at = self.deadlines.entry(cookie).or_insert(deadline);
                *at = deadline.min(*at);
            }
        }
    }

    fn check(&self) {
        let earliest = self.deadlines.values().min().copied();
        if self.gone == u64::MAX {
            assert_eq!(self.table.next_deadline(), earliest);
        }
        assert!(self.table.len() >= self.deadlines.len());
    }
}

//! Requests that instances die of.

use super::*;

/// A table, and a device that dies whenever it is given one of `poison`; with what it
/// answered, and how often it died.
struct Bed {
    table: Table,
    device: Device,
    poison: Vec<u64>,
    answered: Vec<u64>,
    deaths: usize,
}

impl Bed {
    /// Requests 1 to `count` are writes, each to a place of its own.
    fn new(count: u64, poison: &[u64]) -> Self {
        Self::with(Limits::default(), count, poison)
    }

    fn with(limits: Limits, count: u64, poison: &[u64]) -> Self {
        let mut table = Table::new(limits);
        table.set_geometry(geometry());
        for cookie in 1..=count {
            table.submit(
                ClientId(cookie),
                request(cookie, Operation::Write, cookie * 512, 512),
            );
        }
        Self {
            table,
            device: Device::new(),
            poison: poison.to_vec(),
            answered: Vec::new(),
            deaths: 0,
        }
    }

    /// Lets one instance live until it dies or has nothing more to do.
    fn live(&mut self, blame: Blame) {
        loop {
            self.device.take_all(&mut self.table);
            let poison = |offset: u64| self.poison.contains(&(offset / 512));
            if self.device.entries.iter().any(|e| poison(e.offset)) {
                self.table.blame(blame);
                self.device.crash(&mut self.table);
                self.deaths += 1;
                return;
            }
            if self.device.entries.is_empty() {
                return;
            }
            let answer = self.device.complete(0, &mut self.table);
            self.answered.extend(answer.map(|a| a.cookie));
        }
    }
}

#[test]
fn what_is_asked_beside_poison_is_answered() {
    let mut bed = Bed::new(12, &[7]);
    for _ in 0..4 {
        bed.live(Blame::Crash);
    }
    // Three deaths of the whole batch, and one of the first few: then what is left
    // goes by itself, the poison last.
    bed.live(Blame::Crash);
    assert_eq!((bed.deaths, bed.answered.len()), (5, 11));
    // Requests that come later go before it.
    let later = request(21, Operation::Write, 21 * 512, 512);
    bed.table.submit(ClientId(21), later);
    bed.live(Blame::Crash);
    bed.live(Blame::Crash);
    assert!(bed.answered.contains(&21));
    assert_eq!(bed.table.len(), 1);
}

#[test]
fn several_that_kill_keep_nobody_else_waiting() {
    let poison = [3, 4, 11];
    let mut bed = Bed::new(12, &poison);
    for _ in 0..3 + poison.len() + 1 {
        bed.live(Blame::Crash);
    }
    let left: Vec<_> = (1..=12).filter(|c| !bed.answered.contains(c)).collect();
    assert_eq!(left, poison);
}

#[test]
fn after_a_hang_nothing_is_offered_beside_the_others_once_more() {
    let mut bed = Bed::new(12, &[1]);
    bed.live(Blame::Hang);
    bed.live(Blame::Hang);
    assert_eq!(bed.answered, []);
    bed.live(Blame::Hang);
    assert_eq!((bed.deaths, bed.answered.len()), (3, 11));
}

#[test]
fn two_crashes_make_nobody_suspect() {
    let mut bed = Bed::new(12, &[]);
    for _ in 0..2 {
        bed.device.take_all(&mut bed.table);
        bed.table.blame(Blame::Crash);
        bed.device.crash(&mut bed.table);
    }
    bed.device.take_all(&mut bed.table);
    assert_eq!(bed.device.entries.len(), 12);
}

#[test]
fn what_kills_alone_is_condemned_and_nobody_beside_it() {
    let poison = [3, 4, 11];
    let mut bed = Bed::new(12, &poison);
    let mut condemned = Vec::new();
    for _ in 0..3 + poison.len() + 1 {
        bed.live(Blame::Crash);
        let Some(one) = bed.table.condemn(Status::IoError) else {
            continue;
        };
        let finished = one.finished.unwrap();
        assert_eq!(one.client, ClientId(finished.cookie));
        assert_eq!((one.operation, one.length), (Operation::Write, 512));
        assert_eq!(one.offset, finished.cookie * 512);
        assert_eq!(finished.status, Status::IoError);
        condemned.push(finished.cookie);
    }
    assert_eq!(condemned, poison);
    // Each cost one death beside those of the whole batch.
    assert_eq!((bed.deaths, bed.answered.len()), (6, 9));
    assert!(bed.table.is_empty());
    // A hang condemns, too, and sooner.
    let mut bed = Bed::new(12, &[5]);
    bed.live(Blame::Hang);
    assert!(bed.table.condemn(Status::IoError).is_none());
    bed.live(Blame::Hang);
    assert_eq!(bed.table.condemn(Status::IoError).unwrap().offset, 5 * 512);
    bed.live(Blame::Hang);
    assert_eq!((bed.deaths, bed.answered.len()), (2, 11));
}

#[test]
fn a_death_beside_others_condemns_nobody() {
    let mut bed = suspects(2);
    // Killed while it held one alone, and that was answered before the next died.
    bed.table.blame(Blame::Crash);
    bed.device.crash(&mut bed.table);
    bed.table.set_trials(false);
    bed.table
        .submit(ClientId(3), request(3, Operation::Read, 0, 512));
    bed.device.take_all(&mut bed.table);
    bed.table.blame(Blame::Crash);
    bed.device.crash(&mut bed.table);
    assert!(bed.table.condemn(Status::IoError).is_none());
    // A request whose client is gone by then is not condemned, either.
    let mut bed = suspects(1);
    bed.table.blame(Blame::Crash);
    bed.device.crash(&mut bed.table);
    bed.table.forget(ClientId(1));
    assert!(bed.table.condemn(Status::IoError).is_none());
    assert!(bed.table.is_empty());
}

#[test]
fn how_many_deaths_it_takes_can_be_chosen() {
    for after in [1, 2, 7] {
        let limits = Limits {
            suspect_after: after,
            ..Limits::default()
        };
        let mut bed = Bed::with(limits, 12, &[7]);
        while bed.table.condemn(Status::IoError).is_none() {
            bed.live(Blame::Crash);
        }
        assert_eq!(bed.deaths, usize::from(after) + 1);
        bed.live(Blame::Crash);
        assert_eq!(bed.answered.len(), 11);
    }
}

/// Makes suspects by three crashes with all of them, so that they are offered one by one.
fn suspects(count: u64) -> Bed {
    let mut bed = Bed::new(count, &[]);
    for _ in 0..3 {
        bed.device.take_all(&mut bed.table);
        bed.table.blame(Blame::Crash);
        bed.device.crash(&mut bed.table);
    }
    bed.device.take_all(&mut bed.table);
    assert_eq!(bed.device.entries.len(), 1);
    bed
}

#[test]
fn while_none_is_tried_the_others_go_on() {
    let mut bed = suspects(2);
    assert!(bed.table.tries_suspect());
    bed.table.set_trials(false);
    bed.device.crash(&mut bed.table);
    assert!(!bed.table.has_waiting());
    for cookie in 3..6 {
        let new = request(cookie, Operation::Write, cookie * 512, 512);
        bed.table.submit(ClientId(3), new);
    }
    bed.device.take_all(&mut bed.table);
    assert_eq!(bed.device.entries.len(), 3);
    assert!(!bed.table.tries_suspect());
    // Requests that wait when they are tried again go first.
    let new = request(6, Operation::Write, 6 * 512, 512);
    bed.table.submit(ClientId(3), new);
    bed.table.set_trials(true);
    let new = request(7, Operation::Write, 7 * 512, 512);
    bed.table.submit(ClientId(3), new);
    let answered = run_dry(&mut bed.device, &mut bed.table);
    let cookies: Vec<_> = answered.iter().map(|a| a.cookie).collect();
    assert_eq!(cookies.len(), 7);
    assert_eq!(cookies[4..], [1, 2, 7]);
}

#[test]
fn a_suspect_that_keeps_the_device_waiting_is_none() {
    let mut bed = suspects(12);
    bed.table.acquit();
    bed.device.take_all(&mut bed.table);
    assert_eq!(bed.device.entries.len(), 12);
    // A device that waits without one being tried says nothing about them.
    let mut bed = suspects(12);
    bed.device.crash(&mut bed.table);
    bed.table.acquit();
    bed.device.take_all(&mut bed.table);
    assert_eq!(bed.device.entries.len(), 1);
}

#[test]
fn a_suspect_whose_client_left_keeps_nobody_waiting() {
    let mut bed = suspects(1);
    bed.table
        .submit(ClientId(2), request(2, Operation::Read, 0, 512));
    bed.device.take_all(&mut bed.table);
    assert_eq!(bed.device.entries.len(), 1);
    bed.table.forget(ClientId(1));
    bed.device.take_all(&mut bed.table);
    assert_eq!(bed.device.entries.len(), 2);
}

#[test]
fn a_flush_does_not_wait_for_a_suspect() {
    let mut bed = Bed::new(1, &[1]);
    for _ in 0..3 {
        bed.live(Blame::Crash);
    }
    bed.table
        .submit(ClientId(2), request(2, Operation::Flush, 0, 0));
    // It is offered again, behind a write before it that may never be carried out.
    bed.device.crash(&mut bed.table);
    bed.live(Blame::Crash);
    assert_eq!(bed.answered, [2]);
}

#[test]
fn a_suspect_in_several_pieces_is_tried_with_all_of_them() {
    let mut bed = suspects(1);
    let (tag, area) = (bed.device.entries[0].tag, &mut bed.device.area);
    let _ = bed.table.complete(tag, Status::Ok, &[]).unwrap();
    *area = Area::new(0, 64 << 10);
    bed.device.entries.clear();
    bed.table
        .submit(ClientId(1), request(2, Operation::Write, 3, 12_000));
    for _ in 0..2 {
        bed.device.take_all(&mut bed.table);
        bed.table.blame(Blame::Hang);
        bed.device.crash(&mut bed.table);
    }
    bed.table
        .submit(ClientId(1), request(3, Operation::Read, 0, 512));
    let answered = run_dry(&mut bed.device, &mut bed.table);
    let mut cookies: Vec<_> = answered.iter().map(|a| a.cookie).collect();
    cookies.sort_unstable();
    assert_eq!(cookies, [2, 3]);
    assert_eq!(bed.device.contents[3..12_003], [2; 12_000]);
}

//! What a disk may hold, when several requests are under way at a time and a request
//! may be carried out more than once: for each sector, the writes of which one must be
//! what a read returns.

use std::collections::HashMap;

use vcp_iscsi_initiator::{Operation, Request, Status};

const SECTOR: u64 = 512;

/// Names a write; 0 is what was there at first.
type Stamp = u16;

pub(super) struct Model {
    /// For each sector, the writes that it may hold.
    sectors: Vec<Vec<Stamp>>,
    writes: Vec<Write>,
    /// By tag.
    pub(super) outstanding: HashMap<u64, Pending>,
    clock: u32,
}

/// What a request may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// It lies on the disk, and means what it says.
    Sense,
    /// It can't be carried out.
    Refusal,
    /// The target lies, so anything may happen.
    Anything,
}

/// A write, a discard or a zeroing.
struct Write {
    submitted: u32,
    completed: Option<u32>,
    zero: bool,
}

pub(super) struct Pending {
    pub(super) request: Request,
    stamp: Stamp,
    /// For a read: what each of its sectors may hold, at any time since.
    seen: Vec<Vec<Stamp>>,
    expect: Expect,
}

impl Model {
    pub(super) fn new(size: u64) -> Self {
        let first = Write {
            submitted: 0,
            completed: Some(0),
            zero: true,
        };
        let sectors = vec![vec![0]; (size / SECTOR) as usize];
        Self {
            sectors,
            writes: vec![first],
            outstanding: HashMap::new(),
            clock: 0,
        }
    }

    /// A request goes out. Returns what to fill the data of a write with.
    pub(super) fn submit(&mut self, request: Request, expect: Expect) -> Vec<u8> {
        self.clock += 1;
        let range = if expect == Expect::Sense {
            sectors(&request)
        } else {
            0..0
        };
        let (mut stamp, mut seen) = (0, Vec::new());
        match request.operation {
            Operation::Read => seen.extend_from_slice(&self.sectors[range]),
            Operation::Flush => {}
            operation => {
                stamp = self.writes.len() as Stamp;
                let zero = operation != Operation::Write;
                self.writes.push(Write {
                    submitted: self.clock,
                    completed: None,
                    zero,
                });
                self.sectors[range.clone()]
                    .iter_mut()
                    .for_each(|s| s.push(stamp));
                for read in self.outstanding.values_mut().filter(|p| !p.seen.is_empty()) {
                    let first = (read.request.offset / SECTOR) as usize;
                    for (sector, seen) in (first..).zip(&mut read.seen) {
                        if range.contains(&sector) {
                            seen.push(stamp);
                        }
                    }
                }
            }
        }
        let data = self.content(stamp, request.length as usize);
        let old = self.outstanding.insert(
            request.tag,
            Pending {
                request,
                stamp,
                seen,
                expect,
            },
        );
        assert!(old.is_none());
        data
    }

    /// A request has ended. `data` is what a read returned.
    pub(super) fn complete(&mut self, tag: u64, status: Status, data: &[u8]) {
        self.clock += 1;
        let pending = self
            .outstanding
            .remove(&tag)
            .expect("an outstanding request");
        let request = pending.request;
        let ok = status == Status::Ok;
        assert!(
            !ok || pending.expect != Expect::Refusal,
            "{request:?} makes no sense"
        );
        if pending.expect != Expect::Sense {
            return;
        }
        if request.operation == Operation::Read {
            if ok {
                self.check_read(&pending, data);
            }
        } else if pending.stamp != 0 {
            self.writes[usize::from(pending.stamp)].completed = Some(self.clock);
            // A discard may leave everything as it was.
            if ok && request.operation != Operation::Discard {
                self.supersede(&pending);
            }
        }
    }

    /// What had been completed before this write was submitted is gone.
    fn supersede(&mut self, pending: &Pending) {
        let writes = &self.writes;
        let since = writes[usize::from(pending.stamp)].submitted;
        for sector in &mut self.sectors[sectors(&pending.request)] {
            sector.retain(|&stamp| {
                let other = &writes[usize::from(stamp)];
                stamp == pending.stamp || other.completed.is_none_or(|at| at >= since)
            });
        }
    }

    fn check_read(&self, read: &Pending, data: &[u8]) {
        for (n, (sector, seen)) in data.chunks(SECTOR as usize).zip(&read.seen).enumerate() {
            let possible = seen
                .iter()
                .any(|&stamp| self.content(stamp, sector.len()) == sector);
            assert!(
                possible,
                "{:?}: sector {n} begins {:02x?}, may hold writes {seen:?}",
                read.request,
                &sector[..4]
            );
        }
    }

    fn content(&self, stamp: Stamp, length: usize) -> Vec<u8> {
        if self.writes[usize::from(stamp)].zero {
            return vec![0; length];
        }
        stamp
            .to_be_bytes()
            .into_iter()
            .cycle()
            .take(length)
            .collect()
    }

    /// No more writes can be told apart.
    pub(super) fn is_full(&self) -> bool {
        self.writes.len() >= 1000
    }
}

fn sectors(request: &Request) -> std::ops::Range<usize> {
    let end = request.offset + u64::from(request.length);
    (request.offset / SECTOR) as usize..end.div_ceil(SECTOR) as usize
}

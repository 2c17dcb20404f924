//! An initiator and a scripted target, joined by a wire without delay, in virtual
//! time.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of test files")]

pub mod disk;
pub mod peer;

use std::collections::BTreeMap;

use vcp_iscsi_initiator::*;

pub use disk::Disk;
pub use peer::{Peer, Settings};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1000 * MS;
/// The first address of spans, so that an address of 0 is a mistake.
const BASE: u32 = 0x1_0000;

pub struct Ram(pub Vec<u8>);

impl Memory for Ram {
    fn bytes(&self, span: Span) -> &[u8] {
        let start = (span.address - BASE) as usize;
        &self.0[start..start + span.length as usize]
    }
    fn bytes_mut(&mut self, span: Span) -> &mut [u8] {
        let start = (span.address - BASE) as usize;
        &mut self.0[start..start + span.length as usize]
    }
}

pub struct Pair {
    pub initiator: Initiator,
    pub peer: Peer,
    pub memory: Ram,
    pub now: u64,
    pub actions: Vec<Action>,
    pub completed: BTreeMap<u64, Status>,
    /// Whether the target accepts connections, and whether there is one.
    pub reachable: bool,
    /// A portal that does not accept connections, even if the others do.
    pub dead: Option<core::net::SocketAddr>,
    /// Whether the link is down: everything sent is lost, unnoticed.
    pub dark: bool,
    pub open: bool,
    pub connects: Vec<core::net::SocketAddr>,
    /// Sizes of the pieces in which bytes arrive, either way.
    pub to_initiator: usize,
    pub to_target: usize,
    /// Bytes after which the connection breaks, either way.
    pub budget: Option<usize>,
    next_tag: u64,
}

pub fn config(extra: &[(&str, &str)]) -> Config {
    let basic = [
        ("portal", "10.0.0.1:3260"),
        ("target", "iqn.2026-11.example:disk"),
        ("lun", "1"),
        ("instance", "test"),
    ];
    let pairs = basic.iter().chain(extra).copied();
    Config::parse(pairs)
        .expect("a good configuration")
        .with_queue_depth(32)
}

impl Pair {
    pub fn new(config: Config, settings: Settings, disk: Disk) -> Self {
        Self {
            initiator: Initiator::new(config, [7; 32], SECOND),
            peer: Peer::new(settings, disk),
            memory: Ram(vec![0; 16 << 20]),
            now: SECOND,
            actions: Vec::new(),
            completed: BTreeMap::new(),
            reachable: true,
            dead: None,
            dark: false,
            open: false,
            connects: Vec::new(),
            to_initiator: usize::MAX,
            to_target: 1 << 16,
            budget: None,
            next_tag: 1,
        }
    }

    pub fn plain() -> Self {
        Self::new(config(&[]), Settings::default(), Disk::new(512, 1 << 20))
    }

    /// Waits until it is ready; otherwise the test fails.
    pub fn ready(mut self) -> Self {
        self.run();
        self.geometry();
        self
    }

    /// The last geometry announced.
    pub fn geometry(&self) -> Geometry {
        let ready = self.actions.iter().rev().find_map(|action| match action {
            Action::Ready(geometry) => Some(geometry.clone()),
            _ => None,
        });
        ready.unwrap_or_else(|| panic!("never ready: {:#?}", self.actions))
    }

    pub fn readies(&self) -> usize {
        self.actions
            .iter()
            .filter(|a| matches!(a, Action::Ready(_)))
            .count()
    }

    pub fn suspended(&self) -> Vec<String> {
        let lines = self.actions.iter().filter_map(|action| match action {
            Action::Suspended(line) => Some(line.clone()),
            _ => None,
        });
        lines.collect()
    }

    pub fn failed(&self) -> Option<String> {
        self.actions.iter().find_map(|action| match action {
            Action::Failed(line) => Some(line.clone()),
            _ => None,
        })
    }

    pub fn submit(&mut self, operation: Operation, offset: u64, length: u32, data: u32) -> u64 {
        self.submit_with(operation, offset, length, data, false)
    }

    pub fn submit_with(
        &mut self,
        operation: Operation,
        offset: u64,
        length: u32,
        data: u32,
        fua: bool,
    ) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        let has_data = matches!(operation, Operation::Read | Operation::Write);
        let request = Request {
            tag,
            operation,
            fua,
            no_unmap: false,
            offset,
            length,
            data: Span {
                address: BASE + data,
                length: if has_data { length } else { 0 },
            },
        };
        self.initiator.submit(self.now, request);
        tag
    }

    pub fn read(&mut self, offset: u64, length: u32, data: u32) -> u64 {
        self.submit(Operation::Read, offset, length, data)
    }

    pub fn write(&mut self, offset: u64, length: u32, data: u32) -> u64 {
        self.submit(Operation::Write, offset, length, data)
    }

    /// Submits, runs and returns the status.
    pub fn finish(&mut self, tag: u64) -> Status {
        self.run();
        *self
            .completed
            .get(&tag)
            .unwrap_or_else(|| panic!("request {tag} is not complete: {:#?}", self.actions))
    }

    /// Runs until nothing happens any more without advancing time.
    pub fn run(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                return;
            }
        }
        panic!("no end: {:#?}", &self.actions[self.actions.len() - 20..]);
    }

    /// Runs, and lets timers expire, until the time `when`.
    pub fn run_until(&mut self, when: u64) {
        self.run();
        while let Some(deadline) = self.initiator.next_deadline().filter(|&d| d <= when) {
            self.now = self.now.max(deadline);
            self.initiator.handle_timeout(self.now);
            self.run();
        }
        self.now = when;
    }

    pub fn run_for(&mut self, time: u64) {
        self.run_until(self.now + time);
    }

    pub fn cut(&mut self, reason: &str) {
        self.open = false;
        self.initiator.disconnected(self.now, reason);
    }

    pub fn step(&mut self) -> bool {
        let mut progress = self.actions();
        let mut buffer = vec![0; self.to_target];
        if self.open {
            let wanted = self.initiator.wants_transmit();
            let count = self.initiator.transmit(self.now, &mut buffer, &self.memory);
            assert_eq!(wanted, count > 0, "wants_transmit tells what transmit does");
            if count > 0 {
                progress = true;
                if self.spend(count) {
                    return true;
                }
                if !self.dark {
                    self.peer.receive(&buffer[..count]);
                }
            }
        }
        if self.open && !self.dark && !self.peer.out.is_empty() {
            progress = true;
            let count = self.peer.out.len().min(self.to_initiator);
            let bytes: Vec<u8> = self.peer.out.drain(..count).collect();
            if self.spend(count) {
                return true;
            }
            self.initiator.receive(self.now, &bytes, &mut self.memory);
        }
        self.actions() || progress
    }

    /// Counts bytes against the budget; `true` when the connection broke.
    fn spend(&mut self, count: usize) -> bool {
        let Some(budget) = &mut self.budget else {
            return false;
        };
        if *budget > count {
            *budget -= count;
            return false;
        }
        self.budget = None;
        self.cut("reset by peer");
        true
    }

    fn actions(&mut self) -> bool {
        let mut any = false;
        while let Some(action) = self.initiator.poll_action() {
            any = true;
            match &action {
                Action::Connect { address } => {
                    assert!(!self.open, "one connection at a time");
                    self.connects.push(*address);
                    if self.dark {
                        // A dead portal does not answer at all.
                    } else if self.reachable && self.dead != Some(*address) {
                        self.open = true;
                        self.peer.accept();
                        self.initiator.connected(self.now);
                    } else {
                        self.initiator.disconnected(self.now, "connection refused");
                    }
                }
                Action::Close { .. } => self.open = false,
                Action::Complete { tag, status } => {
                    let before = self.completed.insert(*tag, *status);
                    assert_eq!(before, None, "request {tag} completed twice");
                }
                _ => {}
            }
            self.actions.push(action);
        }
        any
    }

    pub fn fill(&mut self, at: u32, length: u32, seed: u8) {
        for n in 0..length {
            self.memory.0[(at + n) as usize] = (n as u8)
                .wrapping_mul(31)
                .wrapping_add((n >> 8) as u8)
                .wrapping_add(seed);
        }
    }

    pub fn bytes(&self, at: u32, length: u32) -> &[u8] {
        &self.memory.0[at as usize..(at + length) as usize]
    }
}

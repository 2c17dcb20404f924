//! The initiator, the target, and the wire between them.

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_initiator::{Action, Geometry, Initiator, Request, Status};
use vcp_target::lun::{Faults, LogicalUnit};
use vcp_target::{Connection, Target};

use super::hostile::Sniffer;

use super::model::{Expect, Model};
use super::options::{Options, PASSWORD};
use crate::script::Script;
use crate::slots::Slots;
use crate::trace::trace;
use crate::unit;

const SIZE: u64 = 1 << 18;

/// Rounds in which everything in flight arrives, until nothing more happens.
const MAX_ROUNDS: usize = 5000;

/// Timers that may have to run out before all requests are completed.
const MAX_TIMERS: usize = 2000;

pub(super) struct World {
    pub(super) hostile: bool,
    read_only: bool,
    initiator: Initiator,
    memory: Slots,
    model: Model,
    target: Arc<Target>,
    unit: Arc<LogicalUnit>,
    connection: Option<Connection>,
    /// Bytes in flight to the target and to the initiator.
    up: Vec<u8>,
    pub(super) down: Vec<u8>,
    pub(super) sniffer: Sniffer,
    now: u64,
    connecting: bool,
    refuse: bool,
    ready: Option<Geometry>,
    stopping: bool,
    stopped: bool,
    over: bool,
    next_tag: u64,
}

impl World {
    pub(super) fn new(script: &mut Script<'_>) -> Self {
        let options = Options::read(script);
        let (target, unit) = unit::target(options.target, SIZE, options.unit);
        if options.hostile {
            target.set_faults(super::hostile::faults(script));
        }
        // Far from 0, so that a time from before the start would show.
        let now = 1 << 40;
        let mut world = Self {
            hostile: options.hostile,
            read_only: options.read_only,
            initiator: Initiator::new(options.config, [7; 32], now),
            memory: Slots::new(12, 4 * 4096),
            model: Model::new(SIZE),
            target,
            unit,
            connection: None,
            up: Vec::new(),
            down: Vec::new(),
            sniffer: Sniffer::default(),
            now,
            connecting: false,
            refuse: false,
            ready: None,
            stopping: false,
            stopped: false,
            over: false,
            next_tag: 1,
        };
        world.act();
        world
    }

    fn time(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Does what the initiator wants done.
    fn act(&mut self) {
        // Every request once, and a bounded number of other things.
        let most = self.model.outstanding.len() + 64;
        for n in 0.. {
            let Some(action) = self.initiator.poll_action() else {
                return;
            };
            trace!("{} {action:?}", self.now);
            assert!(n < most, "no end of actions");
            self.take_action(action);
        }
    }

    fn take_action(&mut self, action: Action) {
        match action {
            Action::Connect { .. } => {
                assert!(!self.connecting && self.connection.is_none() && !self.over);
                self.connecting = true;
            }
            Action::Close { .. } => {
                assert!(self.connecting || self.connection.is_some());
                self.connecting = false;
                self.hang_up();
            }
            Action::Complete { tag, status } => self.complete(tag, status),
            Action::Ready(geometry) => {
                assert!(!self.over);
                assert!(geometry.block_size.is_power_of_two() && geometry.block_size >= 512);
                assert!(geometry.size.is_multiple_of(geometry.block_size.into()));
                assert!(self.hostile || geometry.size == SIZE, "{geometry:?}");
                assert!(self.hostile || geometry.read_only == self.read_only);
                self.ready = Some(geometry);
            }
            Action::Suspended(line)
            | Action::LowSpace(line)
            | Action::Log { message: line, .. } => check_line(&line),
            Action::Failed(line) => {
                check_line(&line);
                assert!(
                    !self.over && self.model.outstanding.is_empty(),
                    "requests are left"
                );
                self.over = true;
            }
            Action::Stopped => {
                // A stop is answered even after a failure.
                assert!(self.stopping && !self.stopped);
                self.stopped = true;
                self.over = true;
                // These must never be heard of again; their memory is gone.
                for (_, pending) in self.model.outstanding.drain() {
                    self.memory.free(pending.request.data);
                }
            }
        }
    }

    pub(super) fn submit(&mut self, request: Request) {
        if self.model.is_full() {
            return;
        }
        let Some(data) = self.memory.take(request.operation, request.length) else {
            return;
        };
        let request = Request {
            tag: self.next_tag,
            data,
            ..request
        };
        self.next_tag += 1;
        let end = request.offset + u64::from(request.length);
        let geometry = self.ready.as_ref().filter(|_| !self.over && !self.stopping);
        let inside =
            |g: &Geometry| end <= g.size && request.offset.is_multiple_of(g.block_size.into());
        let expect = match geometry.is_some_and(inside) {
            _ if self.hostile => Expect::Anything,
            true => Expect::Sense,
            false => Expect::Refusal,
        };
        let fill = self.model.submit(request, expect);
        self.memory.owned(data).copy_from_slice(&fill);
        trace!("{} {request:?}", self.now);
        self.initiator.submit(self.now, request);
        self.act();
    }

    fn complete(&mut self, tag: u64, status: Status) {
        let pending = self.model.outstanding.get(&tag);
        let span = pending
            .unwrap_or_else(|| panic!("tag {tag} isn't outstanding"))
            .request
            .data;
        let data = self.memory.owned(span).to_vec();
        self.model.complete(tag, status, &data);
        self.memory.free(span);
    }

    /// Lets the initiator fill a buffer.
    pub(super) fn transmit(&mut self, room: usize) -> bool {
        let mut buffer = vec![0; room];
        let wants = self.initiator.wants_transmit();
        let count = self.initiator.transmit(self.now, &mut buffer, &self.memory);
        assert!(count <= room);
        assert_eq!(
            count > 0,
            wants && room > 0,
            "transmit and wants_transmit disagree"
        );
        self.sniffer.up(&buffer[..count]);
        self.up.extend_from_slice(&buffer[..count]);
        self.act();
        count > 0
    }

    /// Carries bytes to the target, and a connection that was asked for.
    pub(super) fn carry_up(&mut self, most: usize) -> bool {
        if std::mem::take(&mut self.connecting) {
            if std::mem::take(&mut self.refuse) {
                self.initiator.disconnected(self.now, "refused");
            } else {
                let target = Arc::clone(&self.target);
                let (portal, peer) = ("10.0.0.1:3260", "10.0.0.2");
                self.connection = Some(Connection::new(target, portal, peer, self.time()));
                self.sniffer = Sniffer::default();
                self.initiator.connected(self.now);
            }
            self.act();
            return true;
        }
        let now = self.time();
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let bytes: Vec<u8> = self.up.drain(..most.min(self.up.len())).collect();
        connection.receive(now, &bytes);
        !bytes.is_empty()
    }

    /// Carries bytes to the initiator.
    pub(super) fn carry_down(&mut self, most: usize) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let said = connection.output();
        self.sniffer.down(said);
        self.down.extend_from_slice(said);
        let count = said.len();
        connection.sent(count);
        let over = connection.is_over();
        let bytes: Vec<u8> = self.down.drain(..most.min(self.down.len())).collect();
        if !bytes.is_empty() {
            self.initiator.receive(self.now, &bytes, &mut self.memory);
            self.act();
        } else if over && most > 0 {
            self.cut_wire();
            return true;
        }
        !bytes.is_empty()
    }

    /// Everything in flight arrives, until nothing more happens.
    pub(super) fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let mut moved = self.transmit(4096);
            moved |= self.carry_up(usize::MAX);
            moved |= self.carry_down(usize::MAX);
            if !moved {
                return;
            }
        }
        assert!(self.hostile, "no end of talk");
    }

    /// The next timer of either side runs out.
    pub(super) fn timeout(&mut self) {
        let theirs = self.connection.as_ref().and_then(Connection::deadline);
        let theirs = theirs.map(|at| at.as_nanos() as u64);
        let next = [self.initiator.next_deadline(), theirs]
            .into_iter()
            .flatten()
            .min();
        if let Some(next) = next {
            self.wait(next.saturating_sub(self.now));
        }
    }

    pub(super) fn wait(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        self.initiator.handle_timeout(self.now);
        let next = self.initiator.next_deadline();
        assert!(next.is_none_or(|at| at > self.now), "a timer stands still");
        self.act();
        let now = self.time();
        if let Some(connection) = &mut self.connection {
            connection.tick(now);
        }
    }

    fn hang_up(&mut self) {
        self.connection = None;
        self.up.clear();
        self.down.clear();
    }

    pub(super) fn cut_wire(&mut self) {
        if self.connection.is_some() {
            self.hang_up();
            self.initiator.disconnected(self.now, "cut");
            self.act();
        }
    }

    pub(super) fn refuse_next(&mut self) {
        // Before the first `Ready` that would be the end.
        self.refuse = self.ready.is_some();
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.initiator.stop(self.now);
        self.act();
    }

    /// What the target's owner, or its disk, does.
    pub(super) fn order(&mut self, script: &mut Script<'_>) {
        match script.byte() % 6 {
            0 => self.target.ping(),
            1 => self.target.request_logout(script.byte().into()),
            2 => self.target.drop_sessions(),
            3 => self.target.drop_connections(),
            4 => {
                let block = u64::from(script.short());
                let every = 2 + u32::from(script.byte() % 8);
                self.unit.set_faults(Faults {
                    medium_errors: std::iter::once(block..block + 1).collect(),
                    busy_every: std::num::NonZeroU32::new(every),
                    write_delay: Duration::from_millis(script.byte().into()),
                    ..Faults::default()
                });
            }
            _ => self.unit.set_faults(Faults::default()),
        }
        self.wait(0);
    }

    /// With an honest target, everything comes to an end.
    pub(super) fn finish(mut self) {
        self.unit.set_faults(Faults::default());
        self.settle();
        for _ in 0..MAX_TIMERS {
            if self.hostile || self.over || self.model.outstanding.is_empty() {
                break;
            }
            self.timeout();
            self.settle();
        }
        if self.hostile {
            return;
        }
        assert!(
            self.model.outstanding.is_empty(),
            "requests are never completed"
        );
        let violations = self.target.violations();
        assert!(violations.is_empty(), "{violations:?}");
    }
}

/// What is logged is one line without a secret.
fn check_line(line: &str) {
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(!line.contains(PASSWORD), "{line:?}");
}

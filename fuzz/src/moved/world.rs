//! The initiator, the responder, the wire between them, and time.

use vcp_iscsi_initiator::{Action, Initiator, Operation, Request, Span, Status};

use super::ledger::{BLOCK, BLOCKS_PER_TAG, Ledger};
use super::pattern::Source;
use super::peer::Peer;
use super::settings::Settings;
use crate::script::Script;
use crate::slots::Slots;
use crate::trace::trace;

/// Requests outstanding at a time, and blocks of the longest.
const REQUESTS: usize = 6;
const BLOCKS: u32 = 16;

/// Rounds in which everything in flight arrives, until nothing more happens.
const MAX_ROUNDS: usize = 1000;

/// Timers that may run out before all requests are completed, and the time in which they
/// must be, in nanoseconds.
const MAX_TIMERS: usize = 5000;
const PATIENCE: u64 = 200_000_000_000;

pub(super) struct World {
    pub(super) settings: Settings,
    initiator: Initiator,
    memory: Slots,
    pub(super) ledger: Ledger,
    /// The responder, as long as there is a connection.
    pub(super) peer: Option<Peer>,
    /// How much has arrived of the PDU on its way to the initiator.
    arrived: usize,
    connecting: bool,
    /// Connections to be refused.
    pub(super) refuse: u32,
    /// The responder is honest from here on.
    honest: bool,
    ready: bool,
    now: u64,
    next_tag: u64,
    /// How the last request ended.
    last: Option<(u64, Status)>,
    buffer: Vec<u8>,
}

impl World {
    /// Up to where requests are served.
    pub(super) fn new(script: &mut Script<'_>) -> Self {
        let settings = Settings::read(script);
        // Far from 0, so that a time from before the start would show.
        let now = 1 << 40;
        let mut world = Self {
            initiator: Initiator::new(settings.config(), [7; 32], now),
            memory: Slots::new(REQUESTS, (BLOCKS * BLOCK) as usize),
            ledger: Ledger::new(settings.cache),
            settings,
            peer: None,
            arrived: 0,
            connecting: false,
            refuse: 0,
            honest: false,
            ready: false,
            now,
            next_tag: 1,
            last: None,
            buffer: vec![0; 16 << 10],
        };
        trace!("{:?}", world.settings);
        world.act();
        world.pump();
        assert!(world.ready, "an honest login and survey");
        world
    }

    /// Does what the initiator wants done.
    fn act(&mut self) {
        // Every request once, and a bounded number of other things.
        let most = self.ledger.outstanding() + 64;
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
                assert!(!self.connecting && self.peer.is_none());
                self.connecting = true;
            }
            Action::Close { .. } => {
                assert!(self.connecting || self.peer.is_some());
                self.connecting = false;
                self.ledger.honest = false;
                self.hang_up();
            }
            Action::Complete { tag, status } => self.complete(tag, status),
            Action::Ready(_) => self.ready = true,
            Action::Suspended(line)
            | Action::LowSpace(line)
            | Action::Log { message: line, .. } => {
                assert!(!line.contains(char::is_control), "{line:?}");
            }
            // Nothing that is said about commands makes another disk of it.
            Action::Failed(line) => panic!("it gives up: {line}"),
            Action::Stopped => panic!("stopped without being asked"),
        }
    }

    pub(super) fn submit(&mut self, operation: Operation, blocks: u32, fua: bool, keep: bool) {
        let length = match operation {
            Operation::Flush => 0,
            _ => blocks * BLOCK,
        };
        let Some(data) = self.memory.take(operation, length) else {
            return;
        };
        let tag = self.next_tag;
        self.next_tag += 1;
        let room = self.memory.owned(data);
        match operation {
            Operation::Read => Source::Stale(tag).fill(0, room),
            Operation::Write => Source::Owner(tag).fill(0, room),
            _ => {}
        }
        let request = Request {
            tag,
            operation,
            fua,
            no_unmap: keep,
            offset: match length {
                0 => 0,
                _ => tag * BLOCKS_PER_TAG * u64::from(BLOCK),
            },
            length,
            data,
        };
        trace!("{} {request:?}", self.now);
        self.ledger.submitted(request);
        self.initiator.submit(self.now, request);
        self.act();
    }

    fn complete(&mut self, tag: u64, status: Status) {
        let none = Span::default();
        let span = self
            .ledger
            .request(tag)
            .map_or(none, |request| request.data);
        let room = self.memory.owned(span);
        let request = self.ledger.completed(tag, status, room);
        self.memory.free(request.data);
        self.last = Some((tag, status));
    }

    /// Lets the initiator fill a buffer, which reaches the responder at once.
    fn transmit(&mut self, room: usize) -> bool {
        let buffer = &mut self.buffer[..room];
        let wants = self.initiator.wants_transmit();
        let count = self.initiator.transmit(self.now, buffer, &self.memory);
        assert!(count <= room);
        assert_eq!(
            count > 0,
            wants && room > 0,
            "transmit and wants_transmit disagree"
        );
        if let Some(peer) = &mut self.peer {
            peer.receive(&buffer[..count], &self.settings, &mut self.ledger);
            self.ledger.honest &= peer.aborts == 0;
            peer.go_on(&self.settings, &mut self.ledger);
        }
        self.act();
        count > 0
    }

    /// Carries up to so many bytes of the first PDU to the initiator.
    fn deliver(&mut self, most: usize) -> bool {
        let Some(peer) = &mut self.peer else {
            return false;
        };
        let Some(sent) = peer.down.front() else {
            return false;
        };
        let rest = sent.bytes.len() - self.arrived;
        let (from, note) = (self.arrived, sent.note);
        if rest > most {
            self.arrived += most;
            let bytes = sent.bytes[from..][..most].to_vec();
            self.initiator.receive(self.now, &bytes, &mut self.memory);
            self.act();
            return most > 0;
        }
        let bytes = peer.down.pop_front().map(|sent| sent.bytes);
        self.arrived = 0;
        if let Some(range) = note.data {
            self.ledger
                .attempt(note.attempt)
                .moved
                .add(range.0, range.1);
        }
        if let Some(outcome) = note.end {
            self.ledger.ended(note.attempt, outcome);
            peer.forget(note.attempt);
        }
        let bytes = &bytes.unwrap_or_default()[from..];
        self.initiator.receive(self.now, bytes, &mut self.memory);
        self.act();
        true
    }

    /// Some bytes in either direction, and no more.
    pub(super) fn carry(&mut self, up: u8, down: u8) {
        self.connect();
        self.transmit(usize::from(up));
        self.deliver(usize::from(down) * 8);
    }

    /// Answers the wish for a connection.
    fn connect(&mut self) -> bool {
        if !std::mem::take(&mut self.connecting) {
            return false;
        }
        if self.refuse > 0 {
            self.refuse -= 1;
            self.initiator.disconnected(self.now, "refused");
        } else {
            self.peer = Some(Peer::new(&self.settings, self.honest));
            self.initiator.connected(self.now);
        }
        self.act();
        true
    }

    /// Everything in flight arrives, until nothing more happens.
    pub(super) fn pump(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let mut moved = self.connect();
            moved |= self.transmit(self.buffer.len());
            while self.deliver(usize::MAX) {
                moved = true;
            }
            if !moved {
                return;
            }
        }
        panic!("no end of talk");
    }

    /// The next timer runs out.
    pub(super) fn timeout(&mut self) {
        if let Some(next) = self.initiator.next_deadline() {
            self.wait(next.saturating_sub(self.now));
        }
    }

    pub(super) fn wait(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        self.initiator.handle_timeout(self.now);
        let next = self.initiator.next_deadline();
        assert!(next.is_none_or(|at| at > self.now), "a timer stands still");
        self.act();
    }

    fn hang_up(&mut self) {
        self.peer = None;
        self.arrived = 0;
    }

    /// The connection is lost.
    pub(super) fn cut(&mut self) {
        self.ledger.honest = false;
        if self.peer.is_some() {
            self.hang_up();
            self.initiator.disconnected(self.now, "cut");
            self.act();
        }
    }

    pub(super) fn all_honest(&mut self) {
        if let Some(peer) = &mut self.peer {
            for task in &mut peer.tasks {
                task.honest = true;
            }
            peer.go_on(&self.settings, &mut self.ledger);
        }
    }

    /// The responder is honest from here on: all that is outstanding ends, and what comes
    /// then is done.
    pub(super) fn finish(mut self) {
        trace!("{} the responder turns honest", self.now);
        self.honest = true;
        self.refuse = 0;
        let mute = self.peer.as_ref().is_some_and(|peer| peer.mute);
        if mute || self.settings.cut_at_end {
            self.cut();
        }
        if let Some(peer) = &mut self.peer {
            peer.turn_honest();
            peer.go_on(&self.settings, &mut self.ledger);
        }
        self.until_done();
        for operation in [Operation::Write, Operation::Read] {
            let tag = self.next_tag;
            self.submit(operation, 3, false, false);
            self.until_done();
            assert_eq!(self.last, Some((tag, Status::Ok)), "{operation:?}");
        }
    }

    fn until_done(&mut self) {
        let end = self.now + PATIENCE;
        for _ in 0..MAX_TIMERS {
            self.pump();
            if self.ledger.outstanding() == 0 {
                return;
            }
            let next = self.initiator.next_deadline();
            assert!(
                next.is_some_and(|next| next < end),
                "requests are never completed"
            );
            self.timeout();
        }
        panic!("requests are never completed");
    }
}

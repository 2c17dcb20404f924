//! A client that makes load and checks every answer: one end of it is polled by
//! the channel processor, the other steered by the campaign.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use vcp_queue::{Answer, Client, ClientError, ClientRequest, Flushed, Operation, Status, Submit};

use super::Tally;
use super::content::{BLOCK, fill, version_of};
use super::model::{Ended, Model, Read, Write};
use super::request::{LARGEST, Wanted};
use crate::random::Random;

/// The load a client makes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Quiet,
    /// So many requests in flight.
    Full(usize),
    /// One for each time it is poked.
    Paced,
}

/// Tells which instance answers.
pub type Generation = Box<dyn Fn() -> u32 + Send>;

/// What both ends of the client share.
pub struct Shared {
    event: OwnedFd,
    client: Mutex<State>,
    answered: Condvar,
}

/// The client's state.
pub struct State {
    /// What the disk may hold.
    pub model: Model,
    /// Whether the code that answers is not to be trusted.
    pub(super) doubt: bool,
    /// What came of the requests since it was last taken.
    pub tally: Tally,
    mode: Mode,
    /// Requests that a paced client may make.
    allowance: usize,
    random: Random,
    cookie: u64,
    version: u32,
    pending: HashMap<u64, Pending>,
    todo: VecDeque<Wanted>,
    /// The contents go with the instance that this tells.
    volatile: Option<(Generation, u32)>,
}

struct Pending {
    wanted: Wanted,
    began: Instant,
    flight: Flight,
}

enum Flight {
    Read(Read),
    Change(Write),
    Flush,
}

impl Shared {
    /// A client of a disk of `size` bytes that makes no load yet.
    pub fn new(size: u64, seed: u64) -> std::io::Result<Arc<Self>> {
        let state = State {
            model: Model::new((size / BLOCK as u64) as u32),
            doubt: false,
            tally: Tally::default(),
            mode: Mode::Quiet,
            allowance: 0,
            random: Random::new(seed),
            cookie: 0,
            version: 0,
            pending: HashMap::new(),
            todo: VecDeque::new(),
            volatile: None,
        };
        Ok(Arc::new(Self {
            event: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            client: Mutex::new(state),
            answered: Condvar::new(),
        }))
    }

    /// The end that is given to a VCP.
    pub fn client(self: &Arc<Self>) -> Box<dyn Client> {
        Box::new(End(Arc::clone(self)))
    }

    /// Its state.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the load, with random numbers of this seed from now on.
    pub fn load(&self, mode: Mode, seed: u64) {
        let mut state = self.lock();
        state.mode = mode;
        state.random = Random::of(seed, 2);
        drop(state);
        self.poke();
    }

    /// Changes the load.
    pub fn set(&self, mode: Mode) {
        self.lock().mode = mode;
        self.poke();
    }

    /// Has a paced client make one more request.
    pub fn pace(&self) {
        let mut state = self.lock();
        if state.allowance < 2 {
            state.allowance += 1;
        }
        drop(state);
        self.poke();
    }

    /// Asks for a flush, and to read all of the disk.
    pub fn scan(&self) {
        let mut state = self.lock();
        let all = state.model.len();
        let step = LARGEST / BLOCK as u32;
        state.todo.push_back(Wanted::flush());
        let mut block = 0;
        while block < all {
            let blocks = step.min(all - block);
            state.todo.push_back(Wanted::read(block, blocks));
            block += blocks;
        }
        drop(state);
        self.poke();
    }

    /// Waits until `done`, or for so long; whether it is done.
    pub fn wait(&self, patience: Duration, done: impl Fn(&State) -> bool) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while !done(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.answered.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn poke(&self) {
        // It fails only when it is poked more often than it can count.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }
}

impl State {
    /// Requests that were not answered.
    pub fn outstanding(&self) -> usize {
        self.pending.len() + self.todo.len()
    }

    /// From now on the code that answers is, or is not, to be trusted.
    pub fn doubt(&mut self, doubt: bool) {
        self.doubt = doubt;
        self.model.doubt(doubt);
    }

    /// The contents are lost with each instance, which `generation` tells.
    pub fn lost_with(&mut self, generation: Generation) {
        let present = generation();
        self.volatile = Some((generation, present));
    }

    fn look_for_losses(&mut self) {
        if let Some((generation, last)) = &mut self.volatile {
            let now = generation();
            if now != *last {
                *last = now;
                self.model.perhaps_zeroed();
            }
        }
    }

    /// The next request of the load, if it wants one more.
    fn want(&mut self) -> Option<Wanted> {
        if let Some(wanted) = self.todo.front() {
            return Some(wanted.clone());
        }
        let more = match self.mode {
            Mode::Quiet => false,
            Mode::Full(depth) => self.pending.len() < depth,
            Mode::Paced => self.allowance > 0,
        };
        if !more {
            return None;
        }
        // Looked at again when there is room: the same dice fall again.
        let mut random = self.random.clone();
        Some(Wanted::any(&mut random, self.model.len()))
    }

    fn took(&mut self) {
        if self.todo.pop_front().is_none() {
            Wanted::any(&mut self.random, self.model.len());
            self.allowance = self.allowance.saturating_sub(1);
        }
    }

    fn begin(&mut self, wanted: &Wanted, payload: &mut Vec<u8>) -> u64 {
        let blocks = wanted.block..wanted.block + wanted.blocks;
        let flight = match wanted.operation {
            // (It asks nothing about extents.)
            Operation::Flush | Operation::Extents => Flight::Flush,
            Operation::Read => Flight::Read(self.model.read(blocks)),
            Operation::Write => {
                self.version += 1;
                payload.resize(wanted.blocks as usize * BLOCK, 0);
                fill(payload, wanted.block, self.version);
                Flight::Change(self.model.write(blocks, self.version))
            }
            Operation::Discard | Operation::WriteZeroes => {
                Flight::Change(self.model.write(blocks, 0))
            }
        };
        self.cookie += 1;
        self.tally.submitted += 1;
        let pending = Pending {
            wanted: wanted.clone(),
            began: Instant::now(),
            flight,
        };
        self.pending.insert(self.cookie, pending);
        self.cookie
    }

    fn end(&mut self, answer: &Answer<'_>) {
        let Some(pending) = self.pending.remove(&answer.cookie) else {
            self.tally.unknown += 1;
            return;
        };
        let taken = pending.began.elapsed().as_nanos() as u64;
        self.tally.longest = self.tally.longest.max(taken);
        let done = answer.status == Status::Ok;
        let what = pending.wanted.to_string();
        if done {
            self.tally.ok += 1;
        } else {
            self.tally.error(self.doubt, answer.status, &what);
        }
        match &pending.flight {
            Flight::Flush => {}
            Flight::Change(write) => {
                // What was discarded may be zeroes or what it was.
                let certain = done && pending.wanted.operation != Operation::Discard;
                let ended = if certain { Ended::Done } else { Ended::Maybe };
                self.model.written(write, ended);
            }
            Flight::Read(read) if done => {
                let (block, data) = (pending.wanted.block, answer.data);
                let version = |number: u32| {
                    let at = (number - block) as usize * BLOCK;
                    version_of(data.get(at..at + BLOCK)?, number)
                };
                let wrong = self.model.has_read(read, Some(&version));
                if wrong > 0 || data.len() != pending.wanted.blocks as usize * BLOCK {
                    self.tally.wrong_read(self.doubt, wrong, &what);
                }
            }
            Flight::Read(read) => {
                self.model.has_read(read, None);
            }
        }
    }
}

/// The end that the channel processor has.
struct End(Arc<Shared>);

impl Client for End {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }

    fn name(&self) -> &str {
        "campaign"
    }

    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError> {
        // It is only ever waited for; what it counts does not matter.
        let _ = rustix::io::read(&self.0.event, &mut [0u8; 8]);
        let mut state = self.0.lock();
        state.look_for_losses();
        while let Some(wanted) = state.want() {
            let bytes = if wanted.operation == Operation::Write {
                wanted.blocks as usize * BLOCK
            } else {
                0
            };
            if !queue.admit(bytes) {
                return Ok(true);
            }
            state.took();
            let mut payload = queue.buffer(bytes);
            let cookie = state.begin(&wanted, &mut payload);
            queue.submit(ClientRequest {
                cookie,
                operation: wanted.operation,
                modifiers: wanted.modifiers,
                offset: u64::from(wanted.block) * BLOCK as u64,
                length: wanted.blocks * BLOCK as u32,
                payload,
            });
        }
        Ok(false)
    }

    fn send(&mut self, answers: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        if answers.is_empty() {
            return Ok(Flushed::All);
        }
        let mut state = self.0.lock();
        state.look_for_losses();
        for answer in answers {
            state.end(answer);
        }
        let more = state.want().is_some();
        drop(state);
        self.0.answered.notify_all();
        if more {
            self.0.poke();
        }
        Ok(Flushed::All)
    }
}

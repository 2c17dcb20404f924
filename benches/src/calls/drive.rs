//! A VCP under a steady load, and how long each of its calls takes.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use vcp_core::native::frames::{self, Checksum};
use vcp_core::native::{Events, Modifiers, Network, Notice, Operation, Request, Span, Status};
use vcp_core::{Alone, Engine, Module, Settings};

use crate::peer::{DISK, Peer};

/// Bytes of a request.
const SIZE: u32 = 4096;
/// Between two calls, in nanoseconds of the VCP's time.
const STEP: u64 = 50_000;
/// Calls in which a VCP must have come up.
const PATIENCE: usize = 10_000;
/// Calls under load before the first that counts: buffers grow in them.
const WARM_UP: usize = 100;
/// Requests under way, at most: each has a place of its own in the data area.
const SLOTS: u64 = 64;
/// Calls that count.
pub(crate) const CALLS: usize = 400;
/// Written between two calls where caches are to be cold: more than a core's own hold.
pub(crate) const CHILL: usize = 4 << 20;
const CACHE_LINE: usize = 64;

/// What a VCP is given to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) operation: Operation,
    /// Requests in each call. The one after has their answers.
    pub(crate) batch: u64,
    /// Between two calls something else has had the core's caches.
    pub(crate) cold: bool,
}

/// How long the calls took that count.
#[derive(Debug)]
pub(crate) struct Times {
    /// Nanoseconds of each.
    pub(crate) calls: Vec<u64>,
    /// Of all of them.
    pub(crate) fuel: u64,
}

/// Starts an instance, and has it do that.
pub(crate) fn run(engine: &Engine, module: &Module, case: Case) -> Result<Times> {
    let mut session = Session::start(engine, module)?;
    for _ in 0..PATIENCE {
        if session.ready {
            break;
        }
        session.call(case, 0)?;
    }
    ensure!(session.ready, "it does not come up");
    for _ in 0..WARM_UP {
        session.catch_up(case)?;
        session.call(case, case.batch)?;
    }
    let (mut calls, mut fuel) = (Vec::with_capacity(CALLS), 0);
    for _ in 0..CALLS {
        session.catch_up(case)?;
        let before = session.vcp.fuel();
        calls.push(session.call(case, case.batch)?);
        fuel += session.vcp.fuel() - before;
    }
    Ok(Times { calls, fuel })
}

struct Session {
    vcp: Alone,
    peer: Peer,
    now: u64,
    tag: u64,
    answered: u64,
    ready: bool,
    /// The frames of the next call, in the receive area.
    arrived: Vec<frames::Received>,
    cache: Vec<u8>,
}

impl Session {
    fn start(engine: &Engine, module: &Module) -> Result<Self> {
        let mut settings = Settings::new("iscsi", module.clone());
        settings.config = Peer::settings();
        let vcp = Alone::start(engine, settings, Some(Network::Frames(Peer::link())))?;
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = clock.tv_sec as u64 * 1_000_000_000 + clock.tv_nsec as u64;
        Ok(Self {
            vcp,
            peer: Peer::new(now),
            now,
            tag: 0,
            answered: 0,
            ready: false,
            arrived: Vec::new(),
            cache: vec![0; CHILL],
        })
    }

    /// Calls without requests, until no more are under way than those of one call: now
    /// and then a segment waits for an acknowledgement.
    fn catch_up(&mut self, case: Case) -> Result<()> {
        for _ in 0..PATIENCE {
            if self.tag - self.answered <= case.batch {
                return Ok(());
            }
            self.call(case, 0)?;
        }
        bail!("requests are not answered")
    }

    /// One call with so many requests: how long it took.
    fn call(&mut self, case: Case, requests: u64) -> Result<u64> {
        self.now += STEP;
        let events = Events {
            now: self.now,
            commands: Vec::new(),
            requests: (0..requests).map(|_| self.request(case)).collect(),
            frames: std::mem::take(&mut self.arrived),
            stream_data: Vec::new(),
            stream_events: Vec::new(),
        };
        if case.cold {
            self.chill();
        }
        let began = Instant::now();
        let effects = self.vcp.process(&events)?;
        let time = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for completion in &effects.completions {
            let status = completion.status;
            ensure!(status == Status::Ok, "a request ends with {status:?}");
        }
        for notice in &effects.notices {
            match notice {
                Notice::Ready(_) => self.ready = true,
                other => bail!("it says {other:?}"),
            }
        }
        for frame in &effects.frames {
            let bytes = self.vcp.bytes(frame.data)?;
            self.peer.receive(self.now, frame, bytes);
        }
        self.answered += effects.completions.len() as u64;
        self.let_peer_answer()?;
        Ok(time)
    }

    fn request(&mut self, case: Case) -> Request {
        self.tag += 1;
        let area = self.vcp.areas().data;
        let slot = (self.tag % SLOTS) as u32;
        Request {
            tag: self.tag,
            operation: case.operation,
            modifiers: Modifiers::empty(),
            offset: self.tag * u64::from(SIZE) % DISK,
            length: SIZE,
            data: Span {
                address: area.address + slot * SIZE,
                length: SIZE,
            },
        }
    }

    fn let_peer_answer(&mut self) -> Result<()> {
        let mut room = self.vcp.areas().receive;
        let mut outcome = Ok(());
        let (vcp, arrived) = (&mut self.vcp, &mut self.arrived);
        self.peer.serve(self.now, |bytes, checksum: Checksum| {
            let length = bytes.len() as u32;
            let data = Span { length, ..room };
            match vcp.bytes_mut(data).filter(|_| length <= room.length) {
                Some(place) => place.copy_from_slice(bytes),
                None => outcome = Err("more frames than the receive area holds"),
            }
            room.address += length;
            room.length = room.length.saturating_sub(length);
            arrived.push(frames::Received { data, checksum });
        });
        outcome.map_err(anyhow::Error::msg).context("the target")
    }

    fn chill(&mut self) {
        for line in self.cache.iter_mut().step_by(CACHE_LINE) {
            *line = line.wrapping_add(1);
        }
        std::hint::black_box(&self.cache);
    }
}

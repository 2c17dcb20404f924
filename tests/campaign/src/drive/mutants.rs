//! One mutant: loaded into a device that serves, or started with; left alone for
//! a while under load; replaced by the good module. Then everything must be as if
//! it had never been, but for what it wrote itself.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::oneshot::error::TryRecvError;
use vcp_core::{Module, ReloadError, State};
use vcp_link::FaultRates;

use super::device::{Device, Manner, Subject};
use super::outcome::{Outcome, Times, Verdict};
use super::verify::verify;
use super::watch::{Happened, serves};
use super::world::{GOOD, World, panics};
use crate::oracle::load::Mode;
use crate::random::Random;

/// Runs that one device lives for.
const RUNS_PER_DEVICE: u64 = 16;
/// How long a mutant is left alone, and how many answers are enough.
const EXPOSURE: Duration = Duration::from_millis(25);
const LONG_EXPOSURE: Duration = Duration::from_millis(180);
const STARTING: Duration = Duration::from_millis(80);
const ENOUGH_ANSWERS: u64 = 200;
const ENOUGH_DEATHS: u64 = 3;
/// How long the good module may take to serve again.
const BACK: Duration = Duration::from_secs(20);

/// What the host says of a device that is not what its clients were told.
const RESIZED: &str = "the device changed while in use";

/// Runs mutants, one after another.
pub struct Mutants {
    world: World,
    devices: Vec<(Subject, u64, Device)>,
}

/// How a mutant was met.
#[derive(Debug, Default)]
struct Exposure {
    happened: Happened,
    /// It never took over; of what it died before.
    refused: bool,
    inherited: bool,
    answered: u64,
    /// It was there and ready, at some time.
    served: bool,
}

impl Mutants {
    /// In this world.
    pub fn new(world: World) -> Self {
        Self {
            world,
            devices: Vec::new(),
        }
    }

    /// The world that they run in.
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }

    /// The run of one seed.
    pub fn run(&mut self, subject: Subject, seed: u64) -> Result<Outcome> {
        let mut random = Random::of(seed, 4);
        let mut times = Times::default();
        let mut clock = Instant::now();
        let mut lap = || {
            let micros = clock.elapsed().as_micros() as u64;
            clock = Instant::now();
            micros
        };
        let mutant = self.world.mutator(subject).mutant(seed)?;
        times.mutate = lap();
        let module = self.world.compile(&mutant.bytes)?;
        times.compile = lap();
        let panics_before = panics();

        let started_with = random.chance(1, 4);
        let (device, mut exposure) = self.begin(subject, seed, started_with, &module)?;
        let mut device = device;
        lap();
        device.client.lock().doubt(true);
        let depth = *random.pick(&[1, 4, 16, 32]);
        device.client.load(Mode::Full(depth), seed);
        if !started_with {
            self.reload(&mut device, &module, &mut exposure);
        }
        if !exposure.refused {
            self.expose(&mut device, &mut exposure, &mut random);
        }
        times.expose = lap();
        // What follows may keep requests waiting for longer than they are let.
        let errors = device.client.lock().tally.errors;
        if random.chance(3, 4) {
            device.client.set(Mode::Quiet);
        }
        let back = self.bring_back(&mut device, subject, &mut exposure);
        let mut renewed = false;
        let back = match back {
            // Its clients were told of another size than the good module has: the
            // host keeps that from them, until the VCP is started anew.
            Some(why) if started_with && why.contains(RESIZED) => {
                renewed = true;
                device = self.fresh(subject, seed, self.world.good(subject))?;
                device.client.load(Mode::Full(depth), seed);
                self.bring_back(&mut device, subject, &mut exposure)
            }
            back => back,
        };
        device.client.lock().doubt(false);
        times.back = lap();
        let mut found = verify(&mut self.world, &mut device);
        times.verify = lap();
        let mut since = Happened::default();
        since.add(&mut device);
        if since.expired {
            // By its hasty settings requests wait for milliseconds only, and a machine
            // that has other things to do takes longer now and then: an error as ordered.
            found.tally.excuse_errors();
        }
        found.blame();

        let mut outcome = Outcome {
            seed,
            module: subject.name().to_owned(),
            kind: if started_with { "start" } else { "reload" }.to_owned(),
            class: mutant.change.class.to_string(),
            change: mutant.change.to_string(),
            verdict: Verdict::NoEffect,
            faults: exposure.happened.faults.clone(),
            deaths: exposure.happened.deaths,
            errors,
            wrong_reads: found.tally.wrong_reads,
            wrong_blocks: found.wrong_blocks,
            lost_blocks: found.lost_blocks,
            answered: found.tally.ok,
            inherited: exposure.inherited,
            rolled_back: exposure.happened.rolled_back,
            renewed,
            reached: None,
            failures: found.failures,
            times,
            memory: 0,
            descriptors: 0,
        };
        outcome.verdict = verdict(&outcome, &exposure);
        outcome.failures.extend(back);
        outcome.failures.append(&mut exposure.happened.failures);
        outcome.failures.append(&mut since.failures);
        outcome.failures.extend(self.world.neighbour_noticed());
        if panics() > panics_before {
            outcome
                .failures
                .push("a thread of the host panicked".into());
        }
        if outcome.failures.is_empty() {
            let reach = outcome.verdict == Verdict::NoEffect && random.chance(1, 8);
            if reach {
                let probe = self.world.mutator(subject).probe(&mutant.change);
                outcome.reached = Some(self.reaches(&mut device, subject, &probe, seed)?);
            }
            self.keep(subject, seed, device);
        }
        Ok(outcome)
    }

    /// A device: the one that serves already, or a new one.
    fn begin(
        &mut self,
        subject: Subject,
        seed: u64,
        started_with: bool,
        module: &Module,
    ) -> Result<(Device, Exposure)> {
        let group = seed / RUNS_PER_DEVICE;
        let kept = self.devices.iter().position(|(s, _, _)| *s == subject);
        let kept = kept.map(|at| self.devices.swap_remove(at));
        if let Some((_, of, device)) = kept
            && of == group
            && !started_with
        {
            return Ok((device, Exposure::default()));
        }
        let first = if started_with {
            module.clone()
        } else {
            self.world.good(subject)
        };
        let device = self.fresh(subject, seed, first)?;
        if !started_with {
            let until = Instant::now() + BACK;
            while !serves(&device.vcp, GOOD) && Instant::now() < until {
                self.world.pace();
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok((device, Exposure::default()))
    }

    fn fresh(&self, subject: Subject, seed: u64, module: Module) -> Result<Device> {
        let manner = Manner {
            rates: FaultRates::default(),
            delay: Duration::ZERO,
            seed: seed / RUNS_PER_DEVICE,
            hasty: true,
            spares: true,
        };
        Device::start(&self.world.engine, subject, module, manner)
    }

    fn keep(&mut self, subject: Subject, seed: u64, device: Device) {
        self.devices.push((subject, seed / RUNS_PER_DEVICE, device));
    }

    /// Loads the mutant into a device that serves.
    fn reload(&mut self, device: &mut Device, module: &Module, exposure: &mut Exposure) {
        let mut outcome = device.vcp.reload(module.clone());
        // More than all the times that a reload may take by its settings.
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            match outcome.try_recv() {
                Ok(Ok(reloaded)) => {
                    exposure.inherited = reloaded.handed_over;
                    exposure.served = true;
                    return;
                }
                Ok(Err(ReloadError::NotStarted(fault))) => {
                    exposure.happened.fault(fault.kind());
                    exposure.refused = true;
                    return;
                }
                Ok(Err(ReloadError::RolledBack(_))) => {
                    exposure.happened.rolled_back = true;
                    return;
                }
                Ok(Err(error)) => {
                    exposure.happened.failures.push(error.to_string());
                    return;
                }
                Err(TryRecvError::Closed) => {
                    let what = "a reload was not answered";
                    exposure.happened.failures.push(what.to_owned());
                    return;
                }
                Err(TryRecvError::Empty) if Instant::now() < until => {
                    self.turn(device, exposure);
                }
                Err(TryRecvError::Empty) => {
                    let what = "a reload was not answered in time";
                    exposure.happened.failures.push(what.to_owned());
                    return;
                }
            }
        }
    }

    /// Leaves the mutant alone under load.
    fn expose(&mut self, device: &mut Device, exposure: &mut Exposure, random: &mut Random) {
        let long = random.chance(1, 24);
        let length = if long { LONG_EXPOSURE } else { EXPOSURE };
        // Whoever has to log in again runs more of its code.
        let disturbance = random.below(6);
        let mut disturbed = disturbance > 2;
        // One that was started with may take its time to be ready.
        let starting = Instant::now();
        while !exposure.served && starting.elapsed() < STARTING {
            self.turn(device, exposure);
            exposure.served = device.vcp.status().state == State::Ready;
            if exposure.happened.deaths > 0 {
                break;
            }
        }
        let before = answered(device);
        let began = Instant::now();
        while began.elapsed() < length {
            self.turn(device, exposure);
            let count = answered(device) - before;
            if !disturbed && (count > ENOUGH_ANSWERS / 2 || began.elapsed() > length / 2) {
                disturbed = true;
                disturb(device, disturbance);
            }
            let enough = !long && count >= ENOUGH_ANSWERS && disturbed;
            if enough || exposure.happened.deaths >= ENOUGH_DEATHS {
                break;
            }
        }
        exposure.served |= device.vcp.status().state == State::Ready;
        exposure.answered = answered(device) - before;
    }

    /// Puts the good module in the mutant's place. Returns what went wrong.
    fn bring_back(
        &mut self,
        device: &mut Device,
        subject: Subject,
        exposure: &mut Exposure,
    ) -> Option<String> {
        let until = Instant::now() + BACK;
        // What a mutant handed over is the mutant's.
        let mut fresh = true;
        let mut last = String::new();
        while Instant::now() < until {
            self.world.pace();
            exposure.happened.add(device);
            if serves(&device.vcp, GOOD) {
                if fresh {
                    return None;
                }
                fresh = true;
                let generation = device.vcp.status().generation;
                device.vcp.restart();
                while device.vcp.status().generation == generation && Instant::now() < until {
                    std::thread::sleep(Duration::from_micros(100));
                }
                continue;
            }
            let status = device.vcp.status();
            let there = status.module == GOOD && !matches!(status.state, State::Held(_));
            if there || status.reload != vcp_core::ReloadState::None {
                std::thread::sleep(Duration::from_micros(300));
                continue;
            }
            let outcome = device.vcp.reload(self.world.good(subject));
            match outcome.blocking_recv() {
                Ok(Ok(reloaded)) => fresh = !reloaded.handed_over,
                Ok(Err(ReloadError::NotStarted(fault))) => {
                    return Some(format!("the good module is not started: {fault}"));
                }
                // It is tried again; what it may have inherited made it fail.
                Ok(Err(error)) => {
                    last = error.to_string();
                    if last.contains(RESIZED) {
                        return Some(format!("not serving: {last}"));
                    }
                    std::thread::sleep(Duration::from_micros(300));
                }
                Err(_) => return Some("a reload was not answered".to_owned()),
            }
        }
        let status = device.vcp.status();
        Some(format!("not serving: the last reload: {last}; {status:?}"))
    }

    /// A moment of watching.
    fn turn(&mut self, device: &mut Device, exposure: &mut Exposure) {
        self.world.pace();
        std::thread::sleep(Duration::from_micros(250));
        exposure.happened.add(device);
    }

    /// Whether the place of a mutation is executed under the same load: it has
    /// become a trap.
    fn reaches(
        &mut self,
        device: &mut Device,
        subject: Subject,
        probe: &[u8],
        seed: u64,
    ) -> Result<bool> {
        let module = self.world.compile(probe)?;
        let mut exposure = Exposure::default();
        device.client.lock().doubt(true);
        device.client.load(Mode::Full(16), seed);
        self.reload(device, &module, &mut exposure);
        let mut random = Random::of(seed, 5);
        if !exposure.refused {
            self.expose(device, &mut exposure, &mut random);
        }
        let _ = self.bring_back(device, subject, &mut exposure);
        device.client.lock().doubt(false);
        let _ = verify(&mut self.world, device);
        Ok(!exposure.happened.faults.is_empty())
    }
}

fn answered(device: &Device) -> u64 {
    let state = device.client.lock();
    state.tally.ok + state.tally.errors + state.tally.trusted_errors
}

fn disturb(device: &Device, how: u64) {
    if let Some(target) = &device.target {
        match how {
            0 => target.drop_connections(),
            1 => target.request_logout(1),
            _ => target.drop_sessions(),
        }
    }
}

fn verdict(outcome: &Outcome, exposure: &Exposure) -> Verdict {
    if outcome.wrong_blocks > 0 {
        Verdict::WrongWrite
    } else if outcome.lost_blocks > 0 {
        Verdict::LostWrite
    } else if outcome.wrong_reads > 0 {
        Verdict::WrongRead
    } else if outcome.errors > 0 {
        Verdict::Errors
    } else if exposure.happened.deaths > 0 {
        Verdict::Died
    } else if exposure.refused {
        Verdict::Refused
    } else if exposure.happened.rolled_back || !exposure.served || exposure.answered == 0 {
        Verdict::Stalled
    } else {
        Verdict::NoEffect
    }
}

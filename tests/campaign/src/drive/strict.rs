//! Runs of good modules in which nothing may be lost, spoilt or answered with an
//! error: instances cut off at any instruction, and links that lose, repeat,
//! swap, spoil and hold up frames.

use std::time::{Duration, Instant};

use anyhow::Result;
use vcp_core::Injection;
use vcp_link::FaultRates;

use super::device::{Device, Manner, Subject};
use super::outcome::{Outcome, Times, Verdict};
use super::verify::verify;
use super::watch::{Happened, serves};
use super::world::{GOOD, World, panics};
use crate::oracle::load::Mode;
use crate::random::Random;

/// Crash points of one run.
pub const POINTS_PER_RUN: u64 = 25;
/// Fuel between two crash points that are tried one after another.
const QUANTUM: u64 = 2_000;
/// The latest crash point, in units of fuel.
const LATEST: u32 = 22;
/// How long a device may take to serve again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a bad link is under load.
const BAD_LINK: Duration = Duration::from_millis(600);

/// Kills instances of a good module in the middle of calls: every run the next
/// points by fuel, and as many at random.
pub fn cuts(world: &mut World, subject: Subject, seed: u64) -> Result<Outcome> {
    let change = format!("{POINTS_PER_RUN} crash points");
    let run = Run {
        kind: "cut",
        change,
        spares: true,
        random: Random::of(seed, 7),
    };
    run.points(world, subject, seed, |_, device, _, point, random| {
        let fuel = if point % 2 == 0 {
            1 + QUANTUM * (seed * POINTS_PER_RUN + point) / 2 % (1 << LATEST)
        } else {
            let most = 1 << random.below(u64::from(LATEST));
            1 + random.below(most)
        };
        // One in eight between two calls, where nothing runs.
        let what = if random.chance(1, 8) {
            Injection::Trap
        } else {
            Injection::Cut(fuel)
        };
        device.vcp.inject(what);
        if random.chance(1, 4) {
            // Another one while the next is starting.
            std::thread::sleep(Duration::from_micros(random.below(1500)));
            device.vcp.inject(Injection::Cut(1 + random.below(200_000)));
        }
        (what, true)
    })
}

/// Ends instances of a good module at every crossing of the boundary between it and
/// the host, one after another: every run at the next of them.
pub fn crossings(world: &mut World, subject: Subject, seed: u64) -> Result<Outcome> {
    let first = seed * POINTS_PER_RUN + 1;
    let run = Run {
        kind: "crossing",
        change: format!("crossings {first} to {}", first + POINTS_PER_RUN - 1),
        // One that is being made would cross it, too.
        spares: false,
        random: Random::of(seed, 9),
    };
    run.points(world, subject, seed, |world, device, happened, point, _| {
        let deaths = happened.deaths;
        let what = Injection::Crossing(first + point);
        device.vcp.inject(what);
        // The one that it ends at once, and its successor.
        let until = Instant::now() + PATIENCE;
        while happened.deaths < deaths + 2 && Instant::now() < until {
            world.pace();
            std::thread::sleep(Duration::from_micros(200));
            happened.add(device);
        }
        (what, happened.deaths >= deaths + 2)
    })
}

/// A run of crash points under load.
struct Run {
    kind: &'static str,
    change: String,
    spares: bool,
    random: Random,
}

impl Run {
    /// Goes through the points; `strike` makes one happen, and says what it was and
    /// whether it came to pass.
    fn points(
        mut self,
        world: &mut World,
        subject: Subject,
        seed: u64,
        mut strike: impl FnMut(
            &mut World,
            &mut Device,
            &mut Happened,
            u64,
            &mut Random,
        ) -> (Injection, bool),
    ) -> Result<Outcome> {
        let panics_before = panics();
        let began = Instant::now();
        let (rates, delay) = (FaultRates::default(), Duration::ZERO);
        let mut device = start(world, subject, rates, delay, seed, self.spares)?;
        let mut happened = Happened {
            strict: true,
            ..Happened::default()
        };
        let mut failures = Vec::new();
        for point in 0..POINTS_PER_RUN {
            let depth = *self.random.pick(&[1, 4, 32]);
            device.client.load(Mode::Full(depth), self.random.bits());
            let random = &mut self.random;
            let (what, struck) = strike(world, &mut device, &mut happened, point, random);
            if !struck || !answers(world, &mut device, &mut happened, 20) {
                let status = device.vcp.status();
                failures.push(format!("not serving after {what}: {status:?}"));
                break;
            }
        }
        let (kind, change) = (self.kind, self.change);
        let mut outcome = finish(world, device, subject, kind, change, seed, happened);
        outcome.failures.extend(failures);
        conclude(&mut outcome, began, panics_before);
        Ok(outcome)
    }
}

/// Serves over a bad link.
pub fn link(world: &mut World, seed: u64) -> Result<Outcome> {
    let mut random = Random::of(seed, 8);
    let panics_before = panics();
    let began = Instant::now();
    let mut rate = |one_in: u64| {
        let hit = random.chance(1, one_in);
        if hit { 1 + random.below(20) as u16 } else { 0 }
    };
    // At least one of them; delay is half of all.
    let mut rates = FaultRates {
        loss: rate(2),
        duplication: rate(2),
        reordering: rate(2),
        corruption: rate(2),
    };
    if rates == FaultRates::default() {
        rates.loss = 10;
    }
    let delay = Duration::from_micros(if random.chance(1, 2) {
        random.below(4000)
    } else {
        0
    });
    let mut device = start(world, Subject::Iscsi, rates, delay, seed, true)?;
    let mut happened = Happened {
        strict: true,
        ..Happened::default()
    };
    device.client.load(Mode::Full(8), seed);
    let until = Instant::now() + BAD_LINK;
    while Instant::now() < until {
        world.pace();
        std::thread::sleep(Duration::from_micros(500));
        happened.add(&mut device);
    }
    let change = format!(
        "of 1000 frames {} lost, {} twice, {} swapped, {} spoilt; delay up to {delay:?}",
        rates.loss, rates.duplication, rates.reordering, rates.corruption
    );
    let mut outcome = finish(
        world,
        device,
        Subject::Iscsi,
        "link",
        change,
        seed,
        happened,
    );
    conclude(&mut outcome, began, panics_before);
    Ok(outcome)
}

fn start(
    world: &mut World,
    subject: Subject,
    rates: FaultRates,
    delay: Duration,
    seed: u64,
    spares: bool,
) -> Result<Device> {
    let manner = Manner {
        rates,
        delay,
        seed,
        hasty: false,
        spares,
    };
    let device = Device::start(&world.engine, subject, world.good(subject), manner)?;
    let until = Instant::now() + PATIENCE;
    while !serves(&device.vcp, GOOD) && Instant::now() < until {
        world.pace();
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(device)
}

/// Waits for so many answers more.
fn answers(world: &mut World, device: &mut Device, happened: &mut Happened, more: u64) -> bool {
    let before = device.client.lock().tally.ok;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        world.pace();
        happened.add(device);
        let slice = Duration::from_millis(1);
        if device
            .client
            .wait(slice, |state| state.tally.ok >= before + more)
        {
            return true;
        }
    }
    false
}

fn finish(
    world: &mut World,
    mut device: Device,
    subject: Subject,
    kind: &str,
    change: String,
    seed: u64,
    mut happened: Happened,
) -> Outcome {
    let mut found = verify(world, &mut device);
    found.blame();
    happened.add(&mut device);
    let mut failures = found.failures;
    failures.append(&mut happened.failures);
    failures.extend(world.neighbour_noticed());
    let died = happened.deaths > 0;
    Outcome {
        seed,
        module: subject.name().to_owned(),
        kind: kind.to_owned(),
        class: String::new(),
        change,
        verdict: if died {
            Verdict::Died
        } else {
            Verdict::NoEffect
        },
        faults: happened.faults,
        deaths: happened.deaths,
        errors: found.tally.errors,
        wrong_reads: found.tally.wrong_reads,
        wrong_blocks: found.wrong_blocks,
        lost_blocks: found.lost_blocks,
        answered: found.tally.ok,
        inherited: false,
        rolled_back: happened.rolled_back,
        renewed: false,
        reached: None,
        failures,
        times: Times::default(),
        memory: 0,
        descriptors: 0,
    }
}

fn conclude(outcome: &mut Outcome, began: Instant, panics_before: u64) {
    outcome.times.expose = began.elapsed().as_micros() as u64;
    if panics() > panics_before {
        outcome
            .failures
            .push("a thread of the host panicked".into());
    }
}

//! Which functions of a module run under the campaign's load.
//!
//! Every function gets a trap where it begins. The first that runs is the one
//! that the crash report names: it gets its own beginning back, and so on, until
//! nothing traps any more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use vcp_core::{Module, State};
use vcp_link::FaultRates;

use super::device::{Device, Manner, Subject};
use super::world::World;
use crate::oracle::load::Mode;

/// How long a module is left alone without a trap, and how often.
const LOAD: Duration = Duration::from_millis(60);
const ROUNDS: u64 = 12;

/// The numbers of all functions of `subject` that ran, by core module and index.
type Reached = BTreeSet<(u32, u32)>;

/// The names of all functions of `subject` that run, in order.
pub fn reached(world: &World, subject: Subject) -> Result<BTreeSet<String>> {
    let mut reached = Reached::new();
    let mut quiet = 0;
    while quiet < ROUNDS {
        let bytes = world.mutator(subject).trapping(&reached);
        let module = world.compile(&bytes)?;
        match first_trap(world, subject, &module, quiet)? {
            Some(backtrace) => {
                let address = address_of(&backtrace).with_context(|| backtrace.clone())?;
                let function = world.mutator(subject).code().at(address);
                let function = function.with_context(|| backtrace.clone())?;
                let found = (function.module, function.index);
                eprintln!("{} {}: {}", subject.name(), reached.len(), function.name);
                ensure!(reached.insert(found), "traps again: {backtrace}");
                quiet = 0;
            }
            None => quiet += 1,
        }
    }
    let functions = world.mutator(subject).code().functions.iter();
    let ran = functions.filter(|f| reached.contains(&(f.module, f.index)));
    Ok(ran.map(|f| f.name.clone()).collect())
}

/// Has the module serve for a while; the backtrace of what it trapped in.
fn first_trap(
    world: &World,
    subject: Subject,
    module: &Module,
    round: u64,
) -> Result<Option<String>> {
    let manner = Manner {
        rates: FaultRates::default(),
        delay: Duration::ZERO,
        seed: round,
        hasty: true,
        spares: true,
    };
    let device = Device::start(&world.engine, subject, module.clone(), manner)?;
    device.client.lock().doubt(true);
    device.client.load(Mode::Full(16), round);
    let mut until = Instant::now() + LOAD;
    let mut after = 0;
    let trap = loop {
        if let Some(report) = device.vcp.reports().first() {
            break Some(report.backtrace.clone());
        }
        if Instant::now() < until {
            std::thread::sleep(Duration::from_micros(500));
            continue;
        }
        // What runs when there is trouble, and when it is replaced.
        match (after, &device.target) {
            (0, Some(target)) => target.drop_connections(),
            (1, Some(target)) => target.request_logout(1),
            (2, Some(target)) => target.drop_sessions(),
            (3, _) if device.vcp.status().state == State::Ready => {
                drop(device.vcp.reload(module.clone()));
            }
            (0..=3, _) => {}
            _ => break None,
        }
        after += 1;
        until = Instant::now() + LOAD;
    };
    // One that can't take its leave needs some seconds for that.
    std::thread::spawn(move || drop(device));
    Ok(trap)
}

/// Where the innermost frame, `number: address - name`, is in the component.
fn address_of(backtrace: &str) -> Option<usize> {
    let line = backtrace.lines().find(|line| line.contains(" 0x"))?;
    let digits = line.split_once(" 0x")?.1.split_whitespace().next()?;
    usize::from_str_radix(digits, 16).ok()
}

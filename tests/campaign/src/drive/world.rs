//! What all runs of one worker share: the engine, the good modules and their
//! mutators, and a neighbour that must notice nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use vcp_core::{Cache, Engine, Module};
use vcp_link::FaultRates;

use super::device::{Device, Manner, Subject};
use crate::mutate::{Mutator, strip};
use crate::oracle::load::Mode;

/// What the good module is called; a mutant has another name.
pub(super) const GOOD: &str = "good";

/// Panics of any thread of this process: there should be none.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Counts panics from now on.
pub fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
}

/// Panics so far.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// What all runs share.
pub struct World {
    /// Compiles and runs.
    pub engine: Engine,
    subjects: Vec<(Subject, Mutator, Module)>,
    neighbour: Device,
    paced: Instant,
}

impl World {
    /// Compiles the modules and starts the neighbour.
    pub fn new() -> Result<Self> {
        let engine = Engine::remembering()?;
        let mut subjects = Vec::new();
        for subject in Subject::ALL {
            let builtin = vcp_builtin::find(subject.name()).context("a module is missing")?;
            let mutator = Mutator::new(strip(builtin.bytes)?)?;
            let module = Module::load(&engine, &Cache::disabled(), GOOD, mutator.original())?;
            subjects.push((subject, mutator, module));
        }
        let manner = Manner {
            rates: FaultRates::default(),
            delay: Duration::ZERO,
            seed: 0,
            hasty: false,
            spares: true,
        };
        let builtin = vcp_builtin::find("ramdisk").context("a module is missing")?;
        let module = Module::load(&engine, &Cache::disabled(), GOOD, builtin.bytes)?;
        let neighbour = Device::start(&engine, Subject::Ramdisk, module, manner)?;
        neighbour.client.load(Mode::Paced, 0);
        Ok(Self {
            engine,
            subjects,
            neighbour,
            paced: Instant::now(),
        })
    }

    /// Makes mutants of it.
    pub fn mutator(&self, subject: Subject) -> &Mutator {
        &self.of(subject).1
    }

    /// The module as it should be.
    pub fn good(&self, subject: Subject) -> Module {
        self.of(subject).2.clone()
    }

    fn of(&self, subject: Subject) -> &(Subject, Mutator, Module) {
        let found = self.subjects.iter().find(|(s, _, _)| *s == subject);
        found.expect("all subjects were put there")
    }

    /// Compiles a mutant.
    pub fn compile(&self, bytes: &[u8]) -> Result<Module> {
        Ok(Module::load(
            &self.engine,
            &Cache::disabled(),
            "mutant",
            bytes,
        )?)
    }

    /// Has the neighbour make a request now and then.
    pub(super) fn pace(&mut self) {
        if self.paced.elapsed() >= Duration::from_millis(1) {
            self.paced = Instant::now();
            self.neighbour.client.pace();
        }
    }

    /// What the neighbour noticed since the last call.
    pub(super) fn neighbour_noticed(&mut self) -> Vec<String> {
        let mut noticed = Vec::new();
        let client = Arc::clone(&self.neighbour.client);
        if !client.wait(Duration::from_secs(10), |state| state.outstanding() == 0) {
            noticed.push("the neighbour's requests are not answered".to_owned());
        }
        let tally = std::mem::take(&mut client.lock().tally);
        if !tally.innocent() {
            noticed.push(format!("the neighbour: {:?}", tally.first));
        }
        let stats = self.neighbour.vcp.stats();
        if stats.faults > 0 || stats.generation > 1 {
            noticed.push("the neighbour died".to_owned());
        }
        noticed
    }
}

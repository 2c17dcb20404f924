//! The host that is tried: takes seeds from its standard input, one a line, with a file
//! behind it or not, and answers each with a line of JSON.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use vcp_core::{Cache, Engine, Event, Module, Settings, Vcp};

use super::Loaded;
use super::sample::Samples;
use crate::drive::world::{count_panics, panics};

/// How long an instance may run whose calls end in time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Works until its standard input ends.
pub fn work() -> Result<()> {
    count_panics();
    let (engine, samples) = (Engine::new(true)?, Samples::new()?);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.context("reading seeds")?;
        let (seed, file) = match line.split_once(' ') {
            Some((seed, file)) => (seed, Some(Path::new(file))),
            None => (&*line, None),
        };
        let (kind, bytes) = samples.sample(seed.parse().context("a seed")?, file)?;
        let loaded = load(&engine, kind, &bytes);
        serde_json::to_writer(&mut out, &loaded)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

fn load(engine: &Engine, kind: String, bytes: &[u8]) -> Loaded {
    let (began, before) = (Instant::now(), panics());
    let module = Module::load(engine, &Cache::disabled(), "sample", bytes);
    let compiled_ms = millis(began);
    let (ran, said) = match module {
        Ok(module) => (true, run(engine, module)),
        Err(why) => (false, why.to_string()),
    };
    Loaded {
        kind,
        size: bytes.len(),
        ran,
        said,
        compiled_ms,
        ended_ms: millis(began),
        peak_kib: peak_kib(),
        panics: panics() - before,
    }
}

/// Starts an instance and waits for the first that is heard of it.
fn run(engine: &Engine, module: Module) -> String {
    let mut settings = Settings::new("sample", module);
    settings.config.push(("size".into(), "1048576".into()));
    let (vcp, mut events) = match Vcp::start(engine, settings) {
        Ok(started) => started,
        Err(why) => return why.to_string(),
    };
    let began = Instant::now();
    let said = loop {
        match events.try_recv() {
            Ok(Event::Ready(_)) => break "ready".to_owned(),
            Ok(Event::Fault { fault, .. }) => break fault.to_string(),
            Ok(Event::Failed(why) | Event::Suspended(why)) => break why,
            Ok(_) => {}
            Err(_) if began.elapsed() > PATIENCE => break "nothing".to_owned(),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    drop(vcp);
    said
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

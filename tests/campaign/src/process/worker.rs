//! A worker: takes jobs from its standard input, one a line, and answers each
//! with a line of JSON.

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, Result};

use super::{Job, Kind};
use crate::drive::mutants::Mutants;
use crate::drive::world::count_panics;
use crate::drive::{Outcome, World, strict};

/// Works until its standard input ends.
pub fn work() -> Result<()> {
    count_panics();
    let mut mutants = Mutants::new(World::new()?);
    let mut out = std::io::stdout().lock();
    // So that the time for this is not taken for that of the first job.
    writeln!(out, "ready")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("reading jobs")?;
        let job: Job = line.parse().map_err(anyhow::Error::msg)?;
        let mut outcome = run(&mut mutants, job)?;
        (outcome.memory, outcome.descriptors) = footprint();
        serde_json::to_writer(&mut out, &outcome)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

fn run(mutants: &mut Mutants, job: Job) -> Result<Outcome> {
    match job.kind {
        Kind::Mutant => mutants.run(job.subject, job.seed),
        Kind::Cut => strict::cuts(mutants.world(), job.subject, job.seed),
        Kind::Crossing => strict::crossings(mutants.world(), job.subject, job.seed),
        Kind::Link => strict::link(mutants.world(), job.seed),
    }
}

/// Resident memory in KiB, and open descriptors.
fn footprint() -> (u64, u64) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    let pages: u64 = pages.and_then(|n| n.parse().ok()).unwrap_or(0);
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let page = rustix::param::page_size() as u64;
    (pages * page / 1024, descriptors as u64)
}

//! Hands samples to hosts, and takes note of those that die, hang or grow.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{LONGEST_MS, Loaded};

/// How long to wait for an answer: what a sample may take, and what the machine adds.
const HANG: Duration = Duration::from_millis(3 * LONGEST_MS);
/// Seeds that one host is given.
const PER_HOST: u64 = 200;

/// What came of all samples.
#[derive(Debug, Default)]
pub struct Summary {
    /// Samples and those of them that ran, by how they were made.
    pub kinds: BTreeMap<String, (u64, u64)>,
    /// The longest time to a verdict of the compiler, in milliseconds, and the seed.
    pub slowest: (u64, u64),
    /// The most memory that a host had, in KiB.
    pub peak_kib: u64,
    /// Seeds and what is wrong with the host.
    pub findings: Vec<(u64, String)>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (samples, ran)) in &self.kinds {
            writeln!(f, "{kind}: {samples} samples, {ran} of them ran")?;
        }
        let (slowest, seed) = self.slowest;
        writeln!(f, "slowest to compile: {slowest} ms (seed {seed})")?;
        writeln!(f, "most memory of a host: {} MiB", self.peak_kib >> 10)?;
        for (seed, finding) in &self.findings {
            writeln!(f, "seed {seed}: {finding}")?;
        }
        write!(f, "{} findings", self.findings.len())
    }
}

impl Summary {
    fn add(&mut self, seed: u64, loaded: Loaded) {
        self.findings
            .extend(loaded.finding().map(|what| (seed, what)));
        self.slowest = self.slowest.max((loaded.compiled_ms, seed));
        self.peak_kib = self.peak_kib.max(loaded.peak_kib);
        let (samples, ran) = self.kinds.entry(loaded.kind).or_default();
        *samples += 1;
        *ran += u64::from(loaded.ran);
    }
}

/// What to load, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The program whose `load-worker` is a host.
    pub binary: &'a Path,
    /// The program `vcp-smith`; without it there are only modules made of those that are
    /// shipped.
    pub smith: Option<&'a Path>,
    /// The first seed.
    pub seed: u64,
    /// For how long.
    pub time: Duration,
    /// Of that seed only, both ways, and show what became of it.
    pub only: bool,
}

/// Has hosts load the samples of a plan.
pub fn loads(plan: Plan<'_>) -> Result<Summary> {
    let mut summary = Summary::default();
    let (began, mut first) = (Instant::now(), plan.seed);
    loop {
        let count = if plan.only { 1 } else { PER_HOST };
        let made = tempfile::tempdir().context("a directory for samples")?;
        let files = smith(plan, made.path(), first, count)?;
        let mut host = Host::start(plan.binary)?;
        let seeds = first..first + count;
        let samples = seeds.flat_map(|seed| [(seed, files.get(&seed)), (seed, None)]);
        let mut before = None;
        for (seed, file) in samples {
            // Without a file the second is the first once more.
            if before.replace((seed, file)) == Some((seed, file)) {
                continue;
            }
            match host.load(seed, file.map(PathBuf::as_path)) {
                Ok(loaded) => {
                    if plan.only {
                        println!("{loaded:#?}");
                    }
                    summary.add(seed, loaded);
                }
                Err(what) => {
                    let made = file.map_or("shipped", |_| "vcp-smith");
                    eprintln!("seed {seed} ({made}): {what}");
                    summary.findings.push((seed, what));
                    host = Host::start(plan.binary)?;
                }
            }
            if began.elapsed() >= plan.time && !plan.only {
                break;
            }
        }
        first += count;
        if plan.only || began.elapsed() >= plan.time {
            return Ok(summary);
        }
    }
}

/// The files that the smith made, by their seeds.
fn smith(
    plan: Plan<'_>,
    directory: &Path,
    first: u64,
    count: u64,
) -> Result<BTreeMap<u64, PathBuf>> {
    let Some(smith) = plan.smith else {
        return Ok(BTreeMap::new());
    };
    let status = Command::new(smith)
        .arg(directory)
        .args([first.to_string(), count.to_string()])
        .status()
        .with_context(|| format!("starting {}", smith.display()))?;
    anyhow::ensure!(status.success(), "{}: {status}", smith.display());
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).context("reading samples")? {
        let path = entry.context("reading samples")?.path();
        let seed = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        files.extend(seed.map(|seed| (seed, path)));
    }
    Ok(files)
}

struct Host {
    child: Child,
    seeds: ChildStdin,
    answers: Receiver<String>,
}

impl Host {
    fn start(binary: &Path) -> Result<Self> {
        let mut child = Command::new(binary)
            .arg("load-worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let seeds = child.stdin.take().context("its standard input")?;
        let out = child.stdout.take().context("its standard output")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            seeds,
            answers,
        })
    }

    fn load(&mut self, seed: u64, file: Option<&Path>) -> Result<Loaded, String> {
        let file = file.map_or_else(String::new, |file| format!(" {}", file.display()));
        if writeln!(self.seeds, "{seed}{file}").is_err() {
            return Err(self.ended());
        }
        match self.answers.recv_timeout(HANG) {
            Ok(line) => serde_json::from_str(&line).map_err(|e| format!("said {line:?}: {e}")),
            Err(RecvTimeoutError::Timeout) => Err(format!("hung for {HANG:?}")),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    fn ended(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => format!("the host process ended: {status}"),
            Err(error) => format!("the host process ended: {error}"),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

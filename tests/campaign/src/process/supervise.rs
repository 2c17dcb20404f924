//! Workers and their jobs: one that dies or does not answer is taken note of,
//! together with the job it was on, and replaced.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Job;
use crate::drive::Outcome;

/// How long one run may take: more than all the patience within it.
const HANG: Duration = Duration::from_secs(120);
/// Jobs that a worker takes at a time: those that share a device.
const CHUNK: usize = 16;
/// Runs that one worker makes; the next starts afresh.
const RUNS_PER_WORKER: usize = 4000;

/// A worker that died or hung.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Trouble {
    /// What it was on.
    pub job: String,
    /// What became of it.
    pub what: String,
}

/// All that came of a campaign.
#[derive(Debug, Default, serde::Serialize)]
pub struct Results {
    /// Of each run that ended.
    pub outcomes: Vec<Outcome>,
    /// Of each that did not.
    pub troubles: Vec<Trouble>,
}

struct Board<'a> {
    jobs: Mutex<VecDeque<Job>>,
    results: Mutex<Results>,
    progress: &'a (dyn Fn(usize) + Sync),
}

/// Has `count` workers, each the program `binary worker`, do all jobs.
pub fn campaign(
    binary: &Path,
    jobs: Vec<Job>,
    count: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Results> {
    let board = Board {
        jobs: Mutex::new(jobs.into()),
        results: Mutex::default(),
        progress,
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| tend(binary, &board)))
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let results = board.results.into_inner();
    Ok(results.unwrap_or_else(PoisonError::into_inner))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One worker after another, until there are no more jobs.
fn tend(binary: &Path, board: &Board<'_>) -> Result<()> {
    loop {
        let mut worker = match Worker::start(binary)? {
            Ok(worker) => worker,
            Err(trouble) => anyhow::bail!("a worker does not start: {trouble}"),
        };
        let mut runs = 0;
        while runs < RUNS_PER_WORKER {
            let chunk: Vec<Job> = {
                let mut jobs = lock(&board.jobs);
                let count = jobs.len().min(CHUNK);
                jobs.drain(..count).collect()
            };
            if chunk.is_empty() {
                return Ok(());
            }
            runs += chunk.len();
            let mut chunk = chunk.into_iter();
            let mut trouble = None;
            for job in chunk.by_ref() {
                match worker.run(job) {
                    Ok(outcome) => add(board, outcome),
                    Err(what) => {
                        trouble = Some(Trouble {
                            job: job.to_string(),
                            what,
                        });
                        break;
                    }
                }
            }
            if let Some(trouble) = trouble {
                eprintln!("{}: {}", trouble.job, trouble.what);
                lock(&board.results).troubles.push(trouble);
                lock(&board.jobs).extend(chunk);
                break;
            }
        }
    }
}

fn add(board: &Board<'_>, outcome: Outcome) {
    for failure in &outcome.failures {
        let Outcome {
            kind, module, seed, ..
        } = &outcome;
        eprintln!("{kind} {module} {seed}: {failure}\n  {}", outcome.change);
    }
    let mut results = lock(&board.results);
    results.outcomes.push(outcome);
    (board.progress)(results.outcomes.len());
}

struct Worker {
    child: Child,
    jobs: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    fn start(binary: &Path) -> Result<Result<Self, String>> {
        let mut child = Command::new(binary)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let jobs = child.stdin.take().context("its standard input")?;
        let out = child.stdout.take().context("its standard output")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut worker = Self {
            child,
            jobs,
            answers,
        };
        Ok(worker.line().map(|_ready| worker))
    }

    fn run(&mut self, job: Job) -> Result<Outcome, String> {
        let sent = writeln!(self.jobs, "{job}").and_then(|()| self.jobs.flush());
        if sent.is_err() {
            return Err(self.ended());
        }
        let line = self.line()?;
        serde_json::from_str(&line).map_err(|e| format!("said {line:?}: {e}"))
    }

    fn line(&mut self) -> Result<String, String> {
        match self.answers.recv_timeout(HANG) {
            Ok(line) => Ok(line),
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

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

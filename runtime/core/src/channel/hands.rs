//! A thread that helps a channel processor: it does what takes long and need not be done on
//! the data path, one job after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::thread::CpuSet;

type Job = Box<dyn FnOnce() + Send>;

/// The most jobs that may wait. Some hold the memory of an instance, so they must not pile
/// up.
const MOST: usize = 8;

/// The thread, started when there is something for it to do.
pub(super) struct Hands {
    name: String,
    /// Where it may run: not where the VCP that is to be left in peace is pinned.
    affinity: Option<CpuSet>,
    runtime: Option<tokio::runtime::Handle>,
    /// Jobs given and not done.
    waiting: Arc<AtomicUsize>,
    jobs: Option<Sender<Job>>,
}

impl Hands {
    pub(super) fn new(vcp: &str, affinity: Option<CpuSet>) -> Self {
        Self {
            name: format!("{vcp}-helper"),
            affinity,
            runtime: tokio::runtime::Handle::try_current().ok(),
            waiting: Arc::default(),
            jobs: None,
        }
    }

    /// Has a job done after `rest`. Without a thread, or if that is too far behind, the job
    /// is done here and now.
    pub(super) fn give(&mut self, rest: Duration, job: impl FnOnce() + Send + 'static) {
        if !self.is_free() {
            return job();
        }
        let waiting = Arc::clone(&self.waiting);
        waiting.fetch_add(1, Ordering::Relaxed);
        let job: Job = Box::new(move || {
            std::thread::sleep(rest);
            job();
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
        let Some(jobs) = &self.jobs else {
            return job();
        };
        if let Err(returned) = jobs.send(job) {
            (returned.0)();
        }
    }

    /// Has a job done that must not be done here; `false` if it was not taken, and is to be
    /// offered again later.
    pub(super) fn offer(&mut self, job: impl FnOnce() + Send + 'static) -> bool {
        let free = self.is_free();
        if free {
            self.give(Duration::ZERO, job);
        }
        free
    }

    /// Whether there is a thread that is not too far behind.
    fn is_free(&mut self) -> bool {
        self.waiting.load(Ordering::Relaxed) < MOST && self.start().is_some()
    }

    fn start(&mut self) -> Option<&Sender<Job>> {
        if self.jobs.is_none() {
            let (jobs, todo) = channel::<Job>();
            let (affinity, runtime) = (self.affinity, self.runtime.clone());
            let work = move || {
                // Granted WASI operations may need tokio's timers.
                let _runtime = runtime.as_ref().map(|runtime| runtime.enter());
                if let Some(set) = affinity {
                    // If that fails, it runs where its VCP does.
                    let _ = rustix::thread::sched_setaffinity(None, &set);
                }
                // Threads that serve go first.
                super::idle::give_way();
                todo.into_iter().for_each(|job| job());
            };
            let builder = std::thread::Builder::new().name(self.name.clone());
            match builder.spawn(work) {
                Ok(_thread) => self.jobs = Some(jobs),
                Err(error) => tracing::warn!("starting {}: {error}", self.name),
            }
        }
        self.jobs.as_ref()
    }

    /// Has `last` done after all other jobs, and does not wait for that.
    pub(super) fn finish(self, last: impl FnOnce() + Send + 'static) {
        let Some(jobs) = self.jobs else {
            return last();
        };
        if let Err(returned) = jobs.send(Box::new(last)) {
            (returned.0)();
        }
    }
}

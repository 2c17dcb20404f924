//! What the operating system says of this process, its threads and the machine. It
//! is the judge: nothing here asks the host that is measured.

use std::fs;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::process::Process;

/// How long a thread that is on its way may take to appear.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of /proc/stat, which counts in these on every Linux architecture.
const TICK: f64 = 0.01;
/// The nice value that is no favour to anyone.
const SELFISH: i32 = -20;

/// A thread of this process.
#[derive(Debug, Clone, Copy)]
pub struct Thread(u32);

impl Thread {
    /// Those whose names begin so.
    pub fn all(name: &str) -> Vec<u32> {
        let tasks = fs::read_dir("/proc/self/task").expect("Linux has it");
        let numbers = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
        let named = |id: &u32| {
            let comm = fs::read_to_string(format!("/proc/self/task/{id}/comm"));
            comm.is_ok_and(|comm| comm.starts_with(name))
        };
        numbers.filter(named).collect()
    }

    /// The one of this name that was not there before.
    pub fn new(name: &str, before: &[u32]) -> Self {
        let began = Instant::now();
        loop {
            let all = Self::all(name);
            if let Some(id) = all.into_iter().find(|id| !before.contains(id)) {
                return Self(id);
            }
            assert!(began.elapsed() < PATIENCE, "no thread {name}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How long it has run on a CPU, in nanoseconds, as the kernel's scheduler counts
    /// it: to within a tick of now.
    pub fn cpu(self) -> u64 {
        let path = format!("/proc/self/task/{}/schedstat", self.0);
        let text = fs::read_to_string(path).expect("the thread runs, and the kernel counts");
        let first = text.split_whitespace().next();
        first.and_then(|ns| ns.parse().ok()).expect("a number")
    }
}

/// CPU time of this process, in nanoseconds.
pub fn process_cpu() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// The monotonic clock, in nanoseconds.
pub fn now() -> u64 {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Memory of this process that is resident, in bytes; counted page by page, because
/// the quick counters of the kernel are off by some.
pub fn resident() -> u64 {
    field("/proc/self/smaps_rollup", "Rss:") * 1024
}

/// The number after a name in a file of /proc.
pub(crate) fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).expect("Linux has it");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.expect("Linux says so")
}

/// Lets this process have as many descriptors as it may.
pub fn want_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, most).expect("raising it to what it may be");
}

/// Lets this process, what it starts, and what is in its session go before all that is
/// not real-time. A machine that groups processes by session weighs the groups first.
pub fn take_precedence() -> io::Result<()> {
    setpriority_process(None, SELFISH)?;
    let group = fs::write("/proc/self/autogroup", SELFISH.to_string());
    match group {
        // Not every kernel has groups.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Does something on a thread that has a CPU only while nobody else wants it, and so do
/// the threads that are started there (`SCHED_IDLE`).
///
/// # Errors
///
/// When `chrt` of util-linux can't be run, or the kernel refuses.
pub fn behind_all<T: Send>(act: impl FnOnce() -> T + Send) -> io::Result<T> {
    let idle = || {
        let thread = gettid().as_raw_nonzero().to_string();
        let mut chrt = Command::new("chrt");
        let status = chrt.args(["--idle", "--pid", "0", &thread]).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("chrt: {status}")));
        }
        Ok(act())
    };
    std::thread::scope(|scope| scope.spawn(idle).join().expect("a panic has been told"))
}

/// CPUs that this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does something on a CPU, if this thread may use that one: what it starts meanwhile
/// stays there.
pub fn on_cpu<T>(cpu: usize, act: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None).expect("this thread is there");
    if !before.is_set(cpu) {
        return act();
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).expect("one of those that it may use");
    let done = act();
    sched_setaffinity(None, &before).expect("as before");
    done
}

/// A thread that keeps a CPU busy for as long as this is kept.
pub struct Spinning {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Spinning {
    /// On this CPU, if this process may use it.
    #[must_use]
    pub fn start(cpu: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let spin = move || while !told.load(Ordering::Relaxed) {};
        let thread = std::thread::spawn(move || on_cpu(cpu, spin));
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does nothing that could fail");
        }
    }
}

/// The machine in one line.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let version: Vec<_> = release.split(['.', '-']).take(3).collect();
    format!(
        "{} CPUs ({}), {}, Linux {}",
        cpus(),
        model.unwrap_or_else(|| "unknown".to_owned()),
        uname.machine().to_string_lossy(),
        version.join(".")
    )
}

/// How busy others kept the machine: what else a measurement that looks odd may be
/// due to.
#[derive(Debug, Clone)]
pub struct Others {
    began: Instant,
    busy: f64,
    own: f64,
    measured: Vec<Process>,
}

impl Others {
    /// From now on.
    #[must_use]
    pub fn watch() -> Self {
        Self::than(Vec::new())
    }

    /// Others than this process, those that it starts and waits for, and these.
    #[must_use]
    pub fn than(measured: Vec<Process>) -> Self {
        Self {
            began: Instant::now(),
            busy: busy(),
            own: own(&measured),
            measured,
        }
    }

    /// CPUs that others used since then, on average.
    #[must_use]
    pub fn cores(&self) -> f64 {
        let used = busy() - self.busy - (own(&self.measured) - self.own);
        (used / self.began.elapsed().as_secs_f64()).max(0.0)
    }
}

/// CPU time of this process, of its children that have ended, and of those named.
fn own(measured: &[Process]) -> f64 {
    let children = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    // The second field is a name in parentheses that may hold anything.
    let after_name = children.rsplit_once(')').expect("a name").1;
    let ticks = after_name.split_whitespace().skip(13).take(2);
    let children: f64 = ticks.filter_map(|t| t.parse::<f64>().ok()).sum();
    let measured: u64 = measured.iter().map(|process| process.cpu()).sum();
    (process_cpu() + measured) as f64 / 1e9 + children * TICK
}

/// Seconds that all CPUs together were not idle, or were stolen.
fn busy() -> f64 {
    let text = fs::read_to_string("/proc/stat").expect("Linux has it");
    let line = text.lines().next().expect("the sum of all CPUs");
    let ticks: Vec<f64> = line
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
    let used = [0, 1, 2, 5, 6, 7].map(|at| ticks.get(at).copied().unwrap_or(0.0));
    used.iter().sum::<f64>() * TICK
}

//! Many VCPs on one host: what they cost while they do nothing, and whether all get
//! on while all do something.

use std::time::{Duration, Instant};

use vcp_benches::bed::{Bed, Running, Starting, cpu};
use vcp_benches::os::{self, Others, Thread};
use vcp_benches::row::{Row, Want};
use vcp_benches::stats::sorted;
use vcp_core::{BEST_EFFORT, Settings};

use crate::client::Load;

/// How many.
const VCPS: usize = 256;
/// Bytes of each RAM disk.
const SIZE: u64 = 64 << 10;
const DEPTH: u64 = 4;
/// What all together may use of a CPU while idle, in percent.
const IDLE: f64 = 1.0;
/// Resident, in MiB for each.
const RESIDENT: f64 = 2.0;
/// The slowest, in percent of the mean.
const SLOWEST: f64 = 50.0;
const SETTLE: Duration = Duration::from_secs(1);

/// Where they are, what their threads' names begin with, and their CPUs.
const PLACES: [(&str, &str, &[usize]); 2] = [
    ("a thread each", "vcp-crowd", &[]),
    ("all on one CPU", "vcp-cpu0", &[0]),
];

/// Rates of all VCPs for a plot: where they were, and IOPS in ascending order.
pub(crate) type Rates = (&'static str, Vec<f64>);

/// Idle for so long, then busy for so long, in each of the places. Memory counts in the
/// first alone: the second has what that leaves.
pub(crate) fn measure(bed: &Bed, time: Duration) -> (Vec<Row>, Vec<Rates>) {
    os::want_descriptors();
    let (mut rows, mut rates) = (Vec::new(), Vec::new());
    for (place, threads, pin) in PLACES {
        let row = |what: &str, unit, samples| {
            Row::new(format!("{VCPS} VCPs, {place}: {what}"), unit, samples)
        };
        let (others, before) = (Others::watch(), os::resident());
        let vcps = start(bed, pin);
        std::thread::sleep(SETTLE);
        let mut here = Vec::new();
        if rates.is_empty() {
            let resident = os::resident().saturating_sub(before) as f64;
            let each = vec![resident / 1_048_576.0 / VCPS as f64];
            here.push(row("resident each", "MiB", each).want(Want::AtMost(RESIDENT)));
        }
        let count = Thread::all(threads).len() as f64;
        here.push(row("threads", "", vec![count]));
        let idle = vec![idle(time)];
        here.push(row("idle", "% of CPU", idle).want(Want::AtMost(IDLE)));
        let all = load(&vcps, time);
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let slowest = vec![all[0] / mean * 100.0];
        here.push(row("requests a second of each", "IOPS", all.clone()));
        here.push(row("the slowest, of the mean", "%", slowest).want(Want::AtLeast(SLOWEST)));
        drop(vcps);
        let others = others.cores();
        rows.extend(here.into_iter().map(|row| row.others(others)));
        rates.push((place, all));
    }
    (rows, rates)
}

/// What this process uses of a CPU, in percent.
fn idle(time: Duration) -> f64 {
    let (began, used) = (Instant::now(), os::process_cpu());
    std::thread::sleep(time);
    (os::process_cpu() - used) as f64 / began.elapsed().as_nanos() as f64 * 100.0
}

fn start(bed: &Bed, pin: &[usize]) -> Vec<Running> {
    let begin = |n: usize| {
        let name = format!("crowd{n}");
        bed.begin(Settings {
            cpu: cpu(pin, BEST_EFFORT),
            ..bed.ramdisk(&name, SIZE)
        })
    };
    let starting: Vec<Starting> = (0..VCPS).map(begin).collect();
    starting.into_iter().map(Starting::wait).collect()
}

/// Load on all of them for so long; what each did a second, in ascending order.
fn load(vcps: &[Running], time: Duration) -> Vec<f64> {
    let attach = |running: &Running| Load::attach(&running.vcp, DEPTH, SIZE);
    let loads: Vec<Load> = vcps.iter().map(attach).collect();
    std::thread::sleep(SETTLE);
    let count = || loads.iter().map(Load::answered).collect::<Vec<_>>();
    let (began, before) = (Instant::now(), count());
    std::thread::sleep(time);
    let after = count();
    let seconds = began.elapsed().as_secs_f64();
    let rates = after.iter().zip(before);
    sorted(rates.map(|(a, b)| (a - b) as f64 / seconds).collect())
}

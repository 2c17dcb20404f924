//! What a VCP feels of another that crashes without end, each on a CPU of its
//! own: times alone and beside it in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vcp_benches::bed::Bed;
use vcp_benches::os::cpus;
use vcp_benches::row::{Row, Want};
use vcp_benches::stats::Samples;
use vcp_core::{Injection, RestartSettings, Vcp};
use vcp_queue::Status;

use crate::bed::ramdisk;
use crate::client::{Load, attach};

/// Bytes of each RAM disk.
const SIZE: u64 = 16 << 20;

/// How the one that crashes is started again.
const RESTARTS: [(&str, bool); 2] = [("with back-off", false), ("at once", true)];

/// 99th percentiles of reads of 4 KiB, in microseconds: alone, beside a VCP that
/// crashes as its restarts let it, and beside one that is restarted at once.
pub(crate) fn measure(bed: &Bed, repetitions: usize, time: Duration) -> Vec<Row> {
    if cpus() < 2 {
        println!("two VCPs pinned apart want two CPUs");
        return Vec::new();
    }
    let quiet = bed.start(ramdisk(bed, "quiet", SIZE, 0));
    let crashing = RESTARTS.map(|(name, at_once)| {
        let mut settings = ramdisk(bed, name, SIZE, 1);
        if !at_once {
            settings.restart = RestartSettings::default();
        }
        bed.start(settings)
    });
    let mut samples: [Vec<f64>; 3] = Default::default();
    let mut errors = [0; 3];
    for repetition in 0..repetitions {
        // Each comes first as often as the others.
        for place in 0..samples.len() {
            let arm = (repetition + place) % samples.len();
            let other = arm.checked_sub(1).map(|index| &*crashing[index].vcp);
            let (p99, failed) = beside(&quiet.vcp, other, time);
            samples[arm].push(p99);
            errors[arm] += failed;
        }
    }
    let [alone, rest @ ..] = samples;
    let alone = Row::new("p99 of a read, QD1, alone", "µs", alone).errors(errors[0]);
    // A tenth above what it is alone.
    let most = (alone.median() * 1.1 * 1e3).round() / 1e3;
    let mut rows = vec![alone];
    for (index, samples) in rest.into_iter().enumerate() {
        let (name, at_once) = RESTARTS[index];
        let crashes = crashing[index].vcp.stats().faults;
        let what = format!("p99 beside {crashes} crashes, restarted {name}");
        let row = Row::new(what, "µs", samples).errors(errors[index + 1]);
        rows.push(if at_once {
            row
        } else {
            row.want(Want::AtMost(most))
        });
    }
    rows
}

fn beside(quiet: &Arc<Vcp>, crashing: Option<&Vcp>, time: Duration) -> (f64, u64) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if let Some(crashing) = crashing {
            scope.spawn(|| crash_on(crashing, &stop));
        }
        let result = p99(quiet, time);
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// Kills a VCP whenever it is there.
fn crash_on(vcp: &Vcp, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        vcp.inject(Injection::Trap);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn p99(vcp: &Arc<Vcp>, time: Duration) -> (f64, u64) {
    let load = Load {
        depth: 1,
        block: 4096,
        span: SIZE,
        writes: false,
    };
    let completions = attach(vcp, load);
    let began = Instant::now();
    let mut latencies = Vec::new();
    let mut errors = 0;
    while began.elapsed() < time {
        // In batches: a receiver that is woken for each would take part.
        std::thread::sleep(Duration::from_millis(20));
        for completion in completions.try_iter() {
            errors += u64::from(completion.status != Status::Ok);
            let latency = completion.at - completion.asked;
            latencies.push(latency.as_nanos() as f64 / 1e3);
        }
    }
    (Samples::new(latencies).quantile(0.99), errors)
}

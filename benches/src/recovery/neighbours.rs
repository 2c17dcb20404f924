//! What a VCP feels of another that crashes without end, each on a CPU of its
//! own: times alone and beside it in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vcp_core::{Injection, Vcp};
use vcp_queue::Status;

use crate::bed::{Bed, settings};
use crate::client::{Load, attach};
use crate::row::Row;

const SIZE: &str = "16MiB";

/// 99th percentiles of reads of 4 KiB, in microseconds: alone, and beside.
pub(crate) fn measure(bed: &Bed, repetitions: usize, time: Duration) -> Vec<Row> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < 2 {
        println!("two VCPs pinned apart want two CPUs");
        return Vec::new();
    }
    let mut quiet = settings("quiet", &bed.ramdisk, &[0]);
    let mut crashing = settings("crashing", &bed.ramdisk, &[1]);
    for settings in [&mut quiet, &mut crashing] {
        settings.config = vec![("size".to_owned(), SIZE.to_owned())];
    }
    let (quiet, _events) = bed.start(quiet);
    let (crashing, _others) = bed.start(crashing);
    let mut samples = [Vec::new(), Vec::new()];
    let mut errors = [0, 0];
    for repetition in 0..2 * repetitions {
        // Alone first and beside first, as often.
        let beside = (repetition / 2 + repetition) % 2;
        let stop = AtomicBool::new(beside == 0);
        let (p99, failed) = std::thread::scope(|scope| {
            scope.spawn(|| crash_on(&crashing, &stop));
            let result = p99(&quiet, time);
            stop.store(true, Ordering::Relaxed);
            result
        });
        samples[beside].push(p99);
        errors[beside] += failed;
    }
    let crashes = crashing.stats().faults;
    let [alone, beside] = samples;
    let alone = Row::new("p99 of a read, QD1, alone", "µs", alone, errors[0]);
    let most = alone.quantile(0.5) * 1.1;
    let name = format!("p99 beside a VCP that crashed {crashes} times");
    let beside = Row::new(&name, "µs", beside, errors[1]).at_most((most * 1e3).round() / 1e3);
    vec![alone, beside]
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
        span: 16 << 20,
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
    (Row::new("", "µs", latencies, 0).quantile(0.99), errors)
}

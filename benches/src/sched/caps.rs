//! A VCP in an endless loop gets its share of a CPU and nothing beyond, by the
//! kernel's own count.

use std::time::{Duration, Instant};

use vcp_benches::bed::Bed;
use vcp_benches::os::{Others, Thread};
use vcp_benches::row::{Row, Want};

use crate::hog::{Hog, PERIOD, share};

/// The CPU.
const CPU: usize = 0;
/// Percent of it.
const SHARES: [u64; 3] = [1, 10, 50];
/// How far off it may be, in percent of the CPU.
const TOLERANCE: f64 = 1.0;
/// What it ran before it had a budget is none of this.
const SETTLE: Duration = Duration::from_millis(300);

/// Each share so many times, for so long.
pub(crate) fn measure(bed: &Bed, repetitions: usize, time: Duration) -> Vec<Row> {
    let name = format!("vcp-cpu{CPU}");
    let mut samples: [Vec<f64>; SHARES.len()] = Default::default();
    let others = Others::watch();
    for _ in 0..repetitions {
        for (percent, samples) in SHARES.iter().zip(&mut samples) {
            // Somewhat more than it should have, so that more would show.
            let fair = (time + SETTLE).mul_f64(*percent as f64 / 100.0);
            let before = Thread::all(&name);
            let hog = Hog::start(bed, CPU, fair.mul_f64(1.2) + Duration::from_millis(500));
            let thread = Thread::new(&name, &before);
            hog.set(share(*percent, PERIOD, 0));
            std::thread::sleep(SETTLE);
            let (began, used) = (Instant::now(), thread.cpu());
            std::thread::sleep(time);
            let used = (thread.cpu() - used) as f64 / 1e9;
            samples.push(used / began.elapsed().as_secs_f64() * 100.0);
            assert_eq!(hog.vcp().vcp.stats().faults, 0, "it had far too much");
        }
    }
    let others = others.cores();
    let rows = SHARES.iter().zip(samples).map(|(percent, samples)| {
        let what = format!("endless loop, {percent} % of 10 ms, no slack");
        let want = Want::Near(*percent as f64, TOLERANCE);
        Row::new(what, "% of CPU", samples)
            .want(want)
            .others(others)
    });
    rows.collect()
}

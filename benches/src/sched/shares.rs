//! Two RAM disks under load and an endless loop on one channel processor: who gets
//! how much of it.

use std::time::{Duration, Instant};

use vcp_benches::bed::{Bed, Running, cpu};
use vcp_benches::os::{Others, Thread};
use vcp_benches::row::{Row, Want};
use vcp_core::{BEST_EFFORT, Settings};

use crate::client::Load;
use crate::hog::{Hog, PERIOD, share};

const CPU: usize = 0;
/// Who is there, and percent of the processor that are reserved for each.
const NAMES: [&str; 3] = ["disk A", "disk B", "endless loop"];
const SHARES: [u64; 3] = [40, 40, 20];
const SIZE: u64 = 8 << 20;
const DEPTH: u64 = 8;
/// How far off a share may be, in percent of the processor.
const TOLERANCE: f64 = 2.0;
/// How far the accounts may be from the kernel's count, in percent of that.
const ACCURACY: f64 = 1.0;
/// From one phase to the next.
const SETTLE: Duration = Duration::from_millis(200);
/// Of the plot.
const STEP: Duration = Duration::from_millis(100);

/// A phase: what it is, whether there is slack, whether disk B has load, and what
/// each should get.
struct Phase {
    what: &'static str,
    slack: bool,
    busy: bool,
    wanted: [f64; 3],
}

/// In this order; the last is to see that all is as before.
const PHASES: [Phase; 4] = [
    Phase {
        what: "all busy, no slack",
        slack: false,
        busy: true,
        wanted: [40.0, 40.0, 20.0],
    },
    Phase {
        what: "all busy, slack",
        slack: true,
        busy: true,
        wanted: [40.0, 40.0, 20.0],
    },
    // What B does not use goes to the others as 40 to 20.
    Phase {
        what: "B idle, slack",
        slack: true,
        busy: false,
        wanted: [200.0 / 3.0, 0.0, 100.0 / 3.0],
    },
    Phase {
        what: "B busy again, slack",
        slack: true,
        busy: true,
        wanted: [40.0, 40.0, 20.0],
    },
];

/// Shares over time, for a plot: seconds, and percent of each.
pub(crate) type Course = Vec<(f64, [f64; 3])>;

/// All on one processor.
struct Scene {
    disks: [Running; 2],
    hog: Hog,
    loads: [Load; 2],
    thread: Thread,
}

/// CPU time so far, in nanoseconds: by the accounts, and by the kernel.
struct Counts {
    each: [u64; 3],
    thread: u64,
    at: Instant,
}

/// Goes through the phases so many times, each for so long.
pub(crate) fn measure(bed: &Bed, repetitions: usize, time: Duration) -> (Vec<Row>, Course) {
    let spent = (time + SETTLE).mul_f64(PHASES.len() as f64 * repetitions as f64);
    let scene = Scene::new(bed, spent.mul_f64(0.35) + Duration::from_secs(2));
    let mut samples: [[Vec<f64>; 3]; PHASES.len()] = Default::default();
    let (mut sums, mut walls, mut course) = (Vec::new(), Vec::new(), Course::new());
    let others = Others::watch();
    for repetition in 0..repetitions {
        let began = Instant::now();
        for (phase, samples) in PHASES.iter().zip(&mut samples) {
            scene.enter(phase);
            let before = scene.count();
            let mut last = scene.count();
            while before.at.elapsed() < time {
                std::thread::sleep(STEP);
                let next = scene.count();
                if repetition == 0 {
                    let middle = (last.at - began + (next.at - last.at) / 2).as_secs_f64();
                    course.push((middle, last.of_processor(&next)));
                }
                last = next;
            }
            let part = before.of_processor(&last);
            samples.iter_mut().zip(part).for_each(|(s, p)| s.push(p));
            let used = (last.thread - before.thread) as f64;
            let told: u64 = last.each.iter().sum::<u64>() - before.each.iter().sum::<u64>();
            sums.push(told as f64 / used * 100.0);
            walls.push(used / (last.at - before.at).as_nanos() as f64 * 100.0);
        }
    }
    let rows = rows(samples, sums, walls);
    let others = others.cores();
    let rows = rows.into_iter().map(|row| row.others(others));
    (rows.collect(), course)
}

fn rows(samples: [[Vec<f64>; 3]; PHASES.len()], sums: Vec<f64>, walls: Vec<f64>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (phase, samples) in PHASES.iter().zip(samples) {
        for (index, samples) in samples.into_iter().enumerate() {
            let what = format!("{}: {}, {} %", phase.what, NAMES[index], SHARES[index]);
            let want = Want::Near(phase.wanted[index], TOLERANCE);
            rows.push(Row::new(what, "% of CPU", samples).want(want));
        }
    }
    let want = Want::Near(100.0, ACCURACY);
    rows.push(Row::new("sum of the accounts, of what the kernel counted", "%", sums).want(want));
    rows.push(Row::new(
        "what the kernel let the processor run",
        "% of CPU",
        walls,
    ));
    rows
}

impl Scene {
    fn new(bed: &Bed, hog_runs: Duration) -> Self {
        let name = format!("vcp-cpu{CPU}");
        let before = Thread::all(&name);
        let start = |name: &str| {
            bed.start(Settings {
                cpu: cpu(&[CPU], BEST_EFFORT),
                ..bed.ramdisk(name, SIZE)
            })
        };
        let disks = ["disk-a", "disk-b"].map(start);
        let hog = Hog::start(bed, CPU, hog_runs);
        Self {
            loads: [0, 1].map(|disk: usize| Load::attach(&disks[disk].vcp, DEPTH, SIZE)),
            thread: Thread::new(&name, &before),
            disks,
            hog,
        }
    }

    fn all(&self) -> [&Running; 3] {
        [&self.disks[0], &self.disks[1], self.hog.vcp()]
    }

    fn enter(&self, phase: &Phase) {
        for (vcp, percent) in self.all().into_iter().zip(SHARES) {
            let weight = if phase.slack { percent as u32 } else { 0 };
            vcp.set(share(percent, PERIOD, weight));
        }
        self.loads[1].pause(!phase.busy);
        std::thread::sleep(SETTLE);
        assert_eq!(
            self.hog.vcp().vcp.stats().faults,
            0,
            "it has run for too long"
        );
    }

    fn count(&self) -> Counts {
        Counts {
            each: self.all().map(Running::used),
            thread: self.thread.cpu(),
            at: Instant::now(),
        }
    }
}

impl Counts {
    /// From here to there, in percent of what all had together: a CPU that others
    /// took away was not the processor's to share.
    fn of_processor(&self, then: &Self) -> [f64; 3] {
        let each = [0, 1, 2].map(|n: usize| (then.each[n] - self.each[n]) as f64);
        let sum = each.iter().sum::<f64>().max(1.0);
        each.map(|one| one / sum * 100.0)
    }
}

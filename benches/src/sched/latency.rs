//! How long a read of 4 KiB takes from a RAM disk that is promised a quarter of a
//! CPU: alone, beside an endless loop on the same channel processor, and beside one
//! on another CPU. Alone and beside in turn, a short time each.

use std::time::Duration;

use vcp_benches::bed::{Bed, Running, cpu};
use vcp_benches::os::{Others, Spinning, cpus};
use vcp_benches::row::{Row, Want};
use vcp_benches::stats::{quantile, sorted};
use vcp_core::{BEST_EFFORT, Budget, Settings};

use crate::client::{Pause, dialogue};
use crate::hog::{Hog, PERIOD, share};

const SIZE: u64 = 8 << 20;
/// 25 % of 5 ms.
const GUARANTEE: Budget = Budget {
    period: 5_000_000,
    slice: 1_250_000,
    slack: 25,
};
/// From one request to the next.
const PAUSED: Pause = Pause::Around(2_000_000);
/// The loop's CPU, and the disk's where they are apart.
const LOOP_CPU: usize = 0;
const APART_CPU: usize = 1;
const SETTLE: Duration = Duration::from_millis(20);

/// A distribution for a plot: what it is of, and microseconds in ascending order.
pub(crate) type Distribution = (&'static str, Vec<f64>);

/// What is measured: where the disk is and what the loop has.
struct Arm {
    what: &'static str,
    /// The disk that shares the loop's processor; or else the one that is alone.
    same: bool,
    hog: Option<Budget>,
    /// A thread that is no VCP's keeps the loop's CPU busy instead.
    thread: bool,
    pause: Pause,
    p99s: Vec<f64>,
    all: Vec<f64>,
}

/// Slices of so long, so often.
pub(crate) fn measure(
    (bed, other): (&Bed, &Bed),
    repetitions: usize,
    time: Duration,
) -> (Vec<Row>, Vec<Distribution>) {
    let others = Others::watch();
    let runs_for = (time + SETTLE * 2).mul_f64(repetitions as f64 * 1.2) + Duration::from_secs(2);
    let mut same = [
        Arm::new("alone", false, None, PAUSED),
        Arm::new(
            "beside a loop, best effort",
            true,
            Some(BEST_EFFORT),
            PAUSED,
        ),
        Arm::new(
            "beside a loop of 75 %",
            true,
            Some(share(75, PERIOD, 75)),
            PAUSED,
        ),
    ];
    {
        let beside = bed.start(disk(bed, "disk", LOOP_CPU));
        let alone = other.start(disk(other, "alone", LOOP_CPU));
        let hog = Hog::start(bed, LOOP_CPU, runs_for * 2);
        take_turns(&mut same, [&alone, &beside], &hog, repetitions, time);
    }
    let loop_has = Some(BEST_EFFORT);
    let mut apart = [
        Arm::new("loop on another CPU: without it", false, None, PAUSED),
        Arm::new("loop on another CPU", false, loop_has, PAUSED),
        // What else the machine does moves over to the disk's CPU with either.
        Arm {
            thread: true,
            ..Arm::new(
                "loop on another CPU: a thread in its place",
                false,
                None,
                PAUSED,
            )
        },
        Arm::new(
            "loop on another CPU: without it, no pauses",
            false,
            None,
            Pause::None,
        ),
        Arm::new(
            "loop on another CPU, no pauses",
            false,
            loop_has,
            Pause::None,
        ),
    ];
    if cpus() > 1 {
        let alone = other.start(disk(other, "apart", APART_CPU));
        let hog = Hog::start(bed, LOOP_CPU, runs_for * 4);
        take_turns(&mut apart, [&alone, &alone], &hog, repetitions * 2, time);
    } else {
        println!("two VCPs pinned apart want two CPUs");
    }
    let others = others.cores();
    let rows = rows(&same, &apart);
    let rows = rows.into_iter().map(|row| row.others(others)).collect();
    let [_, paused, ..] = apart;
    let arms = same.into_iter().chain([paused]);
    let plotted = arms.filter(|arm| !arm.all.is_empty());
    (
        rows,
        plotted.map(|arm| (arm.what, sorted(arm.all))).collect(),
    )
}

fn disk(bed: &Bed, name: &str, on: usize) -> Settings {
    Settings {
        cpu: cpu(&[on], GUARANTEE),
        ..bed.ramdisk(name, SIZE)
    }
}

fn rows(same: &[Arm; 3], apart: &[Arm; 5]) -> Vec<Row> {
    let alone = same[0].row();
    // What its period may cost it, and no more.
    let most = alone.median() + GUARANTEE.period as f64 / 1e3;
    let mut rows = vec![alone];
    rows.extend(
        same[1..]
            .iter()
            .map(|arm| arm.row().want(Want::AtMost(most))),
    );
    let [without, with, thread, talking, talking_beside] = apart;
    if without.p99s.is_empty() {
        return rows;
    }
    for (alone, beside) in [(without, with), (talking, talking_beside)] {
        let alone = alone.row();
        let most = alone.median() * 1.1;
        rows.extend([alone, beside.row().want(Want::AtMost(most))]);
    }
    rows.push(thread.row());
    rows
}

/// Each comes first as often as the others.
fn take_turns(
    arms: &mut [Arm],
    [alone, beside]: [&Running; 2],
    hog: &Hog,
    repetitions: usize,
    time: Duration,
) {
    for repetition in 0..repetitions {
        for place in 0..arms.len() {
            let arm = (repetition + place) % arms.len();
            let arm = &mut arms[arm];
            match arm.hog {
                Some(budget) => hog.set(budget),
                None => hog.park(),
            }
            let disk = if arm.same { beside } else { alone };
            let spinning = arm.thread.then(|| Spinning::start(LOOP_CPU));
            std::thread::sleep(SETTLE);
            let received = dialogue(&disk.vcp, arm.pause, SIZE);
            std::thread::sleep(time);
            drop(spinning);
            let latencies = sorted(received.try_iter().collect());
            arm.p99s.push(quantile(&latencies, 0.99));
            arm.all.extend(latencies);
        }
    }
    hog.park();
}

impl Arm {
    fn new(what: &'static str, same: bool, hog: Option<Budget>, pause: Pause) -> Self {
        Self {
            what,
            same,
            hog,
            thread: false,
            pause,
            p99s: Vec::new(),
            all: Vec::new(),
        }
    }

    fn row(&self) -> Row {
        let what = format!("p99 of a read, {}", self.what);
        Row::new(what, "µs", self.p99s.clone())
    }
}

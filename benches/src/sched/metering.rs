//! What it costs to count fuel: the iSCSI initiator with and without, on TAPs that
//! end at the same `tgtd`, in turn.

use std::time::{Duration, Instant};

use vcp_benches::bed::{Bed, Running, cpu};
use vcp_benches::os::{self, Others, Thread};
use vcp_benches::row::{Row, Want};
use vcp_core::{BEST_EFFORT, Settings};
use vcp_tests::image;
use vcp_tests::lab::Lab;
use vcp_tests::need::{Need, skipped};
use vcp_tests::tgtd::{Lun, Tgtd, Unit};

use crate::client::Load;

/// Bytes of the unit, all of them written before the first measurement.
const UNIT: u64 = 256 << 20;
const DEPTH: u64 = 32;
/// The VCPs' CPU.
const CPU: usize = 0;
/// The target's, where there is a second.
const TARGET_CPU: usize = 1;
/// Of requests, that metering may cost: percent.
const MOST: f64 = 8.0;
const SETTLE: Duration = Duration::from_millis(100);

struct Arm {
    what: &'static str,
    thread: Thread,
    load: Load,
    rates: Vec<f64>,
    /// CPU per request in microseconds.
    cpu: Vec<f64>,
    _vcp: Running,
}

/// So many turns of so long.
pub(crate) fn measure(beds: [&Bed; 2], repetitions: usize, time: Duration) -> Vec<Row> {
    let needs = [Need::Root, Need::Tun, Need::Program("tgtd")];
    if skipped("sched: metering", &needs) {
        return Vec::new();
    }
    let lab = Lab::new();
    // It stays where it is started.
    let tgtd = os::on_cpu(TARGET_CPU, || Tgtd::start(&lab));
    let lun = tgtd
        .target("iqn.2026-11.bench:disk")
        .unit(1, Unit::new(UNIT));
    image::write_random(&lun.file, UNIT, 7);
    let mut arms = [
        Arm::start("metered", beds[0], &lab, &lun, 1),
        Arm::start("not metered", beds[1], &lab, &lun, 2),
    ];
    let others = Others::watch();
    for repetition in 0..repetitions {
        for place in 0..arms.len() {
            let arm = (repetition + place) % arms.len();
            arms[arm].measure(time);
        }
    }
    let others = others.cores();
    rows(&arms)
        .into_iter()
        .map(|row| row.others(others))
        .collect()
}

fn rows([metered, not]: &[Arm; 2]) -> Vec<Row> {
    let mut rows = Vec::new();
    for arm in [metered, not] {
        let what = format!("iSCSI, randread 4k QD{DEPTH}, {}", arm.what);
        rows.push(Row::new(what.as_str(), "IOPS", arm.rates.clone()));
        rows.push(Row::new(what, "CPU µs/IO", arm.cpu.clone()));
    }
    let costs = |with: &[f64], without: &[f64], sign: f64| {
        let pairs = with.iter().zip(without);
        let costs = pairs.map(|(with, without)| sign * (with / without - 1.0) * 100.0);
        costs.collect::<Vec<_>>()
    };
    let rates = costs(&metered.rates, &not.rates, -1.0);
    let cpu = costs(&metered.cpu, &not.cpu, 1.0);
    rows.push(Row::new("metering costs of the IOPS", "%", rates).want(Want::AtMost(MOST)));
    rows.push(Row::new("metering adds to the CPU of a request", "%", cpu));
    rows
}

impl Arm {
    fn start(what: &'static str, bed: &Bed, lab: &Lab, lun: &Lun, index: u8) -> Self {
        let name = format!("vcp-cpu{CPU}");
        let before = Thread::all(&name);
        let vcp = bed.start(Settings {
            cpu: cpu(&[CPU], BEST_EFFORT),
            ..bed.initiator(lab, lun, "sched", index)
        });
        let load = Load::attach(&vcp.vcp, DEPTH, lun.size);
        load.pause(true);
        Self {
            what,
            thread: Thread::new(&name, &before),
            load,
            rates: Vec::new(),
            cpu: Vec::new(),
            _vcp: vcp,
        }
    }

    fn measure(&mut self, time: Duration) {
        self.load.pause(false);
        std::thread::sleep(SETTLE);
        let (began, cpu, answered) = (Instant::now(), self.thread.cpu(), self.load.answered());
        std::thread::sleep(time);
        let answered = (self.load.answered() - answered) as f64;
        let cpu = (self.thread.cpu() - cpu) as f64;
        let seconds = began.elapsed().as_secs_f64();
        self.load.pause(true);
        assert!(answered > 0.0, "{}: no answers", self.what);
        self.rates.push(answered / seconds);
        self.cpu.push(cpu / 1e3 / answered);
    }
}

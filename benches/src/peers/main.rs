//! Side by side: `vcp` on an offloading TAP and qemu-nbd's libiscsi over veth,
//! as initiators of the same unit of the same target, in one run with their
//! repetitions interleaved, so that whatever else the machine does hits both.
//!
//! Usage: `peers [--quick] [--at-least RATIO]`. Wants root. With a ratio, the
//! exit code says whether every workload reached it.

mod arm;
mod sample;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use arm::Arm;
use sample::{Sample, Summary};
use vcp_tests::image;
use vcp_tests::lab::{Lab, Side, WIRE_TARGET_V4};
use vcp_tests::need::{Need, skipped};
use vcp_tests::peer::QemuNbd;
use vcp_tests::tgtd::{Tgtd, Unit};
use vcp_tests::vcp::Vcp;
use vcp_tests::wiring::{Family, Wiring};
use workload::{WORKLOADS, Workload};

/// Bytes of the unit, all of them written before the first measurement.
const UNIT: u64 = 1 << 30;

#[derive(Debug, Clone, Copy)]
struct Options {
    repetitions: usize,
    time: Duration,
    at_least: f64,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: peers [--quick] [--at-least RATIO]");
        return ExitCode::from(2);
    };
    let needs = [
        Need::Root,
        Need::Tun,
        Need::Program("tgtd"),
        Need::Program("qemu-nbd"),
        Need::Program("fio"),
    ];
    if skipped("peers", &needs) {
        return ExitCode::FAILURE;
    }
    let lab = Lab::new().addressed();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd
        .target("iqn.2026-11.bench:disk")
        .unit(1, Unit::new(UNIT));
    image::write_random(&lun.file, UNIT, 7);

    let wiring = Wiring::tap("tso", Family::V4);
    let vcp = Vcp::run(&lab, wiring.side, wiring.arguments(&lun, &lab.nbd()));
    let qemu = QemuNbd::start(&lab, Side::Client, &lun.url(WIRE_TARGET_V4));
    let arms = [
        Arm::new("vcp, tap tso", vcp.pid(), &vcp.uri(), lab.dir()),
        Arm::new("qemu-nbd, veth", qemu.pid(), qemu.uri(), lab.dir()),
    ];
    println!(
        "{} repetitions of {:?}; medians, and from least to most",
        options.repetitions, options.time
    );
    println!("{}", Summary::heading());
    let mut worst = f64::INFINITY;
    for workload in WORKLOADS {
        worst = worst.min(compare(workload, &arms, options));
    }
    println!("worst ratio {worst:.2}");
    vcp.shut_down();
    if worst >= options.at_least {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one workload on both arms and prints their rows; the ratio of medians.
fn compare(workload: &Workload, arms: &[Arm; 2], options: Options) -> f64 {
    let mut samples: [Vec<Sample>; 2] = Default::default();
    for repetition in 0..options.repetitions {
        // Each comes first as often as the other.
        let order = if repetition % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            samples[index].push(arms[index].measure(workload, options.time));
        }
    }
    let summaries = samples.map(|samples| Summary::new(&samples));
    let ratio = summaries[0].rate() / summaries[1].rate();
    for (arm, summary) in arms.iter().zip(&summaries) {
        let versus = summary.rate() / summaries[1].rate();
        println!("{}", summary.row(workload, arm.name(), versus));
    }
    ratio
}

fn options() -> Option<Options> {
    let mut options = Options {
        repetitions: 5,
        time: Duration::from_secs(5),
        at_least: 0.0,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => {
                options.repetitions = 3;
                options.time = Duration::from_secs(2);
            }
            "--at-least" => options.at_least = arguments.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}

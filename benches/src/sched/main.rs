//! What the scheduling domain promises, measured: caps, shares and slack, latency
//! beside an endless loop, the cost of metering, and many VCPs on one host. VCPs and
//! clients are in this process; the kernel's counts are the judge.
//!
//! Usage: `sched [--quick] [--precedence] [--only ARM] [--out DIRECTORY]`. Wants root,
//! for the TAPs of the metering. On a machine that has other things to do, too, it is
//! given precedence over them. A run of everything that is not quick writes its
//! figures to `docs/bench`, any other where it is told to. A figure that is not what
//! it should be is no failure: that is for tests to say.

mod caps;
mod client;
mod crowd;
mod hog;
mod latency;
mod metering;
mod plot;
mod report;
mod shares;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use report::Report;
use vcp_benches::bed::Bed;
use vcp_benches::os;

const USAGE: &str =
    "usage: sched [--quick] [--only crowd|caps|shares|latency|metering] [--out DIRECTORY]";

/// In the order in which they are measured: the first counts memory, and wants it
/// unused.
const ARMS: [&str; 5] = ["crowd", "caps", "shares", "latency", "metering"];

struct Options {
    quick: bool,
    /// Go before everything else on the machine.
    precedence: bool,
    only: Option<String>,
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if options.precedence
        && let Err(error) = os::take_precedence()
    {
        eprintln!("sched: taking precedence: {error}");
        return ExitCode::FAILURE;
    }
    let report = measure(&options);
    let whole = !options.quick && options.only.is_none();
    let out = options.out.or(whole.then(|| "docs/bench".into()));
    if let Some(out) = out
        && let Err(error) = report.write(&out)
    {
        eprintln!("sched: {}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(options: &Options) -> Report {
    let quick = options.quick;
    let seconds = |full: f64, short: f64| Duration::from_secs_f64(if quick { short } else { full });
    let times = |full: usize, short: usize| if quick { short } else { full };
    let mut report = Report::new();
    let bed = Bed::new(true);
    for arm in ARMS {
        if options.only.as_deref().is_some_and(|only| only != arm) {
            continue;
        }
        let rows = match arm {
            "crowd" => {
                let (rows, rates) = crowd::measure(&bed, seconds(10.0, 2.0));
                report.rates = rates;
                rows
            }
            "caps" => caps::measure(&bed, times(3, 1), seconds(10.0, 2.0)),
            "shares" => {
                let (rows, course) = shares::measure(&bed, times(5, 1), seconds(3.0, 1.5));
                report.course = course;
                rows
            }
            "latency" => {
                let other = Bed::new(true);
                let (times, time) = (times(15, 5), seconds(0.5, 0.3));
                let (rows, distributions) = latency::measure((&bed, &other), times, time);
                report.distributions = distributions;
                rows
            }
            _ => {
                let without = Bed::new(false);
                metering::measure([&bed, &without], times(41, 9), seconds(0.4, 0.3))
            }
        };
        report.add(rows);
    }
    report
}

fn options() -> Option<Options> {
    let mut options = Options {
        quick: false,
        precedence: false,
        only: None,
        out: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--precedence" => options.precedence = true,
            "--only" => {
                let arm = arguments.next().filter(|arm| ARMS.contains(&arm.as_str()));
                options.only = Some(arm?);
            }
            "--out" => options.out = Some(arguments.next()?.into()),
            _ => return None,
        }
    }
    Some(options)
}

//! System calls for each request: a path that batches makes few, and one that has come
//! to make a call for everything shows here before it shows in a benchmark. Load by fio,
//! counts by perf. The least of some loads counts: who else runs can keep requests from
//! coming together, and nobody can make calls fewer than they are.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vcp_tests::calls::{counted, counting};
use vcp_tests::client::Clients;
use vcp_tests::lab::Scratch;
use vcp_tests::process::command;
use vcp_tests::requires;
use vcp_tests::tgtd::{Tgtd, Unit};
use vcp_tests::vcp::{Vcp, binary};
use vcp_tests::wiring::{Family, Wiring};

/// Bytes of a device, all of which fio uses.
const SIZE: u64 = 64 << 20;
/// Of one load.
const TIME: Duration = Duration::from_millis(1500);
/// Loads that there are at most; the first that keeps to its limit is enough.
const LOADS: usize = 5;

/// fio's arguments, and the most calls for each request.
type Limit = (&'static [&'static str], f64);

const READ_4K: &[&str] = &["--rw=randread", "--bs=4k", "--iodepth=32"];
const READ_128K: &[&str] = &["--rw=read", "--bs=128k", "--iodepth=8"];
const WRITE_128K: &[&str] = &["--rw=write", "--bs=128k", "--iodepth=8"];

/// One at a time: two would have less of the machine each, and batch less.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn of_an_initiator_on_an_offloading_tap() {
    requires!(Root, Tun, "tgtd", "fio", Calls);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let wiring = Wiring::tap("tso", Family::V4);
    let lab = wiring.lab();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target("iqn.2026-11.test:calls");
    let lun = target.unit(1, Unit::new(SIZE));
    let vcp = Vcp::run(&lab, wiring.side, wiring.arguments(&lun, &lab.nbd()));
    keeps(
        &vcp,
        lab.dir(),
        &[(READ_4K, 4.0), (READ_128K, 9.0), (WRITE_128K, 14.0)],
    );
    vcp.shut_down();
}

/// 32 in flight, asked for 16 at a time and waited for 16 at a time.
macro_rules! in_bursts {
    ($pattern:literal) => {
        &[
            $pattern,
            "--bs=4k",
            "--iodepth=32",
            "--iodepth_batch=16",
            "--iodepth_batch_complete_min=16",
        ]
    };
}

/// A turn waits, receives and answers, each with one call, however many requests there
/// are. Without polling, where looking for more is a call too. fio asks for one after
/// the other, so that how many a turn finds is a matter of who is faster, unless it asks
/// for them in bursts: then less than one call is left for each, whatever it is for.
#[test]
fn of_a_ram_disk() {
    requires!("fio", Calls);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new();
    let mut ramdisk = command(binary());
    ramdisk.args(["run", "ramdisk", &format!("size={SIZE}")]);
    ramdisk.args(["--memory", "128MiB", "--cpu", "any,poll=0"]);
    ramdisk.args(["--control", "none", "--nbd"]);
    ramdisk.arg(format!("unix:{}", scratch.path().join("s").display()));
    let vcp = Vcp::start(ramdisk, scratch.path());
    keeps(
        &vcp,
        scratch.path(),
        &[
            (in_bursts!("--rw=randread"), 1.0),
            (in_bursts!("--rw=randwrite"), 1.0),
        ],
    );
    vcp.shut_down();
}

/// Says all the figures before it fails because of one.
fn keeps(vcp: &Vcp, dir: &Path, limits: &[Limit]) {
    let clients = Clients::new(dir);
    let mut missed = Vec::new();
    for (workload, most) in limits {
        let mut loads = Vec::new();
        let keeps = (0..LOADS).any(|_| {
            let calls = calls(vcp, &clients, workload);
            loads.push(calls);
            calls <= *most
        });
        let line = format!("{workload:?}: {loads:.2?} calls for each request; at most {most}");
        println!("{line}");
        if !keeps {
            missed.push(line);
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// System calls of the process for each request of a load.
fn calls(vcp: &Vcp, clients: &Clients, workload: &[&str]) -> f64 {
    let file = clients.dir().join("calls");
    let counting = counting(vcp.pid(), &file.display().to_string());
    let counting: Vec<&str> = counting.iter().map(String::as_str).collect();
    let report = clients.fio_under(&counting, &vcp.uri(), TIME, workload);
    let job = &report["jobs"][0];
    assert_eq!(job["error"], 0, "fio: {job}");
    let done = |direction: &str| job[direction]["total_ios"].as_f64().unwrap_or(0.0);
    let requests = done("read") + done("write");
    assert!(requests > 0.0, "fio did nothing: {job}");
    let written = fs::read_to_string(file).expect("perf writes what it counted");
    let calls = counted(&written).unwrap_or_else(|| panic!("perf: {written}"));
    calls / requests
}

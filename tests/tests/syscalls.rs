//! System calls for each request: a path that batches makes few, and one that has come
//! to make a call for everything shows here before it shows in a benchmark. Load by fio,
//! counts by perf; medians, because how much is batched depends on who else runs.

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
/// Loads of which the median is taken.
const LOADS: usize = 3;

/// fio's pattern, size of a request and depth, and the most calls for each request.
type Limit = ([&'static str; 3], f64);

const READ_4K: [&str; 3] = ["--rw=randread", "--bs=4k", "--iodepth=32"];
const READ_128K: [&str; 3] = ["--rw=read", "--bs=128k", "--iodepth=8"];
const WRITE_128K: [&str; 3] = ["--rw=write", "--bs=128k", "--iodepth=8"];

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

#[test]
fn of_a_ram_disk() {
    requires!("fio", Calls);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new();
    let mut ramdisk = command(binary());
    ramdisk.args(["run", "ramdisk", &format!("size={SIZE}")]);
    ramdisk.args(["--memory", "128MiB", "--control", "none", "--nbd"]);
    ramdisk.arg(format!("unix:{}", scratch.path().join("s").display()));
    let vcp = Vcp::start(ramdisk, scratch.path());
    keeps(&vcp, scratch.path(), &[(READ_4K, 1.5)]);
    vcp.shut_down();
}

/// Says all the figures before it fails because of one.
fn keeps(vcp: &Vcp, dir: &Path, limits: &[Limit]) {
    let clients = Clients::new(dir);
    let mut missed = Vec::new();
    for (workload, most) in limits {
        let mut loads: Vec<f64> = (0..LOADS).map(|_| calls(vcp, &clients, workload)).collect();
        loads.sort_by(f64::total_cmp);
        let line = format!("{workload:?}: {loads:.2?} calls for each request; at most {most}");
        println!("{line}");
        if loads[LOADS / 2] > *most {
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

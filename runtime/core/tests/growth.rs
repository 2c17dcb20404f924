//! The descriptors, threads and memory of a host do not grow with the number of instances
//! that died in it. The test has a process of its own: other tests would be counted.

mod support;

use std::time::{Duration, Instant};

use vcp_core::{Cache, Engine, Event, Module, Vcp};
use vcp_queue::Operation;

use support::{Driver, PATIENCE, next, settings_for};

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Descriptors and threads, once the helping thread of the last VCP is gone: nobody
/// waits for it when a VCP is dropped.
fn held() -> (usize, usize) {
    let began = Instant::now();
    let helps = |task: std::io::Result<std::fs::DirEntry>| {
        let name = std::fs::read_to_string(task.unwrap().path().join("comm"));
        name.is_ok_and(|name| name.trim() == "test-helper")
    };
    while std::fs::read_dir("/proc/self/task").unwrap().any(helps) {
        assert!(began.elapsed() < PATIENCE, "a helping thread stays");
        std::thread::sleep(Duration::from_millis(1));
    }
    (count("/proc/self/fd"), count("/proc/self/task"))
}

/// Resident memory in KiB.
fn resident(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs `generations` instances to their deaths of `fault`. Each is asked something of its
/// own: a request that several died of is not tried again that soon. Nothing is answered
/// before the last instance.
fn die(engine: &Engine, module: &Module, fault: &str, generations: u32) {
    let range = format!("1..{generations}");
    let config = [("fault", fault), ("generations", range.as_str())];
    let mut settings = settings_for(module.clone(), &config);
    settings.watchdog.fuel = Some(500_000_000);
    settings.restart.min_run = Duration::ZERO;
    settings.restart.poison_after = None;
    let (vcp, mut events) = Vcp::start(engine, settings).unwrap();
    let driver = Driver::attach(&vcp);
    driver.ask(1, Operation::Flush, 0, 0, Vec::new());
    let mut faults = 0;
    while faults < generations {
        if let Event::Fault { generation, .. } = next(&mut events) {
            faults += 1;
            assert_eq!(generation, faults);
            driver.ask(1 + u64::from(faults), Operation::Flush, 0, 0, Vec::new());
        }
    }
    driver.answer();
    assert_eq!(vcp.stats().generation, generations + 1);
}

#[test]
fn nothing_grows_with_restarts() {
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_test_guests::MISBEHAVE_DEVICE;
    let module = Module::load(&engine, &Cache::of_user(), "device", bytes).unwrap();
    die(&engine, &module, "panic", 20);
    let before = held();
    let memory = resident("VmRSS:");
    die(&engine, &module, "panic", 200);
    assert_eq!(held(), before);
    assert!(resident("VmRSS:") < memory + (32 << 10));

    // The memory that the host needs for a guest of 64 MiB is of that order, too.
    for fault in ["notices-amplified", "completions-too-many", "log-endless"] {
        die(&engine, &module, fault, 3);
    }
    let peak = resident("VmHWM:");
    assert!(peak < memory + (256 << 10), "{peak} KiB, {memory} before");
}

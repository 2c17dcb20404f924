//! VCPs on one channel processor, and VCPs that may have little.

use std::fs;
use std::time::{Duration, Instant};

use vcp_tests::requires;
use vcp_tests::user::User;
use vcp_tests::vcp::{self, Vcp};

use crate::load::{Load, Mark, number, within};

/// The names of a host's threads.
fn threads(host: &Vcp) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", host.pid())).expect("it runs");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// Two on one CPU have one thread, and the one is served while the other hangs.
#[test]
fn two_of_one_cpu_share_a_thread() {
    requires!("qemu-io");
    let user = User::new();
    // It spins for long enough to be looked at.
    let pinned = "cpu = { pin = [0], share = \"40%\" }\nwatchdog = { call = \"2s\" }";
    let file = user.disks(&[("a", pinned), ("b", pinned), ("c", "")]);
    let host = user.host(&[file]);
    let uris = host.wait_for_uris(3);
    let names = threads(&host);
    let count = |name: &str| names.iter().filter(|other| *other == name).count();
    assert_eq!((count("vcp-cpu0"), count("vcp-c")), (1, 1), "{names:?}");
    let mark = Mark::now(&user, &host);
    assert_eq!(
        mark.vcp("a")["processor"]["beside"],
        serde_json::json!(["b"])
    );
    assert_eq!(mark.vcp("c")["processor"]["beside"], serde_json::json!([]));
    user.say(&["inject", "a", "spin"]);
    let steps = ["write -P 7 1M 64k", "read -P 7 1M 64k", "flush"];
    user.clients().qemu_io(&uris[1], &steps);
    let faults = || number(&user.json(&["inspect", "a"])["faults"]);
    assert_eq!(faults(), 0, "it was over before the other was served");
    let spun = user.until("a", |vcp| number(&vcp["faults"]) == 1);
    let kind = spun["last-fault"]["kind"].as_str();
    assert!(matches!(kind, Some("fuel" | "watchdog")), "{spun}");
    user.until("a", |vcp| vcp["state"] == "ready");
    user.clients().qemu_io(&uris[0], &steps);
    host.shut_down();
}

/// Little is enough to serve, and never more than was given.
#[test]
fn a_throttled_vcp_serves() {
    requires!("fio");
    let user = User::new();
    let host = user.configured("cpu = { share = \"5%\", slack = false }");
    let load = Load::start(&user, &host.uri(), Duration::from_millis(2500));
    let throttled = |mark: &Mark| number(&mark.vcp("ram")["stalls"]["throttled-ns"]);
    user.until("ram", |_| throttled(&Mark::now(&user, &host)) > 0);
    let (before, after) = within(&user, &host, Duration::from_millis(1500));
    let used = after.rate(&before, |mark| {
        number(&mark.vcp("ram")["counters"]["cpu-ns"])
    }) / 1e9;
    // How much fio asks for is up to the machine.
    assert!((0.02..=0.06).contains(&used), "{used:.4} of a CPU");
    let slack = |mark: &Mark| number(&mark.vcp("ram")["counters"]["cpu-slack-ns"]);
    assert_eq!(slack(&after), 0);
    load.finish();
    assert_eq!(user.json(&["inspect", "ram"])["faults"], 0);
    host.shut_down();
}

/// The watchdog of calls counts the time for which a call had the thread, not that for
/// which it was kept from it.
#[test]
fn a_throttled_call_has_its_time() {
    let user = User::new();
    let call = Duration::from_millis(300);
    let host = user.configured(
        "cpu = { share = \"10%\", slack = false }\n\
         watchdog = { call = \"300ms\", fuel = 1000000000000 }",
    );
    let began = Instant::now();
    user.say(&["inject", "ram", "spin"]);
    let spun = user.until("ram", |vcp| number(&vcp["faults"]) == 1);
    assert_eq!(spun["last-fault"]["kind"], "watchdog", "{spun}");
    // Ten times as long, but for what else the machine does in its share.
    let took = began.elapsed();
    assert!(took > 2 * call, "{took:?}");
    user.until("ram", |vcp| vcp["state"] == "ready");
    host.shut_down();
}

/// What it has no right to, a VCP goes without.
#[test]
fn without_privileges_there_is_a_warning() {
    requires!(Root, "qemu-io");
    let user = User::new();
    let lines = "cpu = { priority = \"fifo:10\", cgroup = \"vcp/none\" }";
    let file = user.dir().join(user.disks(&[("ram", lines)]));
    let mut theirs = vcp::unprivileged(user.dir(), None);
    theirs.arg("run").arg(file).args(["--control", "none"]);
    let host = Vcp::start(theirs, user.dir());
    user.clients()
        .qemu_io(&host.uri(), &["write -P 3 0 64k", "read -P 3 0 64k"]);
    let logs = host.logs();
    for word in ["SCHED_FIFO", "control group"] {
        let about = |line: &&str| line.contains(word) && line.contains("WARN");
        assert_eq!(logs.lines().filter(about).count(), 1, "{word}: {logs}");
    }
    assert_eq!(logs.lines().count(), 2, "{logs}");
    host.shut_down();
}

//! `vcp set`: other budgets and limits for what runs.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use vcp_tests::process::poll;
use vcp_tests::requires;
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::assert_one_line;

use crate::load::{DEPTH, Load, Mark, number, within};

/// How long rates are measured.
const WHILE: Duration = Duration::from_millis(1500);

/// A rate is met if it is so close.
const CLOSE: f64 = 0.15;

fn assert_close(rate: f64, wanted: f64, what: &str) {
    let far = (rate / wanted - 1.0).abs();
    assert!(far <= CLOSE, "{rate:.1} {what} a second, not {wanted}");
}

#[test]
fn a_share_is_changed_or_refused_as_a_whole() {
    let user = User::new();
    let half = "cpu = { pin = [0], share = \"50%\" }";
    let host = user.host(&[user.disks(&[("a", half), ("b", half)])]);
    let said = user.say(&["set", "a", "cpu.share=30%", "cpu.period=20ms"]);
    assert_eq!(said, "a: cpu.share=30% cpu.period=20ms\n");
    let budget = |name: &str| Mark::now(&user, &host).vcp(name)["budget"].clone();
    assert_eq!(
        budget("a"),
        serde_json::json!({ "share": 3000, "period-ns": 20_000_000, "slack-weight": 30 })
    );
    let config = || user.json(&["inspect", "a"])["config"].to_string();
    assert!(config().contains(r#"share = \"30%\""#), "{}", config());
    user.say(&["set", "b", "cpu.share=70%", "cpu.slack=no"]);
    // 60 % beside 70 %; the memory that goes with it stays as it was, too.
    let before = (config(), budget("a"));
    let refused = user.ask(&["set", "a", "memory=32MiB", "cpu.share=60%"]);
    assert_one_line(&refused, 1, &["a: cpu:", "130 %", "b 70 %", "a 60 %"]);
    assert_eq!((config(), budget("a")), before);
    user.say(&["set", "a", "cpu.share=none"]);
    assert_eq!(budget("a")["share"], 0);
    let never = user.ask(&["set", "a", "cpu.slack=no"]);
    assert_one_line(&never, 1, &["cpu.slack", "needs a share"]);
    host.shut_down();
}

/// One that has stopped has no budget, whoever is left on its thread; and what nobody
/// can connect to has no limit.
#[test]
fn what_is_not_there_is_not_changed() {
    let user = User::new();
    let pinned = "cpu = { pin = [0], share = \"10%\" }";
    let file = user.disks(&[("a", pinned), ("b", pinned)]);
    let text = fs::read_to_string(user.dir().join(file)).expect("just written");
    let without = text.replace("[export.b]\n", "");
    fs::write(user.dir().join(file), without).expect("writing a configuration");
    let host = user.host(&[file]);
    let refused = user.ask(&["set", "b", "limit.iops=100"]);
    assert_one_line(&refused, 1, &["VCP b: limit.iops", "no export"]);
    user.say(&["set", "b", "cpu.share=20%"]);
    user.say(&["stop", "b"]);
    for change in ["cpu.share=30%", "memory=32MiB", "queue-depth=4"] {
        let refused = user.ask(&["set", "b", change]);
        assert_one_line(&refused, 1, &["VCP b has stopped"]);
    }
    // What it had reserved is there for others.
    user.say(&["set", "a", "cpu.share=100%"]);
    host.shut_down();
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let user = User::new();
    let host = user.ram("ram");
    let before = user.json(&["inspect", "ram"])["config"].clone();
    for (words, code, named) in [
        (&["cpu.shar=30%"][..], 2, "did you mean \"cpu.share\""),
        (&["cpu.share"], 2, "KEY=VALUE"),
        (&["cpu.share=0%"], 2, "cpu.share"),
        (&["cpu.share=1%", "cpu.share=2%"], 2, "twice"),
        (&["memory=1"], 2, "memory"),
        (&["queue-depth=0"], 2, "queue-depth"),
        (&["limit.iops=0"], 2, "limit.iops"),
        (&["limit.burst=1h"], 2, "limit.burst"),
    ] {
        let refused = user.ask(&[&["set", "ram"], words].concat());
        assert_one_line(&refused, code, &[named]);
    }
    let nobody = user.ask(&["set", "rom", "memory=32MiB"]);
    assert_one_line(&nobody, 1, &["no VCP rom"]);
    assert_eq!(user.json(&["inspect", "ram"])["config"], before);
    host.shut_down();
}

/// Limits come and go under a client that asks for as much as it can have.
#[test]
fn the_limits_of_an_export_hold_at_once() {
    requires!("fio");
    let user = User::new();
    let host = user.ram("ram");
    let load = Load::start(&user, &host.uri(), Duration::from_secs(8));
    let requests = |mark: &Mark| number(&mark.export("ram")["requests"]);
    let bytes = |mark: &Mark| number(&mark.export("ram")["bytes"]);
    let limited = |mark: &Mark| number(&mark.export("ram")["limited-ns"]);
    let busy = || (requests(&Mark::now(&user, &host)) > 0).then_some(());
    assert!(poll(LIMIT, busy).is_some(), "fio asks for nothing");

    user.say(&["set", "ram", "limit.iops=200", "limit.burst=10ms"]);
    let (before, after) = within(&user, &host, WHILE);
    assert_close(after.rate(&before, requests), 200.0, "requests");
    assert!(limited(&after) > limited(&before), "nobody waited");
    let limits = after.export("ram")["limit"].clone();
    let expected = serde_json::json!({ "iops": 200, "bytes": null, "burst-ns": 10_000_000 });
    assert_eq!(limits, expected);

    user.say(&["set", "ram", "limit.iops=none"]);
    let (before, after) = within(&user, &host, WHILE / 3);
    let free = after.rate(&before, requests);
    assert!(free > 1000.0, "{free:.1} requests a second without a limit");

    user.say(&["set", "ram", "limit.bytes=1MiB"]);
    let (before, after) = within(&user, &host, WHILE);
    assert_close(after.rate(&before, bytes), f64::from(1 << 20), "bytes");
    user.say(&["set", "ram", "limit.bytes=none"]);
    load.finish();
    host.shut_down();
}

/// What a client has made and the VCP has not been given waits in the host.
#[test]
fn no_more_is_held_than_the_queue_is_deep() {
    requires!("fio");
    let user = User::new();
    let host = user.configured("watchdog = { progress = \"never\" }");
    let load = Load::start(&user, &host.uri(), Duration::from_secs(3));
    let stats = || Mark::now(&user, &host).vcp("ram").clone();
    for (depth, held) in [(3, 3), (2, 2), (100, DEPTH)] {
        user.say(&["set", "ram", &format!("queue-depth={depth}")]);
        if depth > DEPTH {
            // An instance reckons with no more than it was started with.
            user.say(&["restart", "ram"]);
        }
        // From here on nothing is answered.
        user.say(&["inject", "ram", "stall"]);
        let all_wait = || (number(&stats()["unanswered"]) == DEPTH).then_some(());
        assert!(poll(LIMIT, all_wait).is_some(), "{depth}: {}", stats());
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(number(&stats()["held"]), held, "{depth}: {}", stats());
        assert_eq!(number(&stats()["queue-depth"]), depth);
        user.say(&["restart", "ram"]);
    }
    load.finish();
    host.shut_down();
}

#[test]
fn memory_is_as_much_as_was_said_last() {
    requires!("qemu-io");
    let user = User::new();
    let host = user.configured("memory = \"32MiB\"");
    // Wants more than it may have, and is told how much that was.
    let dies_beyond = |limit: u64, generation: u64| {
        user.say(&["inject", "ram", "oom"]);
        let next = |vcp: &Value| vcp["state"] == "ready" && vcp["generation"] == generation;
        let vcp = user.until("ram", next);
        assert_eq!(vcp["memory-limit"], limit, "{vcp}");
        let crash = &vcp["last-fault"];
        let fault = crash["fault"].as_str().expect("a line");
        assert_eq!(crash["kind"], "memory", "{crash}");
        assert!(
            fault.contains(&format!("may have {limit} bytes")),
            "{fault}"
        );
    };
    dies_beyond(32 << 20, 2);
    user.say(&["set", "ram", "memory=48MiB"]);
    dies_beyond(48 << 20, 3);
    user.say(&["set", "ram", "memory=24MiB"]);
    dies_beyond(24 << 20, 4);
    user.clients().qemu_io(&host.uri(), &["write -P 5 0 64k"]);
    host.shut_down();
}

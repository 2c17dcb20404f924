//! Budgets of what runs: who is admitted, who waits for whom, what `vcp set` changes,
//! and what is told of it; on RAM disks.

mod changes;
mod leaving;
mod load;
mod sharing;
mod told;

use vcp_tests::user::User;
use vcp_tests::vcp::assert_one_line;

/// Shares that can't be met are refused with the sum that shows it.
#[test]
fn shares_are_added_up_before_anything_runs() {
    let user = User::new();
    let sixty = "cpu = { pin = [0], share = \"60%\" }";
    let file = user.disks(&[("a", sixty), ("b", sixty)]);
    let refused = user.ask(&["run", file]);
    assert_one_line(&refused, 1, &["VCP b", "120 %", "a 60 %", "b 60 %"]);
    // Anywhere else each has a thread of its own.
    let anywhere = "cpu = { share = \"60%\" }";
    let host = user.host(&[user.disks(&[("a", anywhere), ("b", anywhere)])]);
    host.shut_down();
}

#[test]
fn places_that_are_not_there_are_refused() {
    let user = User::new();
    let cases = [
        ("cpu = { pin = [8191] }", "CPU 8191"),
        ("cpu = { pin = \"sibling-of:8191\" }", "8191"),
        ("cpu = { pin = \"numa:1023\" }", "1023"),
    ];
    for (lines, named) in cases {
        let refused = user.ask(&["run", user.disks(&[("ram", lines)])]);
        assert_one_line(&refused, 1, &["VCP ram: cpu.pin", named]);
    }
    let by_option = ["run", "ramdisk", "size=8MiB", "--cpu", "8191"];
    assert_one_line(&user.ask(&by_option), 1, &["CPU 8191"]);
}

#[test]
fn budgets_that_make_no_sense_are_refused() {
    let user = User::new();
    let cases = [
        (
            "cpu = { slack = false }",
            "vcp.ram.cpu.slack: false needs a share",
        ),
        ("cpu = { share = \"0%\" }", "vcp.ram.cpu.share"),
        ("cpu = { share = \"101%\" }", "vcp.ram.cpu.share"),
        ("cpu = { period = \"2s\" }", "vcp.ram.cpu.period"),
        ("cpu = { slack = 1001 }", "vcp.ram.cpu.slack"),
        ("cpu = { priority = \"fifo:100\" }", "vcp.ram.cpu.priority"),
        ("cpu = { cgroup = \"../up\" }", "vcp.ram.cpu.cgroup"),
    ];
    for (lines, named) in cases {
        let refused = user.ask(&["run", user.disks(&[("ram", lines)])]);
        assert_one_line(&refused, 1, &["disks.toml:4:", named]);
    }
}

/// A thread has one priority and one control group, whoever is on it.
#[test]
fn those_who_share_a_thread_are_of_one_mind() {
    let user = User::new();
    for (key, lines) in [
        (
            "cpu.priority",
            "cpu = { pin = [0], priority = \"fifo:10\" }",
        ),
        ("cpu.cgroup", "cpu = { pin = [0], cgroup = \"vcp/b\" }"),
    ] {
        let file = user.disks(&[("a", "cpu = { pin = [0] }"), ("b", lines)]);
        let refused = user.ask(&["run", file]);
        assert_one_line(&refused, 1, &["VCP b", key, "VCP a", "CPU 0"]);
    }
}

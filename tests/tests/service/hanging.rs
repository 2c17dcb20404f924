//! A host that hangs when it is told to end.

use std::time::{Duration, Instant};

use vcp_tests::lab::Scratch;
use vcp_tests::manager::Manager;
use vcp_tests::process::{Running, command, must, poll};
use vcp_tests::requires;

use crate::{MANAGER, configure, ram};

/// The host gives itself 18 s.
const LIMIT: Duration = Duration::from_secs(30);

/// The service manager does not kill it, so it has to see to that itself.
#[test]
fn a_host_that_hangs_at_its_end_is_gone_all_the_same() {
    requires!(Root, "strace");
    let scratch = Scratch::new();
    configure(&scratch, &ram("ram", ""));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let host = manager.host().to_string();
    // The thread that would see to its end stands still in every system call.
    let mut hold = command("strace");
    hold.args(["-q", "-p", &host, "-o", "/dev/null"]);
    hold.args(["-e", "inject=all:delay_exit=60000000"]);
    let hold = Running::start(hold, scratch.path(), "strace");
    let traced = poll(LIMIT, || {
        let status = std::fs::read_to_string(format!("/proc/{host}/status")).ok()?;
        (!status.contains("TracerPid:\t0\n")).then_some(())
    });
    assert!(traced.is_some(), "{}", hold.stderr());
    let begun = Instant::now();
    must("kill", &[&host]);
    // What is left then is the thread that strace still holds.
    let gone = poll(LIMIT, || {
        let threads = std::fs::read_dir(format!("/proc/{host}/task"));
        let left = threads.map_or(0, Iterator::count);
        (left <= 1).then_some(())
    });
    let took = begun.elapsed();
    assert!(
        gone.is_some(),
        "it is there after {took:?}\n{}",
        manager.logs()
    );
    assert!(took > Duration::from_secs(15), "it did not hang: {took:?}");
    drop(hold);
}

//! VCPs that are told to stop while a call keeps the little that they may have of a CPU.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use vcp_tests::user::User;
use vcp_tests::vcp::{Vcp, assert_no_panic};

/// One that has a two-thousandth of a CPU and nothing else, in a call that does not end.
fn starved(user: &User, watchdog: &str, fault: &str) -> Vcp {
    let text = format!(
        "[vcp.ram]\nmodule = \"ramdisk\"\n{watchdog}config = {{ size = \"8MiB\" }}\n\
         cpu = {{ pin = [1] }}\n[export.ram]\nnbd = \"unix:{}\"\n",
        user.dir().join("ram.nbd").display()
    );
    std::fs::write(user.dir().join("starved.toml"), text).expect("writing a configuration");
    let host = user.host(&["starved.toml"]);
    user.say(&["set", "ram", "cpu.share=0.05%"]);
    user.say(&["set", "ram", "cpu.slack=no"]);
    user.say(&["inject", "ram", fault]);
    host
}

/// Whatever its share is: the time of its call is over soon when the CPU is free.
#[test]
fn a_starved_vcp_stops() {
    let user = User::new();
    let host = starved(&user, "", "spin");
    let began = Instant::now();
    user.say(&["stop", "ram"]);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    let outcome = host.ends();
    assert_no_panic(&outcome);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
}

/// One whose call does not end is left behind, and that is no success.
#[test]
fn a_host_ends_whatever_its_vcps_do() {
    for signal in [Signal::TERM, Signal::INT] {
        let user = User::new();
        let host = starved(&user, "watchdog = { call = \"1h\" }\n", "hang");
        let control = user.socket(&host);
        let nbd = user.dir().join("ram.nbd");
        assert!(control.exists() && nbd.exists());
        host.signal(signal);
        // It waits for 10 s before it gives up.
        std::thread::sleep(Duration::from_secs(8));
        let outcome = host.ends();
        assert_no_panic(&outcome);
        assert_eq!(outcome.code(), 1, "{outcome:?}");
        let told = "some VCPs did not stop within 10s: ram";
        assert_eq!(
            outcome.stderr.matches(told).count(),
            1,
            "{}",
            outcome.stderr
        );
        assert!(
            !control.exists() && !nbd.exists(),
            "a socket was left behind"
        );
    }
}

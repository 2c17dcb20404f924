//! A client that behaves, beside those that do not: nothing fails, and the host stays as
//! it was. `cargo xtask bench clients` is the long form.

use std::path::PathBuf;
use std::time::Duration;

use vcp_tests::hostile::{Crowd, Manner, Place};
use vcp_tests::load::Load;
use vcp_tests::requires;
use vcp_tests::user::User;

/// Descriptors and threads of a process.
fn held(pid: u32) -> [usize; 2] {
    ["fd", "task"].map(|what| {
        let entries = std::fs::read_dir(format!("/proc/{pid}/{what}"));
        entries.expect("it runs").count()
    })
}

#[test]
fn a_client_that_behaves_is_served_beside_all_that_do_not() {
    requires!("fio");
    let user = User::new();
    let host = user.host(&[
        "ramdisk",
        "size=48MiB",
        "--name",
        "ram",
        "--memory",
        "128MiB",
    ]);
    let uri = host.uri();
    let (_, socket) = uri.split_once("?socket=").expect("a unix socket");
    let place = Place {
        socket: PathBuf::from(socket),
        export: "ram".to_owned(),
        // Whoever behaves has what is before it.
        span: (40 << 20, 8 << 20),
    };
    let before = held(host.pid());
    let crowds = [
        (Manner::Silent, 100),
        (Manner::Undecided, 28),
        (Manner::Unread, 4),
        (Manner::Stalled, 4),
        (Manner::OneByte, 1),
        (Manner::LargeReads, 1),
        (Manner::SmallReads, 1),
        (Manner::Mutated, 2),
    ]
    .map(|(manner, count)| Crowd::start(manner, &place, count, 7));
    std::thread::sleep(Duration::from_millis(500));
    let load = Load::start_within(user.dir(), &uri, Duration::from_secs(8), 40 << 20);
    load.finish();
    drop(crowds);
    assert_eq!(user.json(&["inspect", "ram"])["faults"], 0);
    let after = vcp_tests::process::poll(Duration::from_secs(10), || {
        let after = held(host.pid());
        (after[0] <= before[0] + 2 && after[1] <= before[1] + 2).then_some(after)
    });
    assert!(after.is_some(), "{before:?}, then {:?}", held(host.pid()));
    // What they said is summed up.
    assert!(host.logs().len() < 64 << 10, "{} bytes", host.logs().len());
    host.shut_down();
}

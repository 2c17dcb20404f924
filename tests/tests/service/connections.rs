//! Connections between two hosts: what the manager keeps of them, and who gets it.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use vcp_tests::lab::Scratch;
use vcp_tests::manager::Manager;
use vcp_tests::nbd::Connection;
use vcp_tests::process::{poll, resident};

use super::{MANAGER, configure, disk};

const STORED: &str = "FDSTORE=1 FDNAME=vcp-connection=";
const FORGOTTEN: &str = "FDSTOREREMOVE=1 FDNAME=vcp-connection=";

fn connect(scratch: &Scratch, name: &str) -> Connection {
    Connection::to(&scratch.path().join(format!("{name}.sock")), name)
}

/// How many descriptors of connections the host that runs now was started with.
fn given(manager: &Manager) -> usize {
    let events = manager.events();
    let started = events.iter().rev().find(|e| e.starts_with("started "));
    started.map_or(0, |started| started.matches("vcp-connection=").count())
}

#[test]
fn a_client_that_hangs_up_between_two_hosts_leaves_nothing_to_the_next() {
    let scratch = Scratch::new();
    configure(&scratch, &disk(scratch.path(), "disk"));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let mut first = connect(&scratch, "disk");
    first.write(0, &[1; 512]).expect("it is served");
    manager.away();
    drop(first);
    manager.back();
    manager.wait_for("READY=1", 2);
    assert_eq!(
        given(&manager),
        1,
        "the socket was dropped, its state was not"
    );
    assert_eq!(manager.count(FORGOTTEN), 1, "{}", manager.logs());

    let mut second = connect(&scratch, "disk");
    second.write(512, &[2; 512]).expect("it is served");
    manager.restart();
    assert_eq!(given(&manager), 2, "one connection");
    assert_eq!(second.read(512, 512).expect("it goes on"), [2; 512]);
    assert_eq!(manager.count(STORED), 2);
    let names: Vec<_> = manager
        .events()
        .into_iter()
        .filter(|e| e.contains(STORED))
        .collect();
    assert_ne!(names[0], names[1], "each process has names of its own");
    manager.stop();
}

#[test]
fn a_client_does_not_go_on_with_another_disk() {
    let scratch = Scratch::new();
    let text = disk(scratch.path(), "disk");
    let _other = disk(scratch.path(), "other");
    configure(&scratch, &text);
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let mut client = connect(&scratch, "disk");
    client.write(0, &[1; 512]).expect("it is served");
    manager.away();
    configure(&scratch, &text.replace("/d/disk.img", "/d/other.img"));
    manager.back();
    manager.wait_for("READY=1", 2);
    assert!(client.write(0, &[2; 512]).is_err(), "it was closed");
    let logs = manager.logs();
    assert!(logs.contains("another disk is in its place"), "{logs}");
    assert_eq!(manager.count(FORGOTTEN), 1);
    assert_eq!(
        connect(&scratch, "disk")
            .read(0, 512)
            .expect("it is served"),
        [0; 512]
    );
    manager.stop();
}

#[test]
fn a_client_whose_disk_is_away_outlives_another_restart() {
    let scratch = Scratch::new();
    let text = disk(scratch.path(), "disk");
    let socket = scratch.path().join("disk.sock").display().to_string();
    // A target that is there and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").expect("listening");
    let target = silent.local_addr().expect("an address");
    let away = format!(
        "[vcp.disk]\nmodule = \"iscsi\"\nnet = {{ link = \"host\" }}\n\
         config = {{ target = \"iscsi://{target}/iqn.2026-11.example:disk/1\" }}\n\
         [export.disk]\nnbd = \"unix:{socket}\"\n"
    );
    configure(&scratch, &text);
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let mut client = connect(&scratch, "disk");
    client.write(0, &[1; 512]).expect("it is served");

    manager.away();
    configure(&scratch, &away);
    manager.back();
    let listed = || manager.ask(&["ps"]).stdout.contains("disk").then_some(());
    let listed = poll(Duration::from_secs(20), listed);
    assert!(listed.is_some(), "{}", manager.logs());
    assert_eq!(given(&manager), 2);
    manager.away();
    assert_eq!(manager.count(FORGOTTEN), 0, "it was not given to anybody");

    configure(&scratch, &text);
    manager.back();
    manager.wait_for("READY=1", 2);
    assert_eq!(given(&manager), 2);
    assert_eq!(client.read(0, 512).expect("it goes on"), [1; 512]);
    manager.stop();
}

/// What one host holds for its clients goes to the next, where the same bound applies.
#[test]
fn what_is_kept_for_clients_is_bounded_across_planned_restarts() {
    const CLIENTS: usize = 40;
    const MIB: usize = 1 << 20;
    let scratch = Scratch::new();
    configure(&scratch, &disk(scratch.path(), "disk"));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let before = resident(manager.host());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(&scratch, "disk")).collect();
    for restart in 1..=4 {
        clients.retain_mut(|client| {
            // What is not taken off the socket would keep this waiting.
            client.stream().set_nonblocking(true).expect("a socket");
            let asked = (0..31).all(|cookie| client.begin_read(cookie, 0, MIB).is_ok());
            client.stream().set_nonblocking(false).expect("a socket");
            asked
        });
        clients.resize_with(CLIENTS, || connect(&scratch, "disk"));
        std::thread::sleep(Duration::from_millis(500));
        manager.restart();
        std::thread::sleep(Duration::from_millis(500));
        let more = resident(manager.host()).saturating_sub(before) / MIB;
        // The pool of the export is 64 MiB; beside it each has 256 KiB, and the
        // allocator keeps what the hand-over took for a while.
        assert!(
            more < 64 + CLIENTS / 4 + 128,
            "{more} MiB after restart {restart}"
        );
        let held = || {
            let text = manager.ask(&["inspect", "disk", "--json"]).stdout;
            let seen: Value = serde_json::from_str(&text).expect("it answers");
            let pools = seen["client-memory"].as_array().expect("a list").clone();
            pools
                .iter()
                .all(|pool| pool["held"].as_u64() <= pool["most"].as_u64())
        };
        assert!(held(), "restart {restart}");
    }
    let mut honest = connect(&scratch, "disk");
    honest.read(0, 4096).expect("it is served");
    honest.read(0, MIB).expect("with its turn");
    manager.stop();
}

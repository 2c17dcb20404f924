//! Each client takes an open file: a host may have as many as it was allowed clients.

use std::fs;
use std::process::Command;

use vcp_tests::nbd::Connection;
use vcp_tests::process::run;
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::Vcp;

/// A host for 300 clients, from a shell with these limits of open files.
fn host(user: &User, limits: &str) -> Vcp {
    Vcp::start(limited(user, limits, &[]), user.dir())
}

/// The same with more options, not started yet.
fn limited(user: &User, limits: &str, options: &[&str]) -> Command {
    let text = "[host]\nnbd = { connections = 300 }\n[vcp.ram]\nmodule = \"ramdisk\"\n\
                config = { size = \"8MiB\" }\n[export.ram]\n";
    fs::write(user.dir().join("many.toml"), text).expect("writing a configuration");
    let vcp = user.command(&[&["run", "many.toml"], options].concat());
    let mut shell = vcp_tests::process::command("/bin/sh");
    shell
        .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
        .arg(vcp.get_program())
        .args(vcp.get_args())
        .current_dir(user.dir());
    for (name, value) in vcp.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell
}

#[test]
fn the_soft_limit_is_none() {
    let user = User::new();
    let host = host(&user, "ulimit -Sn 256; ulimit -Hn 4096");
    let uri = host.uri();
    let mut clients: Vec<_> = (0..300).map(|_| Connection::of(&uri)).collect();
    for client in &mut clients {
        client.write(0, &[7; 512]).expect("it is served");
    }
    assert!(!host.logs().contains("open files"), "{}", host.logs());
    drop(clients);
    host.shut_down();
}

#[test]
fn too_low_a_hard_limit_is_told() {
    let user = User::new();
    let host = host(&user, "ulimit -n 256");
    let logs = host.logs();
    // 300 that are served, 128 that negotiate, one that listens; 64 and 16.
    let told = "may take 509 open files, and this process can have 256";
    assert_eq!(logs.matches(told).count(), 1, "{logs}");
    host.shut_down();
}

/// A command that is run for a host may use select(2).
#[test]
fn a_command_has_the_limits_that_the_host_was_started_with() {
    let user = User::new();
    let ask = "ulimit -Sn; ulimit -Hn";
    let host = limited(&user, "ulimit -Sn 256; ulimit -Hn 4096", &["--run", ask]);
    let said = run(host, user.dir(), LIMIT).expect_success("vcp run --run");
    assert_eq!(said, "256\n4096\n");
}

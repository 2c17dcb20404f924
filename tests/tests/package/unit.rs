//! The unit and its drop-ins.

use std::collections::BTreeSet;
use std::fs;

use vcp_tests::lab::Scratch;
use vcp_tests::process::{command, must, run};
use vcp_tests::requires;
use vcp_tests::vcp::binary;

use crate::packaging;

/// The most exposure that `systemd-analyze security` may find: of the unit, of the unit
/// with the drop-in for devices, and of the unit that detaches what is left, which has no
/// mount namespace.
const MOST_EXPOSURE: [f64; 3] = [1.9, 2.5, 3.5];

/// Writes a unit of the package to where nothing else is; the program that it starts is not
/// installed here.
fn put(name: &str, scratch: &Scratch) -> String {
    let unit = fs::read_to_string(packaging().join(name)).expect("it is there");
    let unit = unit.replace("/usr/bin/vcp", &binary().display().to_string());
    let path = scratch.path().join(name);
    fs::write(&path, unit).expect("writing a unit");
    path.display().to_string()
}

fn put_beside(unit: &str, drop_in: &str) {
    let directory = format!("{unit}.d");
    fs::create_dir_all(&directory).expect("making a directory");
    let to = std::path::Path::new(&directory).join(drop_in);
    fs::copy(packaging().join(drop_in), to).expect("it is there");
}

/// As `systemd-analyze security` has it.
fn exposure(unit: &str) -> f64 {
    let told = must("systemd-analyze", &["security", "--offline=true", unit]);
    let line = told
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .unwrap_or_else(|| panic!("no level in:\n{told}"));
    println!("{line}");
    line.split_whitespace()
        .find_map(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no figure in: {line}"))
}

#[test]
fn the_units_are_sound_and_have_little_exposure() {
    requires!("systemd-analyze");
    let scratch = Scratch::new();
    let (unit, left) = (
        put("vcp.service", &scratch),
        put("vcp-left.service", &scratch),
    );
    let alone = exposure(&unit);
    put_beside(&unit, "attach.conf");
    let found = [alone, exposure(&unit), exposure(&left)];
    let too_much = found
        .iter()
        .zip(MOST_EXPOSURE)
        .any(|(level, most)| *level > most);
    assert!(!too_much, "{found:?}");
    // With all that may be put beside it.
    for name in ["links.conf", "refuse-stop.conf"] {
        put_beside(&unit, name);
    }
    let mut verify = command("systemd-analyze");
    let socket = put("vcp-disk0.socket", &scratch);
    verify.args(["verify", "--man=no", &unit, &left, &socket]);
    let limit = std::time::Duration::from_secs(60);
    let outcome = run(verify, scratch.path(), limit);
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (0, ""));
}

/// What lets a host serve devices until the last unmount: see the book's page on it.
#[test]
fn the_unit_leaves_a_host_alone_that_outlasts_it() {
    let unit = fs::read_to_string(packaging().join("vcp.service")).expect("it is there");
    for line in [
        "ExecStart=@/usr/bin/vcp @vcp host",
        "SendSIGKILL=no",
        "KillMode=process",
    ] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
}

/// A reload is of a configuration that a start would take, or it fails before anything has
/// changed.
#[test]
fn a_reload_checks_the_configuration_first() {
    let unit = fs::read_to_string(packaging().join("vcp.service")).expect("it is there");
    let reload: Vec<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ExecReload="))
        .collect();
    assert_eq!(reload.len(), 2, "{reload:?}");
    // A "-" before it would have its failure ignored.
    assert_eq!(reload[0], "/usr/bin/vcp host --check");
    assert!(reload[1].starts_with("/usr/bin/vcp reload --all "));
}

/// A restart of the service starts the socket: while the service runs nothing can.
#[test]
fn the_socket_is_wanted_by_the_service() {
    let unit = fs::read_to_string(packaging().join("vcp-disk0.socket")).expect("it is there");
    let (_, install) = unit.split_once("[Install]\n").expect("it can be enabled");
    for by in ["sockets.target", "vcp.service"] {
        assert!(install.contains(&format!("WantedBy={by}\n")), "{install}");
    }
}

/// What `DeviceAllow=block-nbd` stands for is looked up when the unit starts, before
/// anything that is run by the unit itself.
#[test]
fn nbd_is_loaded_before_the_devices_of_the_unit_are_looked_up() {
    let drop_in = fs::read_to_string(packaging().join("attach.conf")).expect("it is there");
    let (unit, service) = drop_in.split_once("[Service]\n").expect("it has both");
    assert!(unit.contains("\n[Unit]\n"), "{drop_in}");
    for order in ["Wants", "After"] {
        let line = format!("\n{order}=modprobe@nbd.service\n");
        assert!(unit.contains(&line), "{drop_in}");
    }
    assert!(
        service.contains("\nDeviceAllow=block-nbd rw\n"),
        "{drop_in}"
    );
    assert!(!service.contains("ExecStartPre="), "{drop_in}");
}

/// Compiled modules lie in the directory that the service manager makes for them.
#[test]
fn the_cache_is_the_units_cache_directory() {
    let unit = fs::read_to_string(packaging().join("vcp.service")).expect("it is there");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key));
    let made = value("CacheDirectory=").expect("it has one");
    // Cache::of_user adds the name of the program.
    let used = value("Environment=XDG_CACHE_HOME=").expect("it names one");
    assert_eq!(format!("/var/cache/{made}"), format!("{used}/vcp"));
}

/// What a host does when it serves, restarts a VCP and ends must be allowed by the
/// unit's filter of system calls.
#[test]
fn the_host_keeps_to_the_system_calls_of_its_unit() {
    requires!(Root, "strace", "systemd-analyze", "qemu-img");
    let scratch = Scratch::new();
    let (dir, trace) = (scratch.path(), scratch.path().join("trace"));
    let socket = dir.join("d.sock");
    let config = dir.join("host.toml");
    let text = format!(
        "[vcp.d]\nmodule = \"ramdisk\"\nconfig = {{ size = \"16MiB\", after-fault = \"blank\" }}\n[export.d]\nnbd = \"unix:{}\"\n",
        socket.display()
    );
    fs::write(&config, text).expect("writing a configuration");
    let mut host = command("strace");
    host.args(["-f", "-q", "-qq", "-e", "signal=none", "-o"])
        .arg(&trace);
    host.arg(binary()).args(["host", "--config"]).arg(&config);
    host.env("VCP_CONTROL_DIR", dir.join("control"));
    let running = vcp_tests::process::Running::start(host, dir, "traced");
    let limit = std::time::Duration::from_secs(30);
    let listening = vcp_tests::process::poll(limit, || socket.exists().then_some(()));
    assert!(listening.is_some(), "{}", running.stderr());
    let uri = format!("nbd+unix:///d?socket={}", socket.display());
    must("qemu-img", &["info", &uri]);
    let ask = |arguments: &[&str]| {
        let mut ask = command(binary());
        ask.args(arguments)
            .env("VCP_CONTROL_DIR", dir.join("control"));
        let _ = run(ask, dir, limit).expect_success("asking the host");
    };
    ask(&["inject", "d", "trap"]);
    ask(&["reload", "d"]);
    ask(&["reload", "--all"]);
    ask(&["stop", "d"]);
    // The host itself, which strace would leave behind.
    let tracer = running.pid();
    let children = format!("/proc/{tracer}/task/{tracer}/children");
    let children = fs::read_to_string(children).expect("it runs");
    must("kill", &children.split_whitespace().collect::<Vec<_>>());
    running.outcome(limit).expect_success("a traced host");
    let traced = fs::read_to_string(&trace).expect("strace has written");
    let call = |line: &str| {
        let rest = line.split_once(' ')?.1.trim_start();
        let name = rest.split_once('(')?.0;
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        word.then(|| name.to_owned())
    };
    let made: BTreeSet<String> = traced.lines().filter_map(call).collect();
    assert!(made.contains("memfd_create") || made.len() > 40, "{made:?}");
    let (service, privileged) = (allowed("@system-service"), allowed("@privileged"));
    let refused: Vec<_> = made
        .iter()
        .filter(|call| !service.contains(*call) || privileged.contains(*call))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// All system calls of a set, with those of the sets in it.
fn allowed(set: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    let listed = must("systemd-analyze", &["syscall-filter", set]);
    for line in listed.lines().skip(1).map(str::trim) {
        match line {
            "" => {}
            other if other.starts_with('@') => calls.extend(allowed(other)),
            comment if comment.starts_with('#') => {}
            call => _ = calls.insert(call.to_owned()),
        }
    }
    calls
}

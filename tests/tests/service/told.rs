//! What an operator reads of a service: in the journal, in its status, in what commands
//! print.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use vcp_tests::lab::Scratch;
use vcp_tests::manager::Manager;
use vcp_tests::process::{Outcome, command, poll, run};
use vcp_tests::requires;
use vcp_tests::vcp::binary;

use super::{MANAGER, configure, ram};

const LIMIT: Duration = Duration::from_secs(20);

/// How often the log has this.
fn said(manager: &Manager, what: &str) -> usize {
    manager.logs().matches(what).count()
}

#[test]
fn what_a_reload_does_is_said_once() {
    let scratch = Scratch::new();
    configure(&scratch, &ram("a", ""));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    configure(&scratch, &(ram("a", "queue-depth = 7") + &ram("b", "")));
    let quiet = manager.ask(&["reload", "--all", "--quiet"]);
    assert_eq!(
        (quiet.code(), quiet.stdout.as_str()),
        (0, ""),
        "{}",
        quiet.stderr
    );
    assert_eq!(quiet.stderr, "");
    let ready = || (said(&manager, "ready vcp=\"b\"") == 1).then_some(());
    assert!(poll(LIMIT, ready).is_some(), "{}", manager.logs());
    assert_eq!(said(&manager, "VCP b: started"), 1, "{}", manager.logs());
    assert_eq!(said(&manager, "queue-depth"), 1, "{}", manager.logs());

    configure(&scratch, "[vcp.a]\nmodule = 1\n");
    let quiet = manager.ask(&["reload", "--all", "--quiet"]);
    assert_eq!((quiet.code(), quiet.stderr.as_str()), (1, ""));
    assert_eq!(said(&manager, "vcp.a.module: "), 1, "{}", manager.logs());
    manager.stop();
}

#[test]
fn an_outage_ends_with_one_line() {
    let scratch = Scratch::new();
    let blank = ram("a", "").replace("\"16MiB\"", "\"16MiB\", after-fault = \"blank\"");
    configure(&scratch, &blank);
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    assert_eq!(said(&manager, "serves again"), 0, "{}", manager.logs());
    manager
        .ask(&["inject", "a", "trap"])
        .expect_success("injecting");
    let over = || (said(&manager, "serves again after ") == 1).then_some(());
    assert!(poll(LIMIT, over).is_some(), "{}", manager.logs());
    manager.ask(&["reload", "a"]).expect_success("reloading");
    assert_eq!(said(&manager, "reloaded"), 1, "{}", manager.logs());
    manager.restart();
    assert_eq!(said(&manager, "serves again"), 1, "{}", manager.logs());
    manager.stop();
}

#[test]
fn a_planned_restart_is_nothing_to_warn_of() {
    let scratch = Scratch::new();
    configure(&scratch, &ram("a", ""));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    manager.restart();
    manager.restart();
    let logs = manager.logs();
    assert!(
        !logs.contains(" WARN ") && !logs.contains(" ERROR "),
        "{logs}"
    );
    manager.stop();
}

/// With nobody at the portal, and no second attempt, it is held.
#[test]
fn the_status_has_the_words_of_ps() {
    let scratch = Scratch::new();
    let held = "[vcp.disk]\nmodule = \"iscsi\"\nnet = { link = \"host\" }\n\
        restart = { policy = \"never\" }\n\
        config = { target = \"iscsi://127.0.0.1:1/iqn.2026-11.test:told/1\" }\n[export.disk]\n";
    configure(&scratch, &(ram("a", "") + held));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("STATUS=VCPs ready: 1; disk is held", 1);
    let text = manager.ask(&["ps", "--json"]).stdout;
    let ps: Value = serde_json::from_str(&text).expect("JSON");
    let state = |name: &str| {
        let vcps = ps[0]["vcps"].as_array()?;
        let vcp = vcps.iter().find(|vcp| vcp["name"] == name)?;
        vcp["state"].as_str()
    };
    assert_eq!((state("a"), state("disk")), (Some("ready"), Some("held")));
    assert_eq!(said(&manager, "can't start: "), 1, "{}", manager.logs());
    manager.stop();
}

/// Nobody is at the portal, and it tries again by and by.
#[test]
fn why_a_vcp_can_not_start_is_said_once() {
    let scratch = Scratch::new();
    let away = "[vcp.disk]\nmodule = \"iscsi\"\nnet = { link = \"host\" }\n\
        config = { target = \"iscsi://127.0.0.1:1/iqn.2026-11.test:told/1\" }\n[export.disk]\n";
    configure(&scratch, away);
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("STATUS=VCPs ready: 0; disk is ", 2);
    // The second instance has made some attempts of its own by then.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(said(&manager, "can't start: "), 1, "{}", manager.logs());
    assert_eq!(
        said(&manager, "connection refused"),
        1,
        "{}",
        manager.logs()
    );
    manager.stop();
}

#[test]
fn private_sockets_of_a_service_are_in_its_runtime_directory() {
    let scratch = Scratch::new();
    configure(&scratch, &ram("a", ""));
    let runtime = scratch.path().join("runtime");
    fs::create_dir(&runtime).expect("making a directory");
    let directory = runtime.display().to_string();
    let manager = Manager::start(
        MANAGER,
        scratch.path(),
        &[],
        &[("RUNTIME_DIRECTORY", &directory)],
    );
    manager.wait_for("READY=1", 1);
    let listed = manager.ask(&["ps"]).stdout;
    let path = listed.split_once("?socket=").expect("a URI").1;
    let path = Path::new(path.split_whitespace().next().expect("a path"));
    assert!(path.starts_with(&runtime), "{listed}");
    let _client = UnixStream::connect(path).expect("it listens there");
    manager.stop();
    assert!(!path.exists(), "nothing is left of it");
}

/// `vcp run` of a disk whose TAP has to be made, without the right to.
fn without_rights(scratch: &Scratch, service: bool) -> Outcome {
    let mut vcp = command("setpriv");
    vcp.args([
        "--bounding-set",
        "-net_admin",
        "--inh-caps",
        "-net_admin",
        "--",
    ]);
    vcp.arg(binary())
        .args(["run", "iscsi", "target=iscsi://10.9.9.1/iqn.a:b/1"]);
    vcp.args([
        "--link",
        "tap:vcpnone0,address=10.9.9.2/24",
        "--control",
        "none",
    ]);
    vcp.env_remove("INVOCATION_ID");
    if service {
        vcp.env("NOTIFY_SOCKET", scratch.path().join("nobody"));
    }
    run(vcp, scratch.path(), LIMIT)
}

#[test]
fn a_service_that_may_not_have_a_link_is_told_of_the_drop_in() {
    requires!(Root, Tun, "setpriv");
    let scratch = Scratch::new();
    let outcome = without_rights(&scratch, true);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    for words in [
        "/usr/share/doc/vcp/examples/links.conf",
        "/etc/systemd/system/vcp.service.d/",
        "daemon-reload",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let elsewhere = without_rights(&scratch, false);
    assert!(!elsewhere.stderr.contains("drop"), "{}", elsewhere.stderr);
    assert!(
        elsewhere.stderr.contains("CAP_NET_ADMIN"),
        "{}",
        elsewhere.stderr
    );
}

/// What `vcp doctor --service` says where `systemctl` does this.
fn doctor(scratch: &Scratch, systemctl: &str) -> Outcome {
    let programs = scratch.path().join("bin");
    fs::create_dir_all(&programs).expect("making a directory");
    let program = programs.join("systemctl");
    fs::write(&program, format!("#!/bin/sh\n{systemctl}\n")).expect("writing a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut doctor = command(binary());
    doctor.args(["doctor", "--service", "--config"]);
    doctor.arg(scratch.path().join("host.toml"));
    doctor.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    run(doctor, scratch.path(), LIMIT)
}

#[test]
fn doctor_says_what_the_service_may_do() {
    let scratch = Scratch::new();
    let show = |lines: &str| {
        format!(
            "[ \"$1 $2\" = 'show vcp.service' ] || exit 9\ncat <<E\nLoadState=loaded\n\
             ActiveState=inactive\nMainPID=0\nFragmentPath=/lib/systemd/system/vcp.service\n\
             StateDirectory=vcp\nCacheDirectory=vcp\nRuntimeDirectory=vcp\n{lines}\nE"
        )
    };
    let plain =
        show("CapabilityBoundingSet=\nRestrictAddressFamilies=AF_INET AF_UNIX\nPrivateDevices=yes");
    configure(&scratch, &ram("a", ""));
    let outcome = doctor(&scratch, &plain);
    assert_eq!(outcome.code(), 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("VCPs: 1, exports: 1"),
        "{}",
        outcome.stdout
    );

    let packet = "[vcp.d]\nmodule = \"iscsi\"\n\
        net = { link = \"packet:eth0\", address = \"10.7.0.2/24\" }\n\
        config = { target = \"iscsi://10.7.0.1/iqn.a:b/1\" }\n[export.d]\n";
    configure(&scratch, packet);
    let outcome = doctor(&scratch, &plain);
    assert_eq!(outcome.code(), 1, "{}", outcome.stdout);
    let line = outcome
        .stdout
        .lines()
        .find(|line| line.contains("packet: links"));
    let line = line.expect("a line");
    assert!(
        line.contains("no: ") && line.contains("links.conf"),
        "{line}"
    );
    let allowed = show(
        "CapabilityBoundingSet=cap_net_raw\nRestrictAddressFamilies=AF_NETLINK AF_PACKET\nPrivateDevices=no",
    );
    assert_eq!(doctor(&scratch, &allowed).code(), 0);
}

#[test]
fn doctor_without_a_service_manager_says_so_in_one_line() {
    let scratch = Scratch::new();
    configure(&scratch, "");
    for (systemctl, words) in [
        (
            "echo 'System has not been booted with systemd.' >&2; echo more >&2; exit 1",
            "booted",
        ),
        ("echo LoadState=not-found", "no such unit"),
    ] {
        let outcome = doctor(&scratch, systemctl);
        assert_eq!((outcome.code(), outcome.stdout.as_str()), (1, ""));
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

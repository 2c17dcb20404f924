//! The host as a service: what it tells its manager, what outlives it, and what a
//! second reading of its configuration changes.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use vcp_tests::client::Clients;
use vcp_tests::lab::Scratch;
use vcp_tests::manager::Manager;
use vcp_tests::process::{command, poll, run};
use vcp_tests::requires;

#[path = "service/check.rs"]
mod check;

#[path = "service/connections.rs"]
mod connections;
#[path = "service/hanging.rs"]
mod hanging;
#[path = "service/told.rs"]
mod told;

#[path = "service/links.rs"]
mod links;

/// The manager, which cargo builds with these tests.
const MANAGER: &str = env!("CARGO_BIN_EXE_service-manager");
/// How often a host is restarted under load.
const RESTARTS: usize = 20;

/// A disk in a file of the directory, by the name of its export.
fn disk(dir: &Path, name: &str) -> String {
    let image = fs::File::create(dir.join(format!("{name}.img"))).expect("making an image");
    image.set_len(64 << 20).expect("sizing an image");
    let dir = dir.display();
    format!(
        "[vcp.{name}]\nmodule = \"file\"\nfiles = [{{ host = \"{dir}\", guest = \"/d\" }}]\n\
         config = {{ path = \"/d/{name}.img\" }}\n\
         [export.{name}]\nnbd = \"unix:{dir}/{name}.sock\"\n"
    )
}

fn ram(name: &str, lines: &str) -> String {
    format!(
        "[vcp.{name}]\nmodule = \"ramdisk\"\nconfig = {{ size = \"16MiB\" }}\n{lines}\n[export.{name}]\n"
    )
}

fn configure(scratch: &Scratch, text: &str) {
    fs::write(scratch.path().join("host.toml"), text).expect("writing a configuration");
}

fn uri(scratch: &Scratch, name: &str) -> String {
    let dir = scratch.path().display();
    format!("nbd+unix:///{name}?socket={dir}/{name}.sock")
}

#[test]
fn a_client_goes_on_across_planned_restarts_under_load() {
    requires!("fio");
    let scratch = Scratch::new();
    configure(&scratch, &disk(scratch.path(), "disk"));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let uri = uri(&scratch, "disk");
    let report = std::thread::scope(|scope| {
        let dir = scratch.path();
        // fio's nbd engine does not connect again: one lost connection is its end.
        let fio = scope.spawn(move || {
            let load = [
                "--rw=randrw",
                "--rwmixread=40",
                "--bsrange=4k-256k",
                "--bs_unaligned=0",
                "--blockalign=4k",
                "--iodepth=32",
                "--verify=crc32c",
                "--verify_fatal=1",
                "--verify_backlog=64",
                "--random_generator=tausworthe64",
            ];
            Clients::new(dir).fio(&uri, Duration::from_secs(60), &load)
        });
        // Bytes that the client has written to the host that runs now.
        let served = || {
            let text = manager.ask(&["inspect", "disk", "--json"]).stdout;
            let seen: Value = serde_json::from_str(&text).ok()?;
            let bytes = seen["counters"]["bytes-written"].as_u64()?;
            (seen["clients"] == 1 && bytes > 0).then_some(bytes)
        };
        let mut written = poll(Duration::from_secs(20), served).expect("fio connects");
        for number in 0..RESTARTS {
            assert!(!fio.is_finished(), "fio ended at restart {number}");
            manager.restart();
            // It is served again, by another process.
            let now = poll(Duration::from_secs(20), served);
            written += now.unwrap_or_else(|| panic!("no load after restart {number}"));
        }
        assert!(written > 0);
        fio.join().expect("fio succeeds")
    });
    assert_eq!(report["jobs"][0]["error"], 0);
    assert_eq!(manager.count("FDSTORE=1 FDNAME=vcp-connection="), RESTARTS);
    let held = manager
        .events()
        .iter()
        .filter(|e| e.starts_with("started ") && e.matches("vcp-connection=").count() == 2)
        .count();
    assert_eq!(held, RESTARTS, "each host was given the connection");
    manager.stop();
}

#[test]
fn listening_sockets_outlive_a_host_that_dies() {
    requires!("nbdinfo");
    let scratch = Scratch::new();
    configure(&scratch, &disk(scratch.path(), "disk"));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let clients = Clients::new(scratch.path());
    let _left = UnixStream::connect(scratch.path().join("disk.sock")).expect("it listens");
    manager.kill();
    assert_eq!(
        clients.info(&uri(&scratch, "disk"))["export-size"],
        64 << 20
    );
    assert_eq!(manager.count("FDSTORE=1"), 1, "once is enough");
    manager.stop();
}

#[test]
fn sockets_of_socket_units_are_found_by_address_and_by_name() {
    requires!("nbdinfo");
    let scratch = Scratch::new();
    let dir = scratch.path();
    let ram = ram("ram", "");
    configure(&scratch, &(disk(dir, "disk") + &ram));
    let at = |name: &str, file: &str| format!("{name}={}/{file}.sock", dir.display());
    let sockets = [
        at("whatever", "disk"),
        at("ram", "ram"),
        at("control", "c"),
        at("nobody", "n"),
    ];
    let manager = Manager::start(MANAGER, dir, &sockets, &[]);
    manager.wait_for("READY=1", 1);
    let clients = Clients::new(dir);
    assert_eq!(
        clients.info(&uri(&scratch, "disk"))["export-size"],
        64 << 20
    );
    assert_eq!(clients.info(&uri(&scratch, "ram"))["export-size"], 16 << 20);
    let asked = manager.ask(&["ps", "--control", &dir.join("c.sock").display().to_string()]);
    assert!(asked.expect_success("vcp ps").contains("ram"));
    let logs = manager.logs();
    let warned = format!(
        "socket \"nobody\" at unix:{}/n.sock was passed, and no export is there",
        dir.display()
    );
    assert!(logs.contains(&warned), "{logs}");
    manager.reload();
    for (name, size) in [("disk", 64 << 20), ("ram", 16 << 20)] {
        let served = clients.info(&uri(&scratch, name));
        assert_eq!(served["export-size"], size, "{name} after a reload");
    }
    let own = format!("{}.sock", manager.host());
    let own = dir.join("control").join(own).display().to_string();
    let asked = manager.ask(&["reload", "--all", "--control", &own]);
    asked.expect_success("vcp reload by the host's own socket");
    manager.stop();
    assert!(dir.join("disk.sock").exists(), "the file is the manager's");
}

/// `systemctl enable` of a socket unit and a restart, while the host listens there itself.
#[test]
fn a_socket_unit_takes_over_the_path_that_the_host_had() {
    requires!("nbdinfo");
    let scratch = Scratch::new();
    let dir = scratch.path();
    configure(&scratch, &disk(dir, "disk"));
    let manager = Manager::start(MANAGER, dir, &[], &[]);
    manager.wait_for("READY=1", 1);
    let clients = Clients::new(dir);
    let served = || {
        let info = clients.info(&uri(&scratch, "disk"));
        assert_eq!(info["export-size"], 64 << 20, "{}", manager.logs());
    };
    served();
    let path = dir.join("disk.sock").display().to_string();
    manager.restart_with(&format!("disk={path}"));
    served();
    manager.wait_for("FDSTOREREMOVE=1 FDNAME=vcp-nbd=", 1);
    let logs = manager.logs();
    let line = format!("unix:{path}: the socket unit's from now on");
    assert_eq!(logs.matches(&line).count(), 1, "{logs}");
    assert!(!logs.contains("no export is there"), "{logs}");
    // And from here on as if it had never been otherwise.
    manager.restart();
    served();
    assert_eq!(manager.logs().matches(&line).count(), 1);
    manager.stop();
}

/// Who takes the path of a socket takes its clients: that is said, once.
#[test]
fn a_path_that_somebody_else_has_taken_is_told() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    configure(&scratch, &disk(dir, "disk"));
    let manager = Manager::start(MANAGER, dir, &[], &[]);
    manager.wait_for("READY=1", 1);
    let path = dir.join("disk.sock");
    let line = format!("unix:{}: another has taken its place", path.display());
    std::thread::sleep(Duration::from_secs(3));
    assert!(!manager.logs().contains(&line), "nobody has yet");
    fs::remove_file(&path).expect("it is there");
    let other = std::os::unix::net::UnixListener::bind(&path).expect("it is free");
    let told = || (manager.logs().matches(&line).count() == 1).then_some(());
    let told = poll(Duration::from_secs(20), told);
    assert!(told.is_some(), "{}", manager.logs());
    manager.reload();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(manager.logs().matches(&line).count(), 1, "it is said once");
    drop(other);
    manager.stop();
    assert!(path.exists(), "it is not the host's to remove");
}

#[test]
fn a_second_reading_changes_what_has_changed() {
    let scratch = Scratch::new();
    configure(&scratch, "# nothing yet\n");
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("STATUS=no VCPs are configured", 1);
    configure(&scratch, &(ram("a", "") + &ram("b", "") + &ram("c", "")));
    manager.reload();
    assert_eq!(manager.count("RELOADING=1 MONOTONIC_USEC="), 1);
    let ready = || (manager.ask(&["ps"]).stdout.matches("ready").count() == 3).then_some(());
    assert!(
        poll(Duration::from_secs(20), ready).is_some(),
        "{}",
        manager.logs()
    );

    let changed = ram("b", "queue-depth = 7\nrestart = { spare = true }");
    configure(&scratch, &(ram("a", "") + &changed + &ram("d", "")));
    let said = manager
        .ask(&["reload", "--all"])
        .expect_success("vcp reload --all");
    for line in [
        "VCP c: stopped",
        "VCP d: started",
        "VCP b: queue-depth=7",
        "VCP b: restart: can't be changed while it runs, and stays as it was: vcp stop b, then reload again",
    ] {
        assert!(
            said.lines().any(|said| said == line),
            "{line}: not in\n{said}"
        );
    }
    assert!(!said.contains("VCP a"), "{said}");
    let inspect = manager.ask(&["inspect", "b", "--json"]).stdout;
    assert!(inspect.contains("queue-depth = 7"), "{inspect}");

    configure(&scratch, "[vcp.a]\nmodule = 1\n");
    let outcome = manager.ask(&["reload", "--all"]);
    assert_eq!(outcome.code(), 1);
    assert!(
        outcome.stderr.contains("host.toml:2:10: vcp.a.module: "),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        manager.ask(&["ps"]).stdout.matches("ram").count(),
        3,
        "they go on"
    );

    // What was stopped by hand comes back as it is configured now.
    configure(&scratch, &(ram("a", "") + &changed + &ram("d", "")));
    manager.ask(&["stop", "b"]).expect_success("vcp stop");
    let said = manager
        .ask(&["reload", "--all"])
        .expect_success("vcp reload --all");
    assert!(
        said.contains("VCP b: started") && !said.contains("restart"),
        "{said}"
    );
    manager.stop();
}

#[test]
fn the_watchdog_hears_of_a_host_that_turns_and_of_no_other() {
    requires!(Root, "strace");
    let scratch = Scratch::new();
    configure(&scratch, &ram("ram", ""));
    let manager = Manager::start(
        MANAGER,
        scratch.path(),
        &[],
        &[("WATCHDOG_USEC", "2000000")],
    );
    manager.wait_for("READY=1", 1);
    manager.wait_for("WATCHDOG=1", 4);
    let tasks = format!("/proc/{}/task", manager.host());
    let thread = fs::read_dir(tasks).expect("it runs").find_map(|task| {
        let task = task.ok()?;
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        name.contains("ram")
            .then(|| task.file_name().into_string().ok())?
    });
    // Its channel processor stands still in every system call, for five seconds.
    let mut hold = command("strace");
    hold.args(["-q", "-p", &thread.expect("a thread of its VCP")]);
    hold.args(["-e", "inject=all:delay_exit=5000000", "-o", "/dev/null"]);
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| {
            let mut limited = command("timeout");
            limited
                .args(["-s", "INT", "8"])
                .arg(hold.get_program())
                .args(hold.get_args());
            let _ = run(limited, scratch.path(), Duration::from_secs(30));
        });
        std::thread::sleep(Duration::from_millis(2500));
        let before = manager.count("WATCHDOG=1");
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(manager.count("WATCHDOG=1"), before, "{}", manager.logs());
        holding.join().expect("strace ends");
    });
    assert!(
        manager
            .logs()
            .contains("the channel processor of VCP ram has not answered")
    );
    let now = manager.count("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1", now + 2);
    manager.stop();
}

#[test]
fn secrets_come_as_credentials_and_are_never_shown() {
    let scratch = Scratch::new();
    let credentials = scratch.path().join("credentials");
    fs::create_dir(&credentials).expect("making a directory");
    fs::write(credentials.join("disk-chap"), "correct horse\n").expect("writing a secret");
    configure(
        &scratch,
        "[vcp.disk]\nmodule = \"iscsi\"\nnet = { link = \"host\" }\n\
         [vcp.disk.config]\ntarget = \"iscsi://127.0.0.1:1/iqn.a:b/1\"\nuser = \"joe\"\n\
         password-credential = \"disk-chap\"\n[export.disk]\n",
    );
    let directory = credentials.display().to_string();
    let manager = Manager::start(
        MANAGER,
        scratch.path(),
        &[],
        &[("CREDENTIALS_DIRECTORY", &directory)],
    );
    let listed = || manager.ask(&["ps"]).stdout.contains("disk").then_some(());
    assert!(
        poll(Duration::from_secs(20), listed).is_some(),
        "{}",
        manager.logs()
    );
    let shown = manager.ask(&["inspect", "disk", "--json"]).stdout;
    assert!(shown.contains("password-credential"), "{shown}");
    let all = [
        shown,
        manager.ask(&["ps", "--json"]).stdout,
        manager.logs(),
        manager.events().join("\n"),
    ];
    assert!(!all.join("\n").contains("horse"));
    manager.stop();
}

/// Two hosts of one configuration would log in to the same targets as the same, and end
/// each other's sessions.
#[test]
fn a_second_host_of_a_configuration_is_refused() {
    let scratch = Scratch::new();
    configure(&scratch, &ram("ram", ""));
    let manager = Manager::start(MANAGER, scratch.path(), &[], &[]);
    manager.wait_for("READY=1", 1);
    let file = scratch.path().join("host.toml").display().to_string();
    let second = manager.ask(&["host", "--config", &file]);
    let process = format!("process {} is a host", manager.host());
    vcp_tests::vcp::assert_one_line(&second, 1, &[&file, &process]);
    // The next process of the same service is none.
    manager.restart();
    manager.wait_for("READY=1", 2);
    manager.stop();
}

//! Asking and telling a running host: `vcp ps`, `inspect`, `logs`, `reload` and
//! the others, against `vcp run` with RAM disks.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use vcp_tests::nbd::Connection;
use vcp_tests::process::{command, poll, run};
use vcp_tests::requires;
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::{self, Vcp, assert_one_line};

/// The RAM disk's component in a file.
fn module(user: &User, name: &str) -> PathBuf {
    let path = user.dir().join(name);
    // Complete when it gets its name.
    let draft = path.with_extension("new");
    fs::write(&draft, ramdisk()).expect("writing a module");
    fs::rename(&draft, &path).expect("naming a module");
    path
}

fn ramdisk() -> &'static [u8] {
    vcp_builtin::find("ramdisk").expect("it ships inside").bytes
}

fn is(report: &Value, state: &str, generation: u64) -> bool {
    report["state"] == state && report["generation"] == generation
}

#[test]
fn lists_and_inspects() {
    requires!("qemu-io");
    let user = User::new();
    assert_eq!(user.json(&["ps"]), serde_json::json!([]));
    let host = user.ram("ram");
    user.clients()
        .qemu_io(&host.uri(), &["write -P 5 0 64k", "flush"]);
    let table = user.say(&["ps"]);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0][..4], ["HOST", "NAME", "STATE", "GEN"]);
    let pid = host.pid().to_string();
    assert_eq!(rows[1][..5], [pid.as_str(), "ram", "ready", "1", "0"]);
    assert_eq!(rows[1][7], "-", "it has no share");
    assert_eq!(rows[1][10..], ["ramdisk", "-", host.uri().as_str()]);
    assert_eq!(rows.len(), 2, "{table}");
    let hosts = user.json(&["ps"]);
    assert_eq!(hosts[0]["pid"], host.pid());
    let listed = &hosts[0]["vcps"][0];
    assert!(is(listed, "ready", 1), "{listed}");
    assert_eq!(listed["exports"][0]["uris"][0], host.uri());
    let inspection = user.json(&["inspect", "ram"]);
    assert_eq!(inspection["size"], 8 << 20);
    assert_eq!(inspection["spare"], "off");
    assert!(inspection["counters"]["completed"].as_u64() > Some(0));
    let config = inspection["config"].as_str().expect("text");
    assert!(config.contains("module = \"ramdisk\""), "{config}");
    let text = user.say(&["inspect", &format!("{pid}/ram")]);
    assert!(text.contains("memory limit      64MiB"), "{text}");
    host.shut_down();
    assert_eq!(user.json(&["ps"]), serde_json::json!([]));
    assert_eq!(fs::read_dir(user.sockets()).expect("made").count(), 0);
}

#[test]
fn crashes_are_reported() {
    requires!("qemu-io");
    let user = User::new();
    let host = user.configured("crash-reports = { keep = 2, core-dumps = true }");
    assert_eq!(
        user.json(&["logs", "ram"])["crashes"],
        serde_json::json!([])
    );
    let none = user.ask(&["logs", "ram", "--crash", "last"]);
    assert_one_line(&none, 1, &["no crash reports"]);
    user.clients().qemu_io(&host.uri(), &["write -P 5 0 64k"]);
    let faults = ["trap", "oom", "stack"];
    for (generation, fault) in (1..).zip(faults) {
        let said = user.say(&["inject", "ram", fault]);
        let expected = format!("ram: {fault} injected into generation {generation}\n");
        assert_eq!(said, expected);
        user.until("ram", |vcp| is(vcp, "ready", generation + 1));
    }
    let crashes = &user.json(&["logs", "ram"])["crashes"];
    assert_eq!(crashes.as_array().map(Vec::len), Some(2), "{crashes}");
    assert_eq!(crashes[0]["kind"], "memory", "{crashes}");
    assert_eq!(crashes[1]["kind"], "stack", "{crashes}");
    assert_eq!(crashes[1]["number"], 3);
    assert_eq!(crashes[1]["injected"], true);
    let table = user.say(&["logs", "ram"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    let last = user.json(&["logs", "ram", "--crash", "last"]);
    assert_eq!(last, user.json(&["logs", "ram", "--crash", "3"]));
    let has = |what: &str| {
        let entries = last["entries"].as_array().expect("a list");
        entries.iter().any(|entry| entry["what"] == what)
    };
    assert!(
        has("request") && has("completion") && has("ready"),
        "{last}"
    );
    assert!(last["core"].as_u64() > Some(0), "{last}");
    let text = user.say(&["logs", "ram", "--crash", "3", "--core", "core.wasm"]);
    assert!(text.contains("write 65536 bytes at 0"), "{text}");
    let core = user.dir().join("core.wasm");
    let dump = fs::read(&core).expect("written");
    assert_eq!(last["core"], dump.len());
    assert_eq!(dump[..4], *b"\0asm");
    let mode = fs::metadata(&core).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it may hold secrets");
    let gone = user.ask(&["logs", "ram", "--crash", "1"]);
    assert_one_line(&gone, 1, &["no report of crash 1", "2 to 3"]);
    host.shut_down();
}

/// A client that is connected all along finds its data after a reload, and after
/// one that fails.
#[test]
fn reloads_under_a_client() {
    requires!("qemu-io");
    let user = User::new();
    let host = user.ram("ram");
    let new = module(&user, "new.wasm");
    let broken = user.dir().join("broken.wasm");
    fs::write(&broken, "no component").expect("writing a file");
    let steps = ["write -P 9 1M 64k", "sleep 3000", "read -P 9 1M 64k"];
    let uri = host.uri();
    let client = std::thread::spawn({
        let clients = user.clients();
        move || clients.qemu_io(&uri, &steps)
    });
    let written = |vcp: &Value| vcp["counters"]["completed"].as_u64() > Some(0);
    user.until("ram", written);
    // By a relative path, which is relative to where the command is run.
    let reload = user.json(&["reload", "ram", "./new.wasm"]);
    assert_eq!(reload["replaced"], true, "{reload}");
    assert_eq!(reload["generation"], 2, "{reload}");
    assert_eq!(reload["handed-over"], true, "{reload}");
    let inspection = user.json(&["inspect", "ram"]);
    assert_eq!(inspection["module"], new.display().to_string());
    assert_eq!(inspection["clients"], 1, "the client was dropped");
    let refused = user.ask(&["reload", "ram", "./broken.wasm"]);
    assert_one_line(&refused, 1, &["broken.wasm"]);
    let said = user.say(&["reload", "ram"]);
    assert!(
        said.starts_with("ram: generation 3, state handed over"),
        "{said}"
    );
    client.join().expect("the client was served all along");
    host.shut_down();
}

#[test]
fn restarts_and_revives() {
    requires!("qemu-io");
    let user = User::new();
    let host = user.ram("ram");
    let said = user.say(&["restart", "ram"]);
    assert_eq!(said, "ram: generation 2, ready\n");
    host.shut_down();
    let host = user.configured("restart = { policy = \"never\" }");
    user.say(&["inject", "ram", "trap"]);
    let held = user.until("ram", |vcp| vcp["state"] == "held");
    assert!(held["reason"].is_string(), "{held}");
    let dead = user.ask(&["inject", "ram", "trap"]);
    assert_one_line(&dead, 1, &["held"]);
    let mut client = command("qemu-io");
    client.args(["-f", "raw", "-c", "read 0 4k", &host.uri()]);
    let refused = run(client, user.dir(), LIMIT);
    assert_ne!(refused.code(), 0, "a held VCP takes clients");
    assert_eq!(user.say(&["restart", "ram"]), "ram: generation 2, ready\n");
    user.clients().qemu_io(&host.uri(), &["read 0 4k"]);
    user.say(&["inject", "ram", "trap"]);
    user.until("ram", |vcp| vcp["state"] == "held");
    // One that can't start changes nothing; one that can revives it too.
    let refused = user.ask(&["reload", "ram", "file"]);
    assert_one_line(&refused, 1, &["ram", "not reloaded"]);
    assert_eq!(user.json(&["inspect", "ram"])["state"], "held");
    let reload = user.json(&["reload", "ram"]);
    assert_eq!(reload["replaced"], true, "{reload}");
    user.until("ram", |vcp| vcp["state"] == "ready");
    host.shut_down();
}

#[test]
fn stops_one_and_ends_with_the_last() {
    let user = User::new();
    let text = "[vcp.a]\nmodule = \"ramdisk\"\nconfig = { size = \"8MiB\" }\n\
                [vcp.b]\nmodule = \"ramdisk\"\nconfig = { size = \"8MiB\" }\n\
                [export.a]\n[export.b]\n";
    fs::write(user.dir().join("two.toml"), text).expect("writing a configuration");
    let host = user.host(&["two.toml"]);
    assert_eq!(user.say(&["stop", "a"]), "a: stopped\n");
    let states = || {
        let hosts = user.json(&["ps"]);
        ["a", "b"].map(|name| {
            let vcps = hosts[0]["vcps"].as_array().cloned().unwrap_or_default();
            let vcp = vcps.into_iter().find(|vcp| vcp["name"] == name);
            vcp.map(|vcp| vcp["state"].clone())
        })
    };
    assert_eq!(states(), [Some("stopped".into()), Some("ready".into())]);
    assert_eq!(user.say(&["stop", "b"]), "b: stopped\n");
    let outcome = host.ends();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
}

#[test]
fn two_hosts_with_one_name() {
    let user = User::new();
    let hosts = [user.ram("ram"), user.ram("ram")];
    let other = user.ram("other");
    let both = hosts.each_ref().map(|host| format!("{}/ram", host.pid()));
    let unclear = user.ask(&["inspect", "ram"]);
    assert_one_line(&unclear, 1, &["several hosts", &both[0], &both[1]]);
    for (host, name) in hosts.iter().zip(&both) {
        assert_eq!(user.json(&["inspect", name])["pid"], host.pid());
        let socket = user.socket(host).display().to_string();
        let by_socket = user.json(&["inspect", "ram", "--control", &socket]);
        assert_eq!(by_socket["pid"], host.pid());
    }
    assert_eq!(user.json(&["inspect", "other"])["pid"], other.pid());
    let unknown = user.ask(&["inspect", "rom"]);
    assert_one_line(&unknown, 1, &["rom", "other, ram"]);
    assert_eq!(user.json(&["ps"]).as_array().map(Vec::len), Some(3));
}

/// What a killed host left is no obstacle and goes; one that hangs is told of.
#[test]
fn the_dead_and_the_stuck() {
    let user = User::new();
    let dead = user.ram("dead");
    let socket = user.socket(&dead);
    assert_eq!(dead.stop(Signal::KILL).code(), 128 + 9);
    assert!(socket.exists(), "a killed host removes nothing");
    assert_eq!(user.json(&["ps"]), serde_json::json!([]));
    assert!(!socket.exists());
    let stuck = user.ram("stuck");
    let alive = user.ram("alive");
    stuck.signal(Signal::STOP);
    let outcome = user.ask(&["ps"]);
    stuck.signal(Signal::CONT);
    assert_eq!(outcome.code(), 1, "{outcome:?}");
    assert!(outcome.stdout.contains("alive"), "{outcome:?}");
    assert!(outcome.stderr.contains("did not answer"), "{outcome:?}");
    alive.shut_down();
    stuck.shut_down();
}

#[test]
fn where_it_is_asked_for() {
    let user = User::new();
    let without = user.host(&["ramdisk", "size=8MiB", "--control", "none"]);
    assert_eq!(user.json(&["ps"]), serde_json::json!([]));
    without.shut_down();
    let host = user.host(&["ramdisk", "size=8MiB", "--control", "here.sock"]);
    assert_eq!(user.json(&["ps"]), serde_json::json!([]));
    let hosts = user.json(&["ps", "--control", "here.sock"]);
    assert_eq!(hosts[0]["pid"], host.pid());
    let taken = ["run", "ramdisk", "size=8MiB", "--control", "here.sock"];
    assert_one_line(&user.ask(&taken), 1, &["here.sock", "another process"]);
    host.shut_down();
    assert!(!user.dir().join("here.sock").exists());
    let nowhere = ["run", "ramdisk", "size=8MiB", "--control", "none/x.sock"];
    assert_one_line(&user.ask(&nowhere), 1, &["none/x.sock"]);
    let gone = user.ask(&["ps", "--control", "here.sock"]);
    assert_one_line(&gone, 1, &["here.sock"]);
}

/// Somebody else can't reach the socket, and is refused where its mode lets them.
#[test]
fn others_are_refused() {
    requires!(Root);
    let user = User::new();
    let host = user.ram("ram");
    let socket = user.socket(&host);
    let mode = |path: &PathBuf| fs::metadata(path).expect("made").permissions().mode() & 0o777;
    assert_eq!(mode(&user.sockets()), 0o700);
    assert_eq!(mode(&socket), 0o600);
    let path = socket.display().to_string();
    let as_nobody = |arguments: &[&str]| {
        let mut command = vcp::unprivileged(user.dir(), None);
        command.args(arguments);
        run(command, user.dir(), LIMIT)
    };
    let closed = as_nobody(&["ps", "--control", &path]);
    assert_one_line(&closed, 1, &["permission denied"]);
    let open = |path: &PathBuf| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("as root");
    };
    open(&user.sockets());
    open(&socket);
    for verb in [&["ps"][..], &["inject", "ram", "trap"], &["stop", "ram"]] {
        let refused = as_nobody(&[verb, &["--control", &path]].concat());
        assert_one_line(&refused, 1, &["65534 may not control"]);
    }
    assert!(is(&user.json(&["inspect", "ram"]), "ready", 1));
    // The other way round, root may: it could anyway.
    let mut theirs = vcp::unprivileged(user.dir(), None);
    let own = user.dir().join("home/own.sock").display().to_string();
    theirs.args(["run", "ramdisk", "size=8MiB", "--control", &own]);
    let theirs = Vcp::start(theirs, user.dir());
    assert_eq!(
        user.json(&["ps", "--control", &own])[0]["pid"],
        theirs.pid()
    );
    theirs.shut_down();
}

/// Clients that take every open file there is leave some to those who ask.
#[test]
fn asked_when_clients_have_all_open_files() {
    requires!("prlimit");
    let user = User::new();
    let vcp = user.command(&[
        "run",
        "ramdisk",
        "size=8MiB",
        "--name",
        "ram",
        "--nbd",
        "unix:s",
    ]);
    let mut limited = command("prlimit");
    limited.arg("--nofile=64:64").arg(vcp.get_program());
    limited.args(vcp.get_args()).current_dir(user.dir());
    let set = vcp.get_envs();
    limited.envs(set.filter_map(|(key, value)| Some((key, value?))));
    let host = Vcp::start(limited, user.dir());
    let socket = user.dir().join("s");
    let mut served = Connection::to(&socket, "ram");
    let connect = |_| UnixStream::connect(&socket).expect("it listens");
    let crowd: Vec<_> = (0..100).map(connect).collect();
    let told = || {
        let logs = host.logs().to_lowercase();
        logs.contains("too many open files").then_some(())
    };
    assert!(poll(LIMIT, told).is_some(), "{}", host.logs());
    let listed = user.json(&["ps"]);
    assert_eq!(listed[0]["pid"], host.pid(), "{listed}");
    user.say(&["inspect", "ram"]);
    user.say(&["clients", "ram"]);
    user.say(&["set", "ram", "limit.iops=1000"]);
    // What reads files, too.
    module(&user, "new.wasm");
    user.say(&["reload", "ram", "./new.wasm"]);
    served.read(0, 512).expect("it is served");
    drop(crowd);
    let again = poll(LIMIT, || Connection::try_to(&socket, "ram").ok());
    assert!(again.is_some(), "{}", host.logs());
    host.shut_down();
}

/// Whatever is sent, the host answers or hangs up, and goes on.
#[test]
fn bad_requests() {
    let user = User::new();
    let host = user.ram("ram");
    let connect = || {
        let stream = UnixStream::connect(user.socket(&host)).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("not zero");
        stream
    };
    let mut stream = connect();
    let mut answers = BufReader::new(stream.try_clone().expect("a descriptor"));
    let deep = "[".repeat(10_000);
    for (line, kind) in [
        ("", "bad-request"),
        ("ps", "bad-request"),
        ("\u{0}\u{1b}", "bad-request"),
        (&deep, "bad-request"),
        (r#"{"v":1,"verb":"dance"}"#, "bad-request"),
        (r#"{"v":1,"verb":"ps","x":1}"#, "bad-request"),
        (r#"{"v":2,"verb":"ps"}"#, "version"),
        (r#"{"v":1,"verb":"inspect","vcp":"rom"}"#, "no-such-vcp"),
        (r#"{"v":1,"verb":"inspect","vcp":"../ram"}"#, "no-such-vcp"),
        (r#"{"v":1,"verb":"crash","vcp":"ram"}"#, "no-such-report"),
        (
            r#"{"v":1,"verb":"inject","vcp":"ram","fault":"x"}"#,
            "bad-request",
        ),
        (
            r#"{"v":1,"verb":"reload","vcp":"ram","module":"x.wasm"}"#,
            "bad-request",
        ),
        (
            r#"{"v":1,"verb":"reload","vcp":"ram","module":"/no/x.wasm"}"#,
            "failed",
        ),
        (
            r#"{"v":1,"verb":"reload","vcp":"ram","module":"/dev/zero"}"#,
            "failed",
        ),
    ] {
        stream.write_all(line.as_bytes()).expect("it takes a line");
        stream.write_all(b"\n").expect("it takes a line");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("in JSON");
        assert_eq!(answer["error"]["kind"], kind, "{line:.60}: {answer}");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let mut endless = connect();
    let _ = endless.write_all(&vec![b' '; 1 << 20]);
    let mut answer = String::new();
    let _ = endless.read_to_string(&mut answer);
    assert!(answer.contains("16384"), "{answer}");
    // Some that say nothing take room, and no more than that.
    let idle: Vec<_> = (0..100).map(|_| connect()).collect();
    std::thread::sleep(Duration::from_millis(100));
    drop(idle);
    // On a busy machine it takes the host a moment to notice that they are gone.
    let there = || (user.ask(&["inspect", "ram"]).code() == 0).then_some(());
    assert!(poll(LIMIT, there).is_some(), "{}", host.logs());
    user.until("ram", |vcp| is(vcp, "ready", 1));
    host.shut_down();
}

#[test]
fn what_makes_no_sense() {
    let user = User::new();
    for (line, named) in [
        (&["inspect"][..], "NAME"),
        (&["inspect", "12/"], "12/"),
        (&["inject", "ram", "explode"], "explode"),
        (&["logs", "ram", "--crash", "first"], "first"),
        (&["logs", "ram", "--core", "x"], "--crash"),
        (&["reload", "ram", "Two Words"], "Two Words"),
        (&["run", "ramdisk", "size=8MiB", "--watch"], "--watch"),
        (&["run", "ramdisk", "--replacement-timeout", "soon"], "soon"),
    ] {
        assert_one_line(&user.ask(line), 2, &[named]);
    }
    for line in [
        &["inspect", "ram"][..],
        &["reload", "ram"],
        &["stop", "ram"],
    ] {
        assert_one_line(&user.ask(line), 1, &["no VCP ram is running"]);
    }
}

#[test]
fn a_watched_module_is_reloaded() {
    let user = User::new();
    module(&user, "disk.wasm");
    let line = ["./disk.wasm", "size=8MiB", "--name", "ram", "--watch"];
    let host = user.host(&line);
    // Also a change of the file's date alone counts: a compiler was there.
    module(&user, "disk.wasm");
    user.until("ram", |vcp| is(vcp, "ready", 2));
    let path = user.dir().join("disk.wasm");
    fs::write(&path, &ramdisk()[..1000]).expect("a compiler that was killed");
    let told = || host.logs().contains("not reloaded").then_some(());
    assert!(poll(LIMIT, told).is_some(), "{}", host.logs());
    assert!(is(&user.json(&["inspect", "ram"]), "ready", 2));
    module(&user, "disk.wasm");
    user.until("ram", |vcp| is(vcp, "ready", 3));
    assert_eq!(host.logs().matches("not reloaded").count(), 1);
    assert_eq!(host.logs().matches("changed: reloaded").count(), 2);
    host.shut_down();
}

//! `vcp host --check`: what it finds without a start, and that it changes nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vcp_tests::lab::Scratch;
use vcp_tests::manager::Manager;
use vcp_tests::process::{Outcome, command, run};
use vcp_tests::vcp::binary;

use super::{MANAGER, configure, disk, ram};

const LIMIT: Duration = Duration::from_secs(60);

/// The check, outside of a service whose units are in this directory.
fn check_with(dir: &Path, units: &Path) -> Outcome {
    let mut check = command(binary());
    check.args(["host", "--check", "--config"]);
    check.arg(dir.join("host.toml"));
    check.env("SYSTEMD_UNIT_PATH", units);
    for own in ["CREDENTIALS_DIRECTORY", "MAINPID"] {
        check.env_remove(own);
    }
    run(check, dir, LIMIT)
}

fn check(dir: &Path) -> Outcome {
    check_with(dir, &dir.join("no-units"))
}

/// Two files with something wrong in every part.
const FIRST: &str = "\
[vcp.key]
module = \"ramdisk\"
config = { size = \"1MiB\", colour = \"red\" }
[vcp.gone]
module = \"file\"
files = [{ host = \"DIR\", guest = \"/d\" }]
config = { path = \"/d/gone.img\" }
[vcp.module]
module = \"DIR/no.wasm\"
files = [{ host = \"DIR/no\", guest = \"/d\" }]
[export.key]
nbd = \"unix:DIR/no/key.sock\"
socket-group = \"no-such-group\"
[export.gone]
nbd = [\"tcp:192.0.2.7:10809\", \"unix:DIR/host.toml\"]
";

const SECOND: &str = "\
[vcp.net]
module = \"iscsi\"
net = { link = \"packet:vcp-none\", address = \"10.0.0.2/24\", pcap = \"DIR/no/x.pcap\" }
config = { target = \"iscsi://10.0.0.1/iqn.2026-11.test:disk/1\", user = \"joe\", password-file = \"DIR/secret\" }
[export.net]
nbd = \"unix:DIR/conf.d/../net.sock\"
attach = { device = \"/dev/nbd7\" }
[export.again]
vcp = \"net\"
nbd = \"unix:DIR/net.sock\"
attach = { device = \"/dev/nbd7\" }
";

/// Where each finding is, under which key, and what a start says as well.
const FINDINGS: &[(&str, &str)] = &[
    (
        "host.toml:3:27: vcp.key.config.colour: ",
        "unknown key; a RAM disk has: size, after-fault",
    ),
    (
        "host.toml:7:12: vcp.gone.config.path: ",
        "/d/gone.img: No such file or directory (os error 2)",
    ),
    (
        "host.toml:9:1: vcp.module.module: ",
        "module DIR/no.wasm: No such file or directory (os error 2)",
    ),
    (
        "host.toml:10:1: vcp.module.files: ",
        "directory DIR/no: No such file or directory (os error 2)",
    ),
    (
        "conf.d/net.toml:4:79: vcp.net.config.password-file: ",
        "DIR/secret: No such file or directory (os error 2)",
    ),
    (
        "conf.d/net.toml:3:9: vcp.net.net.link: ",
        "warning: packet vcp-none: there is no such interface; the VCP waits for it",
    ),
    (
        "conf.d/net.toml:3:60: vcp.net.net.pcap: ",
        "DIR/no/x.pcap: there is no such directory",
    ),
    (
        "host.toml:12:1: export.key.nbd: ",
        "cannot listen on unix:DIR/no/key.sock: ",
    ),
    (
        "host.toml:13:1: export.key.socket-group: ",
        "there is no group \"no-such-group\"",
    ),
    (
        "host.toml:15:1: export.gone.nbd: ",
        "cannot listen on tcp:192.0.2.7:10809: Cannot assign requested address (os error 99)",
    ),
    (
        "host.toml:15:1: export.gone.nbd: ",
        "cannot listen on unix:DIR/host.toml: the file exists and is not a socket",
    ),
    (
        "conf.d/net.toml:6:1: export.net.nbd: ",
        "unix:DIR/conf.d/../net.sock is the same file as unix:DIR/net.sock",
    ),
    (
        "conf.d/net.toml:7:12: export.net.attach.device: ",
        "/dev/nbd7 is that of export again already",
    ),
];

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    let at = dir.display().to_string();
    fs::create_dir(dir.join("conf.d")).expect("making a directory");
    configure(&scratch, &FIRST.replace("DIR", &at));
    let second = dir.join("conf.d/net.toml");
    fs::write(&second, SECOND.replace("DIR", &at)).expect("writing a configuration");
    let outcome = check(dir);
    assert_eq!(outcome.code(), 1);
    let said: Vec<_> = outcome.stderr.lines().collect();
    for (place, what) in FINDINGS {
        let line = format!("vcp: {at}/{place}{}", what.replace("DIR", &at));
        let found = said.iter().filter(|said| said.starts_with(&line)).count();
        assert_eq!(found, 1, "{line}: not in\n{}", outcome.stderr);
    }
    assert_eq!(said.len(), FINDINGS.len(), "{}", outcome.stderr);
}

/// The words are those of the start, whose code it is that is asked.
#[test]
fn a_start_says_the_same() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    let at = dir.display().to_string();
    configure(&scratch, &FIRST.replace("DIR", &at));
    let checked = check(dir).stderr;
    let manager = Manager::start(MANAGER, dir, &[], &[]);
    manager.wait_for("READY=1", 1);
    let logs = manager.logs();
    // Which of several is said first is the start's affair.
    let of_starts = ["unknown key", "gone.img", "no.wasm", "no-such-group"];
    for (_, what) in FINDINGS {
        if of_starts.iter().any(|word| what.contains(word)) {
            let what = what.replace("DIR", &at);
            assert!(checked.contains(&what), "{what}: not in\n{checked}");
            assert!(logs.contains(&what), "{what}: not in\n{logs}");
        }
    }
    manager.stop();
}

#[test]
fn what_is_sound_is_sound_and_stays_untouched() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    let text = disk(dir, "disk") + &ram("ram", "") + &disk(dir, "new");
    let made = "path = \"/d/new.img\"";
    assert!(text.contains(made));
    let text = text.replace(made, "path = \"/d/made.img\", size = \"1GiB\"");
    let link = "net = { link = \"packet:vcp-none\", address = \"10.0.0.2/24\" }";
    let later = format!(
        "[vcp.later]\nmodule = \"iscsi\"\n{link}\n\
         config = {{ target = \"iscsi://10.0.0.1/iqn.2026-11.test:disk/1\" }}\n"
    );
    configure(&scratch, &(text + &later));
    let outcome = check(dir);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    let said = "nothing speaks against a start: 4 VCPs, 3 exports\n";
    assert_eq!(outcome.stdout, said);
    // It may come later.
    let warned = "vcp.later.net.link: warning: packet vcp-none: there is no such interface; \
                  the VCP waits for it\n";
    assert!(outcome.stderr.ends_with(warned), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    for file in ["made.img", "disk.sock", "control"] {
        assert!(!dir.join(file).exists(), "{file} was made");
    }
}

fn with_credential(scratch: &Scratch) {
    configure(
        scratch,
        "[vcp.disk]\nmodule = \"iscsi\"\nnet = { link = \"host\" }\n\
         [vcp.disk.config]\ntarget = \"iscsi://127.0.0.1:1/iqn.2026-11.test:disk/1\"\nuser = \"joe\"\n\
         password-credential = \"disk-chap\"\n[export.disk]\n",
    );
}

/// Outside of the service it is the unit that says what the service will be given.
#[test]
fn credentials_are_those_of_the_unit() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    with_credential(&scratch);
    let units = dir.join("units");
    let drop_in = units.join("vcp.service.d/credentials.conf");
    fs::create_dir_all(drop_in.parent().expect("it has one")).expect("making directories");
    fs::write(
        units.join("vcp.service"),
        "[Service]\nExecStart=/bin/true\n",
    )
    .expect("writing a unit");
    let credential = |line: &str| {
        fs::write(&drop_in, format!("[Service]\n{line}\n")).expect("writing a drop-in");
        check_with(dir, &units)
    };
    let key = "vcp.disk.config.password-credential: ";
    let refused = |outcome: &Outcome, what: &str| {
        assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
        let line = format!("{key}{what}");
        assert!(outcome.stderr.contains(&line), "{line}: {}", outcome.stderr);
    };
    let absent = credential("");
    refused(&absent, "disk-chap: the service was not given it");
    assert!(absent.stderr.contains("systemctl daemon-reload"));
    let file = dir.join("secret").display().to_string();
    let line = format!("LoadCredential=disk-chap:{file}");
    let unreadable = credential(&line);
    assert_eq!(unreadable.code(), 1);
    let why = format!("the unit loads it from {file}: No such file or directory");
    assert!(unreadable.stderr.contains(&why), "{}", unreadable.stderr);
    fs::write(&file, "correct horse\n").expect("writing a secret");
    let sound = credential(&line);
    assert_eq!((sound.code(), sound.stderr.as_str()), (0, ""));
    let unseen = credential("LoadCredentialEncrypted=disk-chap:/etc/vcp/disk-chap");
    assert_eq!(unseen.code(), 0, "{}", unseen.stderr);
    let warned = format!("{key}warning: disk-chap: the unit names it; its secret can't be seen");
    assert!(unseen.stderr.contains(&warned), "{}", unseen.stderr);
    assert!(!format!("{sound:?}{unseen:?}").contains("horse"));
}

/// What a service was not given at its start it can't be given by a reload.
#[test]
fn a_reload_says_how_a_new_credential_comes() {
    let credentials = Scratch::new();
    let directory = credentials.path().display().to_string();
    for given in [&[("CREDENTIALS_DIRECTORY", &*directory)][..], &[]] {
        let scratch = Scratch::new();
        configure(&scratch, "# nothing yet\n");
        let manager = Manager::start(MANAGER, scratch.path(), &[], given);
        manager.wait_for("READY=1", 1);
        with_credential(&scratch);
        let outcome = manager.ask(&["reload", "--all"]);
        assert_eq!(outcome.code(), 1);
        for word in [
            "disk-chap: ",
            "LoadCredential=",
            "systemctl daemon-reload",
            "restart",
        ] {
            assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
        }
        manager.stop();
    }
}

#[test]
fn usage_and_files_that_make_no_sense() {
    let scratch = Scratch::new();
    configure(&scratch, "[vcp.a]\nmodule = 1\n");
    let outcome = check(scratch.path());
    assert_eq!(outcome.code(), 1);
    assert!(outcome.stderr.contains("host.toml:2:10: vcp.a.module: "));
    let mut usage = command(binary());
    usage.args(["host", "--check", "--dump-config"]);
    assert_eq!(run(usage, scratch.path(), LIMIT).code(), 2);
    configure(&scratch, "");
    let mut metrics = command(binary());
    metrics.args([
        "host",
        "--check",
        "--metrics",
        "tcp:192.0.2.1:1",
        "--config",
    ]);
    metrics.arg(scratch.path().join("host.toml"));
    let outcome = run(metrics, scratch.path(), LIMIT);
    assert_eq!(outcome.code(), 1);
    assert!(
        outcome
            .stderr
            .contains("--metrics: 192.0.2.1 is no loopback address")
    );
}

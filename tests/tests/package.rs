//! The Debian package, as `cargo xtask deb` has built it, and its unit.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use vcp_tests::lab::Scratch;
use vcp_tests::process::{command, must, run};
use vcp_tests::requires;
use vcp_tests::vcp::binary;

/// The most exposure that `systemd-analyze security` may find: "OK".
const MOST_EXPOSURE: f64 = 2.0;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/cli/package")
}

/// The package, or a line that says that it was not built.
fn package() -> Option<PathBuf> {
    let built = binary().parent()?.parent()?.join("debian/vcp.deb");
    if !built.is_file() {
        println!(
            "skipped: package.rs: no {}: cargo xtask deb makes it",
            built.display()
        );
        return None;
    }
    Some(built)
}

/// The verbs that `vcp --help` lists.
fn verbs() -> BTreeSet<String> {
    let help = must(&binary().display().to_string(), &["--help"]);
    let (_, list) = help.split_once("Commands:\n").expect("it has commands");
    let list = list.split("\n\n").next().unwrap_or_default();
    let verbs = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    verbs.map(str::to_owned).collect()
}

#[test]
fn the_package_has_everything_in_its_place() {
    requires!("dpkg-deb");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    let (deb, at) = (package.display().to_string(), root.display().to_string());
    must("dpkg-deb", &["-x", &deb, &at]);
    for file in [
        "usr/bin/vcp",
        "etc/vcp/host.toml",
        "etc/vcp/conf.d/README",
        "usr/share/doc/vcp/examples/links.conf",
        "usr/share/doc/vcp/examples/attach.conf",
        "usr/share/doc/vcp/examples/vcp-disk0.socket",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let units = ["usr/lib/systemd/system", "lib/systemd/system"].map(|dir| root.join(dir));
    let unit = units
        .iter()
        .map(|dir| dir.join("vcp.service"))
        .find(|unit| unit.is_file());
    let unit = fs::read_to_string(unit.expect("there is a unit")).expect("it is readable");
    let ours = fs::read_to_string(packaging().join("vcp.service")).expect("it is there");
    assert_eq!(unit, ours);
    must("dpkg-deb", &["-e", &deb, &format!("{at}/DEBIAN")]);
    let conffiles = fs::read_to_string(root.join("DEBIAN/conffiles")).expect("it has some");
    let conffiles: BTreeSet<&str> = conffiles.lines().collect();
    let expected = BTreeSet::from(["/etc/vcp/conf.d/README", "/etc/vcp/host.toml"]);
    assert_eq!(conffiles, expected, "what is in /etc is the operator's");
    let installed = must(
        &root.join("usr/bin/vcp").display().to_string(),
        &["--version"],
    );
    assert!(installed.starts_with("vcp "), "{installed}");
    let config = root.join("etc/vcp/host.toml").display().to_string();
    let mut dump = command(root.join("usr/bin/vcp"));
    dump.args(["host", "--dump-config", "--config", &config]);
    let limit = std::time::Duration::from_secs(30);
    let _ = run(dump, scratch.path(), limit).expect_success("the configuration as installed");
}

#[test]
fn manual_pages_and_completions_know_every_verb() {
    requires!("dpkg-deb", "gzip");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    must(
        "dpkg-deb",
        &[
            "-x",
            &package.display().to_string(),
            &root.display().to_string(),
        ],
    );
    let verbs = verbs();
    assert!(verbs.contains("host") && verbs.contains("run"), "{verbs:?}");
    for verb in verbs.iter().filter(|verb| *verb != "help") {
        let page = root.join(format!("usr/share/man/man1/vcp-{verb}.1.gz"));
        let text = must("gzip", &["-dc", &page.display().to_string()]);
        assert!(text.contains(".TH vcp-"), "{verb}: {text}");
    }
    for file in [
        "bash-completion/completions/vcp",
        "zsh/vendor-completions/_vcp",
        "fish/vendor_completions.d/vcp.fish",
    ] {
        let path = root.join("usr/share").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        for verb in &verbs {
            assert!(text.contains(verb.as_str()), "{file} knows no {verb}");
        }
    }
}

#[test]
fn the_unit_is_sound_and_has_little_exposure() {
    requires!("systemd-analyze");
    let scratch = Scratch::new();
    // What it starts is not installed here.
    let unit = fs::read_to_string(packaging().join("vcp.service")).expect("it is there");
    let unit = unit.replace("/usr/bin/vcp", &binary().display().to_string());
    let unit = unit.replace("Documentation=man:vcp-host(1)\n", "");
    let path = scratch.path().join("vcp.service");
    fs::write(&path, unit).expect("writing a unit");
    let path = path.display().to_string();
    let limit = std::time::Duration::from_secs(60);
    let mut verify = command("systemd-analyze");
    verify.args(["verify", "--man=no", &path]);
    let outcome = run(verify, scratch.path(), limit);
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (0, ""));
    let told = must("systemd-analyze", &["security", "--offline=true", &path]);
    let exposure = told
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let exposure = exposure.unwrap_or_else(|| panic!("no level in:\n{told}"));
    let level = exposure
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok());
    assert!(
        level.is_some_and(|level| level <= MOST_EXPOSURE),
        "{exposure}"
    );
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

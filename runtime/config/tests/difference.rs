//! Differences of a configuration that is read again.

use std::path::{Path, PathBuf};

use vcp_config::{Difference, HostConfig, VcpDifference};

const OLD: &str = "
[vcp.a]
module = \"ramdisk\"
[vcp.b]
module = \"./b.wasm\"
[export.a]
nbd = \"unix:/a\"
limit = { iops = 10 }
[export.b]
";

fn parse(text: &str) -> HostConfig {
    HostConfig::parse_all(&[(PathBuf::from("host.toml"), text.to_owned())]).unwrap()
}

fn from_old(new: &str) -> Difference {
    Difference::between(&parse(OLD), &parse(new))
}

fn names<T: std::borrow::Borrow<str>>(names: &[T]) -> Vec<&str> {
    names.iter().map(|name| name.borrow()).collect()
}

#[test]
fn every_key_of_what_is_served_is_a_difference() {
    for key in [
        "memory = \"65MiB\"",
        "socket-mode = \"0660\"",
        "socket-group = \"disk\"",
    ] {
        let new = OLD.replace(
            "nbd = \"unix:/a\"\n",
            &format!("nbd = \"unix:/a\"\n{key}\n"),
        );
        let difference = from_old(&new);
        assert_eq!(names(&difference.exports), ["a"], "{key}");
        assert!(!difference.nbd);
    }
    for key in [
        "connections = 1",
        "negotiations = 1",
        "handshake = \"1s\"",
        "keep-alive = \"never\"",
        "half-request = \"1s\"",
        "memory = \"2GiB\"",
    ] {
        let difference = from_old(&format!("[host]\nnbd.{key}\n{OLD}"));
        assert!(difference.nbd && !difference.is_empty(), "{key}");
        assert!(difference.exports.is_empty());
    }
    let same = "nbd = { connections = 128, negotiations = 128, handshake = \"30s\", \
                keep-alive = 120, half-request = \"30s\", memory = \"1GiB\" }";
    assert!(from_old(&format!("[host]\n{same}\n{OLD}")).is_empty());
}

#[test]
fn the_same_is_no_difference() {
    let other_words = OLD.replace("[vcp.a]\n", "[vcp.a]\nqueue-depth = 128\n");
    assert!(from_old(&other_words).is_empty());
    assert!(Difference::between(&parse(""), &parse("")).is_empty());
}

#[test]
fn vcps_and_exports_come_and_go() {
    let new = OLD.replace(".b]", ".c]");
    let difference = from_old(&new);
    assert_eq!(names(&difference.added), ["c"]);
    assert_eq!(names(&difference.removed), ["b"]);
    assert_eq!(names(&difference.exports), ["b", "c"]);
    assert!(difference.changed.is_empty());
    let all = Difference::between(&parse(""), &parse(OLD));
    assert_eq!(names(&all.added), ["a", "b"]);
    assert_eq!(names(&all.exports), ["a", "b"]);
}

#[test]
fn a_vcp_changes_in_three_ways() {
    let keys = "cpu = { pin = [0], share = \"30%\", period = \"20ms\", slack = 7 }\n\
                memory = \"128MiB\"\nqueue-depth = 8\nfiles = [{ host = \"/a\", guest = \"/a\" }]\n\
                restart = { spare = true }\nreplacement-timeout = 5\nwatchdog = { call = \"1s\" }\n\
                reload = { drain = \"1s\" }\ncrash-reports = { keep = 1 }\nconfig = { size = \"1MiB\" }\n\
                net = { link = \"tap:x\", address = \"10.0.0.2/24\" }\n";
    let new = OLD.replace("\"ramdisk\"\n", &format!("\"file\"\n{keys}"));
    let [changed] = &from_old(&new).changed[..] else {
        panic!("one VCP has changed");
    };
    let VcpDifference {
        name,
        module,
        live,
        fixed,
    } = changed;
    assert_eq!((name.as_str(), *module), ("a", true));
    let live: Vec<_> = live.iter().map(ToString::to_string).collect();
    let expected = [
        "cpu.share=30%",
        "cpu.period=20ms",
        "cpu.slack=7",
        "memory=128MiB",
        "queue-depth=8",
    ];
    assert_eq!(live, expected);
    let expected = [
        "cpu",
        "restart",
        "replacement-timeout",
        "watchdog",
        "reload",
        "crash-reports",
        "config",
        "net",
        "files",
    ];
    assert_eq!(fixed[..], expected);
    // A change that was applied is no difference the next time; one that could not be is.
    let mut then = parse(OLD);
    let new = parse(&new);
    then.vcps.get_mut("a").unwrap().adopt(&new.vcps["a"]);
    let again = &Difference::between(&then, &new).changed[0];
    assert_eq!((again.module, again.live.len()), (false, 0));
    assert_eq!(again.fixed[..], expected);
}

/// The networks that a VCP may connect to can't be changed while it runs.
#[test]
fn allowed_networks_are_of_the_link() {
    let with = |allow: &str| {
        let net = format!("module = \"ramdisk\"\nnet = {{ link = \"host\"{allow} }}");
        parse(&OLD.replacen("module = \"ramdisk\"", &net, 1))
    };
    let (none, one) = (with(""), with(", allow = [\"10.0.0.0/24\"]"));
    let changed = &Difference::between(&none, &one).changed[0];
    assert_eq!((changed.live.len(), &changed.fixed[..]), (0, &["net"][..]));
    // Another notation of the same is no difference.
    let same = with(", allow = \"10.0.0.0/24\"");
    assert!(Difference::between(&one, &same).is_empty());
}

#[test]
fn limits_change_one_by_one() {
    let new = OLD.replace("{ iops = 10 }", "{ bytes = \"1MiB\", burst = \"2s\" }");
    let difference = from_old(&new);
    assert_eq!(names(&difference.exports), ["a"]);
    let (old, new) = (parse(OLD), parse(&new));
    let changes = new.exports["a"].limit.changes_from(&old.exports["a"].limit);
    let words: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        ["limit.iops=none", "limit.bytes=1MiB", "limit.burst=2s"]
    );
}

#[test]
fn several_files_are_one_configuration() {
    let scratch = tempfile::tempdir().unwrap();
    let drop_ins = scratch.path().join("conf.d");
    let main = scratch.path().join("host.toml");
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    write(&main, "# no VCP yet\n");
    let read = || HostConfig::read_all(&main, &drop_ins).map_err(|error| error.to_string());
    assert_eq!(read(), Ok(HostConfig::default()));
    std::fs::create_dir(&drop_ins).unwrap();
    // An export may refer to a VCP of a later file.
    write(&drop_ins.join("10-e.toml"), "[export.e]\nvcp = \"late\"\n");
    write(
        &drop_ins.join("20-v.toml"),
        "[vcp.late]\nmodule = \"ramdisk\"\n",
    );
    write(&drop_ins.join("30-v.toml.disabled"), "nonsense");
    write(&drop_ins.join(".40-v.toml"), "nonsense");
    let config = read().unwrap();
    assert_eq!((config.vcps.len(), config.exports.len()), (1, 1));
    write(
        &drop_ins.join("30.toml"),
        "\n[vcp.late]\nmodule = \"file\"\n",
    );
    let at = |name: &str| drop_ins.join(name).display().to_string();
    assert_eq!(
        read(),
        Err(format!(
            "{}:2:6: vcp.late: given twice; it is in {}:1:6 already",
            at("30.toml"),
            at("20-v.toml")
        ))
    );
    write(&drop_ins.join("30.toml"), "[export.e]\nvcp = \"late\"\n");
    assert_eq!(
        read(),
        Err(format!(
            "{}:1:9: export.e: given twice; it is in {}:1:9 already",
            at("30.toml"),
            at("10-e.toml")
        ))
    );
    write(&drop_ins.join("30.toml"), "[export.x]\nvcp = \"none\"\n");
    assert!(read().unwrap_err().contains("30.toml:2:7: export.x.vcp: "));
    std::fs::remove_file(&main).unwrap();
    assert!(read().unwrap_err().contains("host.toml: No such file"));
}

/// Opening a pipe waits for whoever writes to it.
#[test]
fn what_is_no_file_is_no_drop_in() {
    let scratch = tempfile::tempdir().unwrap();
    let main = scratch.path().join("host.toml");
    std::fs::write(&main, "").unwrap();
    let drop_ins = scratch.path().join("conf.d");
    std::fs::create_dir(&drop_ins).unwrap();
    let pipe = drop_ins.join("10-pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let error = HostConfig::read_all(&main, &drop_ins).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: not a file", pipe.display()));
}

//! The command line's shorthand gives the same configuration as the file.

use std::path::Path;

use vcp_config::{HostConfig, Shorthand};

const LINK: &str = "tap:vcp0,address=10.77.0.2/24";
const TARGET: &str = "target=iscsi://10.77.0.1/iqn.2026-11.example:disk/1";

fn words(module: &str, settings: &[&str]) -> Shorthand {
    Shorthand {
        module: module.into(),
        settings: settings.iter().map(|s| s.to_string()).collect(),
        ..Shorthand::default()
    }
}

fn restart(words: &str) -> Shorthand {
    Shorthand {
        restart: Some(words.into()),
        ..self::words("ramdisk", &["size=1MiB"])
    }
}

/// Every key of the file's `restart` has a word on the command line.
#[test]
fn what_follows_a_fault_is_what_the_file_says() {
    let file = "[vcp.ramdisk]\nmodule = \"ramdisk\"\nconfig = { size = \"1MiB\" }\n\
        restart = { policy = \"never\", min-run = \"1s\", backoff = \"1ms..2ms\", limit = 7, \
        spare = true, poison-after = \"never\" }\n[export.ramdisk]\n";
    let read = HostConfig::parse(Path::new("host.toml"), file).unwrap();
    for never in ["never", "0"] {
        let line = restart(&format!(
            "policy=never,min-run=1s,backoff=1ms..2ms,limit=7,spare=yes,poison-after={never}"
        ));
        assert_eq!(HostConfig::shorthand(&line), Ok(read.clone()));
    }
    let vcp = |words| {
        let config = HostConfig::shorthand(&restart(words)).unwrap();
        config.vcps.into_values().next().unwrap().restart
    };
    assert_eq!(vcp("poison-after=5").poison_after.deaths(), Some(5));
    assert_eq!(vcp("limit=5").poison_after.deaths(), Some(3));
}

fn error(words: Shorthand) -> String {
    HostConfig::shorthand(&words).unwrap_err().to_string()
}

#[test]
fn is_what_the_file_says() {
    let file = r#"
        [vcp.disk0]
        module  = "iscsi"
        cpu     = { pin = [1], share = "50%", period = "10ms", slack = true }
        memory  = "64MiB"
        restart = { policy = "always", min-run = "50ms", backoff = "10ms..5s" }
        config  = { target = "iscsi://10.77.0.1/iqn.2026-11.example:disk/1" }
        net     = { link = "tap:vcp0", address = "10.77.0.2/24" }

        [export.disk0]
        nbd = "unix:/run/vcp/disk0.sock"
    "#;
    let line = Shorthand {
        link: Some(LINK.into()),
        nbd: vec!["unix:/run/vcp/disk0.sock".into()],
        cpu: Some("1,share=50%".into()),
        memory: Some("64MiB".into()),
        restart: Some("policy=always,min-run=50ms,backoff=10ms..5s".into()),
        name: Some("disk0".into()),
        ..words("iscsi", &[TARGET])
    };
    let read = HostConfig::parse(Path::new("host.toml"), file).unwrap();
    assert_eq!(HostConfig::shorthand(&line), Ok(read.clone()));
    assert_eq!(
        read.to_toml(),
        "[vcp.disk0]\n\
         module = \"iscsi\"\n\
         cpu = { pin = [1], share = \"50%\" }\n\
         memory = \"64MiB\"\n\
         net = { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }\n\
         \n\
         [vcp.disk0.config]\n\
         target = \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"\n\
         \n\
         [export.disk0]\n\
         nbd = \"unix:/run/vcp/disk0.sock\"\n"
    );
}

#[test]
fn what_the_hosts_tcp_may_reach_is_in_the_file() {
    let line = Shorthand {
        link: Some("host,allow=10.0.0.0/24,allow=fd00::/8".into()),
        ..words("iscsi", &["target=iscsi://[fe80::1%eth0]/iqn.a/1"])
    };
    let config = HostConfig::shorthand(&line).unwrap();
    assert_eq!(
        config.to_toml(),
        "[vcp.iscsi]\n\
         module = \"iscsi\"\n\
         net = { link = \"host\", allow = [\"10.0.0.0/24\", \"fd00::/8\"] }\n\
         \n\
         [vcp.iscsi.config]\n\
         target = \"iscsi://[fe80::1%25eth0]/iqn.a/1\"\n\
         \n\
         [export.iscsi]\n"
    );
    let read = HostConfig::parse(Path::new("host.toml"), &config.to_toml());
    assert_eq!(read, Ok(config));
}

#[test]
fn the_name_comes_from_the_module() {
    for (module, name) in [
        ("ramdisk", "ramdisk"),
        ("./target/my-disk.wasm", "my-disk"),
        ("oci:ghcr.io/x/disk:1.2", "disk"),
        ("./-.wasm", "vcp"),
    ] {
        let config = HostConfig::shorthand(&words(module, &[])).unwrap();
        assert_eq!(config.vcps.keys().next().unwrap().as_str(), name);
        assert_eq!(config.exports.keys().next().unwrap().as_str(), name);
    }
}

#[test]
fn cpus_have_commas_of_their_own() {
    let line = |cpu: &str| {
        let line = Shorthand {
            cpu: Some(cpu.into()),
            ..words("ramdisk", &[])
        };
        HostConfig::shorthand(&line)
            .map(|c| c.to_toml())
            .map_err(|e| e.to_string())
    };
    let toml = |cpu: &str| {
        format!("[vcp.ramdisk]\nmodule = \"ramdisk\"\ncpu = {{ {cpu} }}\n\n[export.ramdisk]\n")
    };
    assert_eq!(
        line("0,2-3,share=12.5%,slack=false"),
        Ok(toml("pin = [0, 2, 3], share = \"12.5%\", slack = false"))
    );
    assert_eq!(
        line("core,period=1ms"),
        Ok(toml("pin = \"core\", period = \"1ms\""))
    );
    assert_eq!(
        line("1,share=33.33%,period=5ms,slack=no"),
        Ok(toml(
            "pin = [1], share = \"33.33%\", period = \"5ms\", slack = false"
        ))
    );
    assert_eq!(
        line(
            "sibling-of:1,share=100%,slack=250,poll=20us,coalesce=never,priority=fifo:10,cgroup=vcp/disk0"
        ),
        Ok(toml(
            "pin = \"sibling-of:1\", share = \"100%\", slack = 250, poll = \"20us\", \
             coalesce = \"0s\", priority = \"fifo:10\", cgroup = \"vcp/disk0\""
        ))
    );
    // Defaults are not written out.
    let plain = "[vcp.ramdisk]\nmodule = \"ramdisk\"\n\n[export.ramdisk]\n";
    assert_eq!(line("any,slack=yes,poll=150us"), Ok(plain.to_owned()));
    let wrong = |cpu: &str, message: &str| assert_eq!(line(cpu), Err(format!("--cpu: {message}")));
    wrong(
        "1,shares=1%",
        "shares: unknown key (did you mean \"share\"?); expected one of: share, period, slack, poll, coalesce, priority, cgroup",
    );
    wrong(
        "x",
        "expected \"any\", \"core\", \"sibling-of:N\", \"numa:N\" or CPU numbers such as [1], \"1\" or \"0,2-3\", found \"x\"",
    );
    wrong(
        "slack=0",
        "slack: expected true, false or a weight from 1 to 1000, found \"0\"",
    );
    wrong(
        "core,slack=no",
        "slack: false needs a share: without either the VCP never runs",
    );
    wrong("share=1%,share=1%", "share: given twice");
    wrong(
        "share=0%",
        "share: expected a percentage above 0% and up to 100%, such as \"50%\", found \"0%\"",
    );
    wrong(
        "period=1h",
        "period: expected a time from 100us to 1s, found \"1h\"",
    );
}

#[test]
fn recovery_has_options_for_what_is_changed_most() {
    let line = Shorthand {
        replacement_timeout: Some("2".into()),
        spare: true,
        ..words("ramdisk", &[])
    };
    let config = HostConfig::shorthand(&line).unwrap();
    assert_eq!(
        config.to_toml(),
        "[vcp.ramdisk]\n\
         module = \"ramdisk\"\n\
         restart = { spare = true }\n\
         replacement-timeout = \"2s\"\n\
         \n\
         [export.ramdisk]\n"
    );
}

/// The written values are those that hold when nothing is written.
#[test]
fn the_defaults_of_recovery() {
    let file = r#"
        [vcp.ram]
        module = "ramdisk"
        restart = { policy = "always", min-run = "50ms", backoff = "10ms..5s", spare = false }
        replacement-timeout = 120
        watchdog = { call = "200ms", progress = "60s" }
        reload = { drain = "250ms", ready = "10s", probation = "5s" }
        crash-reports = { keep = 16, core-dumps = false }
    "#;
    let read = HostConfig::parse(Path::new("host.toml"), file).unwrap();
    assert_eq!(read.to_toml(), "[vcp.ram]\nmodule = \"ramdisk\"\n");
}

#[test]
fn every_refusal_names_the_argument() {
    let ram = || words("ramdisk", &[]);
    let cases = [
        (
            words("", &[]),
            "MODULE: expected the name of a built-in module, a path such as \"./disk.wasm\", or \"oci:REFERENCE\", found \"\"",
        ),
        (
            words("ramdisk", &["size"]),
            "key=value: expected a key and \"=\", found \"size\"",
        ),
        (
            words("ramdisk", &["a b=1"]),
            "a b: expected a key of up to 64 letters, digits, \".\", \"_\" and \"-\"",
        ),
        (
            words("ramdisk", &["size=1", "size=2"]),
            "size: \"size\" is given twice",
        ),
        (
            words("iscsi", &["iscsi://joe%hunter2@h/iqn.a/0?x=1"]),
            "key=value: expected a key and \"=\", found \"iscsi\"",
        ),
        (
            words("iscsi", &[]),
            "target: missing; expected the target of module \"iscsi\", such as \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"",
        ),
        (
            words("iscsi", &[TARGET]),
            "--link: missing; module \"iscsi\" needs a link, such as tap:vcp0,address=10.77.0.2/24",
        ),
        (
            Shorthand {
                link: Some("tap:vcp0,address=fd77::2/64".into()),
                ..words("iscsi", &[TARGET])
            },
            "target: 10.77.0.1 can't be reached: net.address has no IPv4 address",
        ),
        (
            Shorthand {
                link: Some("tap:vcp0".into()),
                ..ram()
            },
            "--link: address: missing; expected the VCP's own address on the link, such as \"10.77.0.2/24\"",
        ),
        (
            Shorthand {
                nbd: vec!["/x".into()],
                ..ram()
            },
            "--nbd: expected an NBD address, \"unix:PATH\" or \"tcp:HOST:PORT\" (IPv6 in brackets), found \"/x\"",
        ),
        (
            Shorthand {
                nbd: vec!["unix:/x".into(), "unix:/x".into()],
                ..ram()
            },
            "--nbd: \"unix:/x\" is given twice",
        ),
        (
            Shorthand {
                memory: Some("1".into()),
                ..ram()
            },
            "--memory: expected a multiple of 64KiB from 1MiB to 4GiB, found \"1\"",
        ),
        (
            Shorthand {
                queue_depth: Some(0),
                ..ram()
            },
            "--queue-depth: expected a number from 1 to 4096, found 0",
        ),
        (
            Shorthand {
                replacement_timeout: Some("2 weeks".into()),
                ..ram()
            },
            "--replacement-timeout: expected a time such as \"120s\", a number of seconds, or \"never\", found \"2 weeks\"",
        ),
        (
            restart("policy"),
            "--restart: expected KEY=VALUE, found \"policy\"",
        ),
        (
            restart("limits=3"),
            "--restart: limits: unknown key (did you mean \"limit\"?); expected one of: policy, min-run, backoff, limit, spare, poison-after",
        ),
        (restart("limit=3,limit=3"), "--restart: limit: given twice"),
        (
            restart("limit=0"),
            "--restart: limit: expected a number from 1 to 1000000, found \"0\"",
        ),
        (
            restart("spare=maybe"),
            "--restart: spare: expected yes or no, found \"maybe\"",
        ),
        (
            restart("poison-after=101"),
            "--restart: poison-after: expected a number from 1 to 100, or \"never\", found \"101\"",
        ),
        (
            Shorthand {
                files: vec!["/srv".into()],
                ..ram()
            },
            "--files: expected HOST-DIRECTORY:GUEST-DIRECTORY[:ro], found \"/srv\"",
        ),
        (
            Shorthand {
                files: vec!["/srv:data".into()],
                ..ram()
            },
            "--files: expected an absolute path without \".\" or \"..\", such as \"/data\", found \"data\"",
        ),
        (
            Shorthand {
                files: vec!["/a:/x".into(), "/b:/x:ro".into()],
                ..ram()
            },
            "--files: \"/x\" is given twice",
        ),
        (
            Shorthand {
                export_memory: Some("1MiB".into()),
                ..ram()
            },
            "--export-memory: expected a size from 33MiB to 64GiB, found \"1MiB\"",
        ),
        (
            Shorthand {
                nbd: vec!["unix:/s".into()],
                socket_mode: Some("rw".into()),
                ..ram()
            },
            "--socket-mode: expected a mode in octal, such as \"0660\", found \"rw\"",
        ),
        (
            Shorthand {
                nbd: vec!["unix:/s".into()],
                socket_group: Some("".into()),
                ..ram()
            },
            "--socket-group: expected the name or the number of a group, such as \"disk\", found \"\"",
        ),
        (
            Shorthand {
                nbd: vec!["tcp:h:1".into()],
                socket_group: Some("disk".into()),
                ..ram()
            },
            "--socket-group: needs a unix socket to be of, and none is given: --nbd unix:PATH",
        ),
        (
            Shorthand {
                name: Some("/".into()),
                ..ram()
            },
            "--name: expected a name of up to 63 letters, digits, \".\", \"_\" and \"-\" that starts with a letter or digit, found \"/\"",
        ),
    ];
    for (words, expected) in cases {
        assert_eq!(error(words), expected);
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let error = |path: &Path| HostConfig::read(path).unwrap_err().to_string();
    assert_eq!(
        error(Path::new("/no/such.toml")),
        "/no/such.toml: No such file or directory (os error 2)"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.toml");
    std::fs::write(&path, [0xff]).unwrap();
    assert_eq!(
        error(&path),
        format!("{}: stream did not contain valid UTF-8", path.display())
    );
    std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(
        error(&path),
        format!(
            "{}: longer than 1 MiB; this is no configuration",
            path.display()
        )
    );
    std::fs::write(&path, "[vcp.a]\nmodule = \"ramdisk\"\n").unwrap();
    assert!(HostConfig::read(&path).is_ok());
}

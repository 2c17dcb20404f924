//! Several clients, several exports, and the conveniences around them.

use std::fs;

use vcp_tests::client::Clients;
use vcp_tests::image;
use vcp_tests::lab::{Lab, Scratch, Side};
use vcp_tests::process::{command, run};
use vcp_tests::requires;
use vcp_tests::scale::Scale;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::{self, Vcp};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:shared";
const MIB: u64 = 1 << 20;

struct Disk {
    lun: Lun,
    wiring: Wiring,
    _tgtd: Tgtd,
    lab: Lab,
}

fn disk(size: u64) -> Disk {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd.target(IQN).unit(1, Unit::new(size));
    Disk {
        lun,
        wiring: Wiring::tap("tso", Family::V4),
        _tgtd: tgtd,
        lab,
    }
}

/// Eight clients write at once, each its own part; what each wrote, another
/// reads, through a connection that was there before the write.
#[test]
fn several_clients_at_once() {
    requires!(Root, Tun, "tgtd", "qemu-io", "nbdcopy", "fio");
    let disk = disk(64 * MIB);
    let vcp = Vcp::run(
        &disk.lab,
        disk.wiring.side,
        disk.wiring.arguments(&disk.lun, &disk.lab.nbd()),
    );
    let (clients, uri) = (Clients::new(disk.lab.dir()), vcp.uri());
    std::thread::scope(|scope| {
        for part in 0..8_u64 {
            let (clients, uri) = (&clients, &uri);
            scope.spawn(move || {
                let commands: Vec<String> = (0..8)
                    .map(|step| format!("write -P {} {} 1m", part + 1, (part * 8 + step) * MIB))
                    .collect();
                let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
                clients.qemu_io(uri, &commands)
            });
        }
    });
    let reads: Vec<String> = (0..8)
        .map(|part| format!("read -P {} {} 8m", part + 1, part * 8 * MIB))
        .collect();
    clients.qemu_io(&uri, &reads.iter().map(String::as_str).collect::<Vec<_>>());
    let image = disk.lab.dir().join("image.raw");
    image::write(&image, disk.lun.size, 3);
    clients.succeed(
        "nbdcopy",
        &[
            "--connections=4",
            "--requests=32",
            &image.display().to_string(),
            &uri,
        ],
    );
    image::assert_equal(&image, &disk.lun.file);
    vcp.shut_down();
}

/// A write that one connection was told is done is what every other reads.
#[test]
fn connections_see_each_others_writes() {
    requires!(Root, Tun, "tgtd", "nbdsh");
    let disk = disk(8 * MIB);
    let vcp = Vcp::run(
        &disk.lab,
        disk.wiring.side,
        disk.wiring.arguments(&disk.lun, &disk.lab.nbd()),
    );
    let script = "\
import os
one, two = nbd.NBD(), nbd.NBD()
one.connect_uri(URI)
two.connect_uri(URI)
assert one.can_multi_conn()
for step in range(200):
    block = os.urandom(4096)
    one.pwrite(block, 4096 * (step % 16))
    assert two.pread(4096, 4096 * (step % 16)) == block, step
    one, two = two, one
one.flush()
one.shutdown()
two.shutdown()
";
    Clients::new(disk.lab.dir()).script(&vcp.uri(), script);
    vcp.shut_down();
}

/// One configuration file: two iSCSI disks on links of their own and a RAM
/// disk that shares the first one's socket, each under its name. A disk is copied to the other through the host.
#[test]
fn several_exports_of_one_configuration() {
    requires!(Root, Tun, "tgtd", "nbdcopy", "nbdinfo");
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target(IQN);
    let (first, second) = (
        target.unit(1, Unit::new(16 * MIB)),
        target.unit(2, Unit::new(16 * MIB)),
    );
    let dir = lab.dir().display();
    let file = lab.dir().join("host.toml");
    fs::write(&file, format!("
[vcp.first]
module = \"iscsi\"
config = {{ target = \"{}\" }}
net = {{ link = \"tap:vcp0\", address = \"10.77.0.2/24\", host-address = \"10.77.0.1/24\" }}

[vcp.second]
module = \"iscsi\"
config = {{ target = \"{}\" }}
net = {{ link = \"tap:vcp1\", address = \"fd78::2/64\", host-address = \"fd78::1/64\", offload = \"csum\" }}

[vcp.scratch]
module = \"ramdisk\"
config = {{ size = \"4MiB\" }}

[export.first]
nbd = \"unix:{dir}/first.sock\"

[export.second]
nbd = \"unix:{dir}/second.sock\"

[export.scratch]
nbd = \"unix:{dir}/first.sock\"
description = \"nothing to keep\"
", first.url("10.77.0.1"), second.url("fd78::1")))
    .expect("writing a configuration");
    let mut serve = lab.command(Side::Target, vcp::binary());
    serve.arg("run").arg(&file);
    let vcp = Vcp::start(serve, lab.dir());
    let uris = vcp.wait_for_uris(3);
    let uri = |name: &str| {
        let named = |uri: &&String| uri.contains(&format!("/{name}?socket="));
        uris.iter()
            .find(named)
            .expect("an export of that name")
            .clone()
    };
    let image = lab.dir().join("image.raw");
    image::write(&image, first.size, 4);
    let clients = Clients::new(lab.dir());
    clients.succeed(
        "nbdcopy",
        &["--flush", &image.display().to_string(), &uri("first")],
    );
    clients.succeed("nbdcopy", &["--flush", &uri("first"), &uri("second")]);
    image::assert_equal(&image, &second.file);
    assert_eq!(clients.info(&uri("scratch"))["export-size"], 4 * MIB);
    vcp.shut_down();
    for name in ["first", "second"] {
        assert!(
            !lab.dir().join(format!("{name}.sock")).exists(),
            "{name}.sock was left behind"
        );
    }
}

#[test]
fn nbd_over_tcp() {
    requires!(Root, Tun, "tgtd", "nbdinfo");
    let disk = disk(4 * MIB);
    let vcp = Vcp::run(
        &disk.lab,
        Side::Target,
        disk.wiring.arguments(&disk.lun, "tcp:127.0.0.1:10809"),
    );
    let mut nbdinfo = disk.lab.command(Side::Target, "nbdinfo");
    nbdinfo.args(["--size", &vcp.uri()]);
    let size = run(nbdinfo, disk.lab.dir(), Scale::from_env().limit()).expect_success("nbdinfo");
    assert_eq!(size.trim(), disk.lun.size.to_string());
    vcp.shut_down();
}

/// `--run` gives the command the URI, ends when it does, and as it did.
#[test]
fn captive_command() {
    requires!(Root, Tun, "tgtd", "nbdinfo");
    let disk = disk(4 * MIB);
    let captive = |script: &str| {
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(disk.wiring.arguments(&disk.lun, &disk.lab.nbd()));
        arguments.extend(["--run".to_owned(), script.to_owned()]);
        vcp::once(&disk.lab, Side::Target, &arguments)
    };
    let outcome = captive("nbdinfo --size \"$uri\"");
    assert!(
        outcome
            .stdout
            .lines()
            .any(|line| line.trim() == disk.lun.size.to_string()),
        "{outcome:?}"
    );
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert_ne!(captive("exit 7").code(), 0);
    assert!(
        !disk.lab.socket().exists(),
        "the NBD socket was left behind"
    );
}

/// The capture of a link is one that the field's tool opens and finds a whole
/// iSCSI session in, from login to logout, with nothing malformed.
#[test]
fn capture_of_a_link() {
    requires!(Root, Tun, "tgtd", "qemu-io", "tshark");
    for offload in ["tso", "none"] {
        let disk = disk(4 * MIB);
        let capture = disk.lab.dir().join("link.pcap");
        let wiring = Wiring::tap(offload, Family::V4).with(&format!("pcap={}", capture.display()));
        let vcp = Vcp::run(
            &disk.lab,
            Side::Target,
            wiring.arguments(&disk.lun, &disk.lab.nbd()),
        );
        Clients::new(disk.lab.dir()).qemu_io(&vcp.uri(), &["write -P 9 0 64k", "read -P 9 0 64k"]);
        vcp.shut_down();
        let show = |filter: &str| {
            let mut tshark = command("tshark");
            tshark.arg("-r").arg(&capture).args([
                "-Y",
                filter,
                "-T",
                "fields",
                "-e",
                "iscsi.opcode",
            ]);
            run(tshark, disk.lab.dir(), Scale::from_env().limit()).expect_success("tshark")
        };
        let opcodes = show("iscsi");
        for (opcode, name) in [
            ("0x03", "login request"),
            ("0x23", "login response"),
            ("0x01", "SCSI command"),
            ("0x25", "SCSI data-in"),
            ("0x06", "logout request"),
            ("0x26", "logout response"),
        ] {
            assert!(
                opcodes.contains(opcode),
                "{offload}: no {name} in the capture: {opcodes}"
            );
        }
        let malformed = show("_ws.malformed");
        assert_eq!(malformed.trim(), "", "{offload}: malformed packets");
    }
}

/// A configuration that is printed is one that can be run, and shows no secret.
#[test]
fn printed_configuration() {
    let scratch = Scratch::new();
    let outcome = vcp::once_here(
        &scratch,
        &[
            "run",
            "iscsi",
            "target=iscsi://alice%very-secret-word@10.77.0.1/iqn.2026-11.a:b/1",
            "--link",
            "tap:vcp0,address=10.77.0.2/24",
            "--nbd",
            "unix:x.sock",
            "--dump-config",
        ],
    );
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert!(outcome.stdout.contains("module = \"iscsi\""), "{outcome:?}");
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!said.contains("very-secret-word"), "the secret is shown");
}

//! Authentication and digests, as the target demands them.

use vcp_tests::client::Clients;
use vcp_tests::lab::{Lab, Side};
use vcp_tests::process::{command, poll, run};
use vcp_tests::requires;
use vcp_tests::scale::Scale;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::{self, Vcp};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:login";
/// 12 bytes at least, RFC 7143 §12.1.3; both directions need different ones.
const SECRET: &str = "initiator-secret";
const TARGET_SECRET: &str = "target-secret-1";

struct Guarded {
    lun: Lun,
    wiring: Wiring,
    _tgtd: Tgtd,
    lab: Lab,
}

fn guarded(mutual: bool) -> Guarded {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target(IQN);
    let lun = target.unit(1, Unit::new(8 << 20));
    target.account("alice", SECRET);
    if mutual {
        target.outgoing_account("thetarget", TARGET_SECRET);
    }
    Guarded {
        lun,
        wiring: Wiring::tap("tso", Family::V4),
        _tgtd: tgtd,
        lab,
    }
}

impl Guarded {
    /// Arguments with these settings and no name in the URL.
    fn arguments(&self, settings: &[&str]) -> Vec<String> {
        let mut arguments = self.wiring.arguments(&self.lun, &self.lab.nbd());
        arguments.extend(settings.iter().map(ToString::to_string));
        arguments
    }

    fn serves(&self, arguments: &[String]) {
        let socket = self.lab.dir().join("control.sock");
        let control = ["--control".to_owned(), socket.display().to_string()];
        let vcp = Vcp::run(
            &self.lab,
            self.wiring.side,
            arguments.iter().chain(&control),
        );
        Clients::new(self.lab.dir()).qemu_io(&vcp.uri(), &["write -P 3 0 64k", "read -P 3 0 64k"]);
        let said = self.everything_said(&control);
        for secret in [SECRET, TARGET_SECRET] {
            assert!(!vcp.logs().contains(secret), "a secret is in the logs");
            assert!(!said.contains(secret), "a secret can be asked for");
        }
        vcp.shut_down();
    }

    /// What a running host tells of itself, after a crash.
    fn everything_said(&self, control: &[String]) -> String {
        let asked = [
            "ps --json",
            "inject iscsi trap",
            "inspect iscsi --json",
            "logs iscsi --json",
            "logs iscsi --crash last --json",
        ];
        let say = |words: &str| {
            let words = words.split(' ').map(str::to_owned);
            let arguments: Vec<String> = words.chain(control.to_vec()).collect();
            let report = || {
                let outcome = vcp::once(&self.lab, self.wiring.side, &arguments);
                // The report is written after the crash.
                (outcome.code() == 0).then_some(outcome.stdout)
            };
            poll(Scale::from_env().limit(), report).expect("it answers")
        };
        asked.map(say).concat()
    }

    fn refused(&self, settings: &[&str]) {
        let mut arguments = self.arguments(settings);
        arguments.insert(0, "run".into());
        let outcome = vcp::once(&self.lab, self.wiring.side, &arguments);
        vcp::assert_one_line(&outcome, 1, &[IQN]);
        for secret in [SECRET, TARGET_SECRET] {
            assert!(
                !outcome.stderr.contains(secret),
                "a secret is in the message"
            );
        }
    }
}

#[test]
fn chap_one_way() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let guarded = guarded(false);
    let url = guarded.lun.url_as("alice", SECRET, guarded.wiring.portal);
    guarded.serves(&guarded.wiring.arguments_for(&url, &guarded.lab.nbd()));
    guarded.serves(&guarded.arguments(&["user=alice", &format!("password={SECRET}")]));
}

#[test]
fn chap_refused() {
    requires!(Root, Tun, "tgtd");
    let guarded = guarded(false);
    guarded.refused(&["user=alice", "password=not-that-secret"]);
    guarded.refused(&["user=mallory", &format!("password={SECRET}")]);
    guarded.refused(&[]);
}

#[test]
fn chap_mutual() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let guarded = guarded(true);
    let password = format!("password={SECRET}");
    let both = ["user=alice", &password, "target-user=thetarget"];
    let right = format!("target-password={TARGET_SECRET}");
    guarded.serves(&guarded.arguments(&[&both[..], &[&right]].concat()));
    guarded.refused(&[&both[..], &["target-password=an-impostors-one"]].concat());
}

#[test]
fn secrets_by_environment() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let guarded = guarded(false);
    let mut command = guarded.lab.command(Side::Target, vcp::binary());
    command.arg("run").args(guarded.arguments(&[]));
    command
        .env("LIBISCSI_CHAP_USERNAME", "alice")
        .env("LIBISCSI_CHAP_PASSWORD", SECRET);
    let vcp = Vcp::start(command, guarded.lab.dir());
    Clients::new(guarded.lab.dir()).qemu_io(&vcp.uri(), &["read 0 4k"]);
    vcp.shut_down();
}

/// A capture of a login, and of the jobs after it, with these digests.
fn with_digests(header: &str, data: &str, jobs: impl Fn(&Clients, &str, &Lun)) -> String {
    let settings = [
        format!("header-digest={header}"),
        format!("data-digest={data}"),
    ];
    at_target("CRC32C,None", &settings, jobs)
}

/// The same at a target that takes these digests, with these settings.
fn at_target(takes: &str, settings: &[String], jobs: impl Fn(&Clients, &str, &Lun)) -> String {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target(IQN);
    target.set("HeaderDigest", takes);
    target.set("DataDigest", takes);
    let lun = target.unit(1, Unit::new(Scale::from_env().image / 2));
    let capture = lab.dir().join("digests.pcap");
    let wiring = Wiring::tap("tso", Family::V4).with(&format!("pcap={}", capture.display()));
    let mut arguments = wiring.arguments(&lun, &lab.nbd());
    arguments.extend_from_slice(settings);
    let vcp = Vcp::run(&lab, wiring.side, arguments);
    jobs(&Clients::new(lab.dir()), &vcp.uri(), &lun);
    vcp.shut_down();
    let mut tshark = command("tshark");
    tshark
        .arg("-r")
        .arg(&capture)
        .args(["-c", "100", "-Y", "iscsi.opcode == 0x23"]);
    tshark.args(["-T", "fields", "-e", "iscsi.keyvalue"]);
    run(tshark, lab.dir(), Scale::from_env().limit()).expect_success("tshark")
}

/// Both digests on every PDU, both ways, under every load; the capture shows
/// that they were agreed on.
#[test]
fn header_and_data_digests() {
    requires!(Root, Tun, "tgtd", "qemu-img", "nbdcopy", "fio", "tshark");
    let agreed = with_digests("crc32c", "crc32c", |clients, uri, lun| {
        clients.convert_both_ways(uri, lun);
        clients.copy_both_ways(uri, lun);
        clients.verify_load(uri);
    });
    assert!(agreed.contains("HeaderDigest=CRC32C"), "{agreed}");
    assert!(agreed.contains("DataDigest=CRC32C"), "{agreed}");
}

/// One without the other, and one that the target may choose.
#[test]
fn one_digest() {
    requires!(Root, Tun, "tgtd", "qemu-io", "tshark");
    for (header, data) in [("crc32c", "none"), ("none", "prefer")] {
        let agreed = with_digests(header, data, |clients, uri, _| {
            clients.qemu_io(uri, &["write -P 8 0 1m", "read -P 8 0 1m"]);
        });
        let value = |wanted: &str| if wanted == "none" { "None" } else { "CRC32C" };
        assert!(
            agreed.contains(&format!("HeaderDigest={}", value(header))),
            "{header}: {agreed}"
        );
        assert!(
            agreed.contains(&format!("DataDigest={}", value(data))),
            "{data}: {agreed}"
        );
    }
}

/// What the how-to about digests says of tgtd: one that is set to CRC32C alone takes a
/// login without digests all the same.
#[test]
fn tgtd_insists_on_no_digest() {
    requires!(Root, Tun, "tgtd", "qemu-io", "tshark");
    let none = ["header-digest=none", "data-digest=none"].map(str::to_owned);
    let agreed = at_target("CRC32C", &none, |clients, uri, _| {
        clients.qemu_io(uri, &["write -P 8 0 1m", "read -P 8 0 1m"]);
    });
    assert!(!agreed.contains("Digest=CRC32C"), "{agreed}");
}

/// Nobody has asked for digests but the target, which may take them or leave them.
#[test]
fn digests_as_the_target_wishes() {
    requires!(Root, Tun, "tgtd", "qemu-io", "tshark");
    // Where tgtd has both, it takes CRC32C, though none is offered first.
    for (takes, agreed_on) in [
        ("CRC32C", "CRC32C"),
        ("None", "None"),
        ("CRC32C,None", "CRC32C"),
    ] {
        let agreed = at_target(takes, &[], |clients, uri, _| {
            clients.qemu_io(uri, &["write -P 8 0 1m", "read -P 8 0 1m"]);
        });
        for key in ["HeaderDigest", "DataDigest"] {
            let pair = format!("{key}={agreed_on}");
            assert!(agreed.contains(&pair), "{takes}: {agreed}");
        }
    }
}

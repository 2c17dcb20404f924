//! iSCSI names with capitals, at a target that compares bytes.

use vcp_tests::client::Clients;
use vcp_tests::lab::Lab;
use vcp_tests::requires;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::{self, Vcp};
use vcp_tests::wiring::{Family, Wiring};

const CAPITALS: [&str; 3] = [
    "iqn.2026-11.Test:Disk",
    "eui.02004567A425678D",
    "naa.52004567BA64678D",
];

struct Bed {
    lun: Lun,
    wiring: Wiring,
    _tgtd: Tgtd,
    lab: Lab,
}

fn bed(name: &str) -> Bed {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd.target(name).unit(1, Unit::new(8 << 20));
    Bed {
        lun,
        wiring: Wiring::tap("tso", Family::V4),
        _tgtd: tgtd,
        lab,
    }
}

impl Bed {
    /// Arguments that give the target another name.
    fn arguments(&self, name: &str) -> Vec<String> {
        let lun = Lun {
            iqn: name.to_owned(),
            ..self.lun.clone()
        };
        self.wiring.arguments(&lun, &self.lab.nbd())
    }

    fn serves(&self, name: &str) -> Vcp {
        let vcp = Vcp::run(&self.lab, self.wiring.side, self.arguments(name));
        let jobs = ["write -P 3 0 64k", "read -P 3 0 64k"];
        Clients::new(self.lab.dir()).qemu_io(&vcp.uri(), &jobs);
        vcp
    }
}

/// What a portal lists can be used as it stands.
#[test]
fn names_as_discovered() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    for name in CAPITALS {
        let bed = bed(name);
        let portal = format!("iscsi://{}", bed.wiring.portal);
        let words = ["discover", &portal, "--link", &bed.wiring.link];
        let listing = vcp::once(&bed.lab, bed.wiring.side, &words).expect_success("discover");
        let listed = listing.split_whitespace().next().unwrap();
        assert_eq!(listed, name);
        let vcp = bed.serves(listed);
        assert!(!vcp.logs().contains("takes its name"), "{}", vcp.logs());
        vcp.shut_down();
    }
}

/// A name that the target has in its other form.
#[test]
fn names_in_the_other_form() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    for (known, given) in [
        ("iqn.2026-11.test:disk", CAPITALS[0]),
        (CAPITALS[1], "eui.02004567a425678d"),
        ("naa.52004567ba64678d", CAPITALS[2]),
    ] {
        let bed = bed(known);
        let vcp = bed.serves(given);
        let logs = vcp.logs();
        let line = format!("it takes its name as {known}");
        assert!(logs.contains(&line), "{logs}");
        vcp.shut_down();
    }
}

#[test]
fn names_in_neither_form() {
    requires!(Root, Tun, "tgtd");
    let bed = bed("iqn.2026-11.test:DISK");
    let mut words = vec!["run".to_owned()];
    words.extend(bed.arguments("iqn.2026-11.Test:Disk"));
    let outcome = vcp::once(&bed.lab, bed.wiring.side, &words);
    let tried = "its name was tried as iqn.2026-11.Test:Disk and as iqn.2026-11.test:disk";
    vcp::assert_one_line(&outcome, 1, &[tried]);
}

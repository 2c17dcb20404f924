//! What targets a portal has, asked for over every kind of link.

use vcp_tests::lab::{Lab, Side};
use vcp_tests::requires;
use vcp_tests::tgtd::Tgtd;
use vcp_tests::vcp;
use vcp_tests::wiring::{Family, Wiring};

fn discover(lab: &Lab, wiring: &Wiring, more: &[&str]) -> vcp_tests::process::Outcome {
    let portal = match wiring.portal {
        v6 if v6.contains(':') => format!("iscsi://[{v6}]"),
        v4 => format!("iscsi://{v4}"),
    };
    let arguments = [&["discover", &portal, "--link", &wiring.link], more].concat();
    vcp::once(lab, wiring.side, &arguments)
}

#[test]
fn every_target_of_a_portal() {
    requires!(Root, Tun, "tgtd");
    let wirings = [
        Wiring::tap("tso", Family::V4),
        Wiring::tap("none", Family::V6),
        Wiring::packet("tso", Family::V4),
        Wiring::host(Family::V4),
        Wiring::host(Family::V6),
    ];
    for wiring in wirings {
        let lab = wiring.lab();
        let tgtd = Tgtd::start(&lab);
        let (_one, _two) = (
            tgtd.target("iqn.2026-11.test:one"),
            tgtd.target("iqn.2026-11.test:two"),
        );
        let listing = discover(&lab, &wiring, &[]).expect_success(&wiring.link);
        for name in ["iqn.2026-11.test:one", "iqn.2026-11.test:two"] {
            let row = listing.lines().find(|line| line.contains(name));
            let row = row.unwrap_or_else(|| panic!("{}: no {name} in\n{listing}", wiring.link));
            assert!(
                row.contains(wiring.portal) && row.contains("3260"),
                "{}: {row}",
                wiring.link
            );
        }
        assert!(
            !lab.interfaces(Side::Target).contains(&"vcp0".to_owned()),
            "the TAP was left behind"
        );
    }
}

/// More targets than fit in one PDU of text.
#[test]
fn a_long_list() {
    requires!(Root, Tun, "tgtd");
    let wiring = Wiring::tap("tso", Family::V4);
    let lab = wiring.lab();
    let tgtd = Tgtd::start(&lab);
    let names: Vec<String> = (0..150)
        .map(|number| {
            format!(
                "iqn.2026-11.test:{}-{number:03}",
                "a-name-that-takes-some-room".repeat(3)
            )
        })
        .collect();
    let _targets: Vec<_> = names.iter().map(|name| tgtd.target(name)).collect();
    let listing = discover(&lab, &wiring, &["--json"]).expect_success("discover");
    let parsed: serde_json::Value = serde_json::from_str(&listing).expect("JSON");
    let text = parsed.to_string();
    for name in &names {
        assert!(
            text.contains(name.as_str()),
            "{name} is missing in {listing}"
        );
    }
}

#[test]
fn nothing_there() {
    requires!(Root, Tun, "tgtd");
    let wiring = Wiring::tap("tso", Family::V4);
    let lab = wiring.lab();
    let _tgtd = Tgtd::start(&lab);
    let arguments = ["discover", "iscsi://10.77.0.1:3999", "--link", &wiring.link];
    let refused = vcp::once(&lab, wiring.side, &arguments);
    vcp::assert_one_line(&refused, 1, &["10.77.0.1:3999", "refused"]);
    let silent = vcp::once(
        &lab,
        wiring.side,
        &["discover", "iscsi://10.77.0.99", "--link", &wiring.link],
    );
    vcp::assert_one_line(&silent, 1, &["10.77.0.99"]);
    let usage = vcp::once(&lab, wiring.side, &["discover", "http://10.77.0.1"]);
    vcp::assert_one_line(&usage, 2, &["iscsi://"]);
}

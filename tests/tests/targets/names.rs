//! Names with capitals, in each of the three forms of RFC 7143 §4.2.7. Some targets
//! compare the bytes that they were given, some in lower case; what `vcp discover`
//! prints leads to the disk with all of them.

use serde_json::Value;
use vcp_tests::vcp;
use vcp_tests::wiring::{Family, Wiring};

use crate::bed::{Bed, Make};

const NAMES: [&str; 3] = [
    "iqn.2026-11.Test:Disk.ONE",
    "eui.02004567A425678D",
    "naa.62004567BA64678D0123456789ABCDEF",
];

/// Found by discovery and given as discovered.
pub(crate) fn as_discovered(make: Make) {
    let mut bed = Bed::new(
        make,
        Wiring::packet("tso", Family::V4),
        &make.offer(NAMES[0]),
    );
    for name in NAMES {
        let offer = make.offer(name);
        bed.offer(&offer);
        let found = discovered(&bed);
        assert!(
            found.eq_ignore_ascii_case(name),
            "{make:?} tells {found} of {name}"
        );
        serves(&bed, &bed.url(&found, offer.units[0].number));
    }
}

/// Typed in capitals, of a target whose name has none.
pub(crate) fn typed_in_capitals(make: Make) {
    let name = "iqn.2026-11.test:small";
    let offer = make.offer(name);
    let bed = Bed::new(make, Wiring::packet("tso", Family::V4), &offer);
    serves(
        &bed,
        &bed.url("iqn.2026-11.TEST:Small", offer.units[0].number),
    );
}

fn serves(bed: &Bed, url: &str) {
    let host = bed.host(url, "");
    bed.clients().qemu_io(
        &host.uri(),
        &["write -P 9 0 64k", "flush", "read -P 9 0 64k"],
    );
    host.shut_down();
}

/// The name of the only target, as `vcp discover` prints it.
fn discovered(bed: &Bed) -> String {
    let portal = format!("iscsi://{}", bed.wiring.portal);
    let arguments = ["discover", &portal, "--link", &bed.wiring.link, "--json"];
    let text = vcp::once(&bed.lab, bed.wiring.side, &arguments).expect_success("vcp discover");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    println!("{found}");
    found[0]["target"].as_str().unwrap_or_default().to_owned()
}

//! What every target has to get right with us: a verified load with digests and
//! authentication, over each link, through a crash of the VCP and a new version of it.

use std::time::Duration;

use vcp_tests::load::Load;
use vcp_tests::wiring::{Family, Wiring};

use crate::bed::{Bed, Make};

const NAME: &str = "iqn.2026-11.test:row";
/// 12 bytes at least, RFC 7143 §12.1.3, and 16 at most, for `istgt`.
const ACCOUNT: (&str, &str) = ("alice", "secret-of-alice");

/// A load whose every block carries its checksum, while the VCP dies and is replaced.
fn load(make: Make, wiring: Wiring) {
    let mut offer = make.offer(NAME).account(ACCOUNT.0, ACCOUNT.1);
    offer.units.truncate(1);
    let bed = Bed::new(make, wiring, &offer);
    let url = format!(
        "iscsi://{}%{}@{}/{NAME}/{}",
        ACCOUNT.0, ACCOUNT.1, bed.wiring.portal, offer.units[0].number
    );
    let digests = "header-digest = \"crc32c\"\ndata-digest = \"crc32c\"\n";
    let host = bed.host(&url, digests);
    let load = Load::start(bed.lab.dir(), &host.uri(), Duration::from_secs(5));
    std::thread::sleep(Duration::from_secs(1));
    host.inject("trap");
    host.until("ready", |seen| seen["state"] == "ready");
    host.ask(&["reload", vcp_tests::host::NAME])
        .expect_success("vcp reload");
    load.finish();
    assert_eq!(host.faults(), 1, "only the one that was made");
    host.shut_down();
}

pub(crate) fn over_packet(make: Make) {
    load(make, Wiring::packet("tso", Family::V4));
}

pub(crate) fn over_host(make: Make) {
    load(make, Wiring::host(Family::V4));
}

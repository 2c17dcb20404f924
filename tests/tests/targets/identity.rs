//! Whether the unit behind a new session is the one before: it is when it says so, it
//! is not when it says that, and as long as it says neither requests wait.

use std::time::Duration;

use serde_json::Value;
use vcp_tests::host::{Host, NAME};
use vcp_tests::lab::Side;
use vcp_tests::offer::Offer;
use vcp_tests::process::{Running, command};
use vcp_tests::rival::Rival;
use vcp_tests::wiring::{Family, Wiring};

use crate::bed::{Bed, Make};

const TARGET: &str = "iqn.2026-11.test:identity";

/// Long enough for a few attempts of a host that is turned away.
const ATTEMPTS: Duration = Duration::from_secs(3);

/// A disk with something on it.
struct Disk {
    host: Host,
    bed: Bed,
    offer: Offer,
    number: u32,
}

impl Disk {
    fn new(make: Make) -> Self {
        let low = make.offer(TARGET).units[0].number;
        let number = 15;
        let offer = Offer::new(TARGET, &[low, number]);
        let bed = Bed::new(make, Wiring::host(Family::V4), &offer);
        let host = bed.host(&bed.url(TARGET, number), "");
        bed.clients()
            .qemu_io(&host.uri(), &["write -P 0x31 0 1m", "flush"]);
        Self {
            host,
            bed,
            offer,
            number,
        }
    }

    /// Somebody who reads what is on it and is not answered yet.
    fn reader(&self) -> Running {
        let mut reader = command("qemu-io");
        reader.args(["-f", "raw", "-c", "read -P 0x31 0 1m", &self.host.uri()]);
        Running::start(reader, self.bed.lab.dir(), "reader")
    }

    /// It is there again without anybody's doing, and those who waited are answered.
    fn goes_on(self, reader: Running) {
        self.host
            .until("ready", |seen: &Value| seen["state"] == "ready");
        let said = reader.outcome(Duration::from_secs(30));
        let said = said.expect_success("qemu-io");
        assert!(!said.to_lowercase().contains("failed"), "{said}");
        self.host.shut_down();
    }
}

/// The target comes back without the unit, which is added later, as by a script that
/// sets the target up one step after the other.
pub(crate) fn comes_later(make: Make) {
    let mut disk = Disk::new(make);
    disk.bed.offer(&disk.offer.clone().without(disk.number));
    let mut reader = disk.reader();
    std::thread::sleep(ATTEMPTS);
    let seen = disk.host.inspect();
    assert!(reader.ended().is_none(), "a reader was answered: {seen:#}");
    assert_ne!(seen["state"], "held", "{seen:#}");
    disk.bed.offer(&disk.offer);
    disk.goes_on(reader);
}

/// Another unit has its number: nobody reads what is there. An operator who has put the
/// right one back says so.
pub(crate) fn replaced(make: Make) {
    let mut disk = Disk::new(make);
    disk.bed.offer(&disk.offer.clone().replaced(disk.number));
    let reader = disk.reader();
    let seen = disk.host.until("held", |seen| seen["state"] == "held");
    assert!(
        seen.to_string().contains("another logical unit"),
        "{seen:#}"
    );
    let outcome = reader.outcome(Duration::from_secs(30));
    let said = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
    assert!(said.contains("read failed"), "{said}");
    disk.bed.offer(&disk.offer);
    let restart = disk.host.ask(&["restart", NAME]);
    restart.expect_success("vcp restart");
    let reader = disk.reader();
    disk.goes_on(reader);
}

/// Another initiator has the unit for itself when the VCP logs in anew. What a target
/// then answers at all is for it to say; who asks meanwhile waits or is refused.
pub(crate) fn reserved(make: Make) {
    let disk = Disk::new(make);
    let portal = disk.bed.wiring.portal;
    let rival = Rival::reserve(&disk.bed.lab, Side::Client, portal, TARGET, disk.number);
    disk.host.inject("trap");
    let refused = disk.reader();
    std::thread::sleep(ATTEMPTS);
    let seen = disk.host.inspect();
    assert_ne!(seen["state"], "held", "{seen:#}");
    rival.release();
    let reader = disk.reader();
    disk.goes_on(reader);
    drop(refused);
}

//! An interface that is removed under a load and made again: an outage like any other.

use std::process::Command;
use std::time::Duration;

use vcp_tests::lab::{Lab, Side, WIRE_CLIENT, WIRE_CLIENT_V4};
use vcp_tests::load::Load;
use vcp_tests::wiring::{Family, Wiring};

use crate::bed::{Bed, Make};

const TARGET: &str = "iqn.2026-11.test:interface";
const TAP: &str = "vcp0";
/// A pair of interfaces, one for a packet link, the other in the bridge.
const NEAR: &str = "near0";
const FAR: &str = "far0";
const BRIDGE: &str = "bridge0";
/// How long the interface is away.
const AWAY: Duration = Duration::from_secs(2);

/// Runs a verified load over what `remove` and `restore` are done to meanwhile.
fn under_load(bed: &Bed, number: u32, remove: impl Fn(), restore: impl Fn()) {
    let host = bed.host(&bed.url(TARGET, number), "");
    let mut load = Load::start(bed.lab.dir(), &host.uri(), Duration::from_secs(6));
    std::thread::sleep(Duration::from_secs(1));
    remove();
    std::thread::sleep(AWAY);
    assert!(load.is_running(), "the load has ended early");
    restore();
    host.until("ready", |seen| seen["state"] == "ready");
    load.finish();
    host.shut_down();
}

/// A TAP that somebody else has made, who makes it again.
pub(crate) fn tap(make: Make) {
    let offer = make.offer(TARGET);
    let wiring = Wiring::tap("tso", Family::V4);
    // Without `host-address`: the interface is somebody else's.
    let wiring = Wiring {
        link: format!("tap:{TAP},address=10.77.0.2/24"),
        ..wiring
    };
    let bed = Bed::new(make, wiring, &offer);
    let ip = |arguments: &[&str]| bed.lab.ip(Side::Target, arguments);
    let restore = || {
        ip(&["tuntap", "add", TAP, "mode", "tap"]);
        ip(&["address", "add", "10.77.0.1/24", "dev", TAP]);
        ip(&["link", "set", TAP, "up"]);
    };
    restore();
    let remove = || _ = ip(&["link", "delete", TAP]);
    under_load(&bed, offer.units[0].number, remove, restore);
}

/// A TAP that `vcp` has made, and makes again by itself.
pub(crate) fn own_tap(make: Make) {
    let offer = make.offer(TARGET);
    let bed = Bed::new(make, Wiring::tap("tso", Family::V4), &offer);
    let remove = || _ = bed.lab.ip(Side::Target, &["link", "delete", TAP]);
    under_load(&bed, offer.units[0].number, remove, || {});
}

/// The interface of a packet link, with the other end of its wire.
pub(crate) fn packet(make: Make) {
    let offer = make.offer(TARGET);
    let bed = Bed::new(make, Wiring::packet("tso", Family::V4), &offer);
    let remove = || _ = bed.lab.ip(Side::Client, &["link", "delete", WIRE_CLIENT]);
    under_load(&bed, offer.units[0].number, remove, || bed.lab.wire());
}

/// A bridge in front of the wire to a machine: the wire is qemu's, which holds on to it.
/// Others use the wire afterwards, so the bridge goes with this.
struct Bridge<'a>(&'a Lab);

impl<'a> Bridge<'a> {
    fn new(lab: &'a Lab) -> Self {
        let bridge = Self(lab);
        bridge.ip(&["link", "add", BRIDGE, "type", "bridge"]);
        bridge.ip(&["link", "set", BRIDGE, "up"]);
        bridge.join(WIRE_CLIENT);
        bridge
    }

    fn ip(&self, arguments: &[&str]) {
        self.0.ip(Side::Client, arguments);
    }

    fn join(&self, interface: &str) {
        self.ip(&["link", "set", interface, "master", BRIDGE]);
        self.ip(&["link", "set", interface, "up"]);
    }
}

impl Drop for Bridge<'_> {
    fn drop(&mut self) {
        let namespace = self.0.namespace(Side::Client);
        for interface in [TAP, NEAR, BRIDGE] {
            // What is not there need not go.
            let _ = Command::new("ip")
                .args(["-n", &namespace, "link", "delete", interface])
                .output();
        }
    }
}

/// As [`tap`], for a target in a machine.
pub(crate) fn bridged_tap(make: Make) {
    let offer = make.offer(TARGET);
    let wiring = Wiring {
        link: format!("tap:{TAP},address={WIRE_CLIENT_V4}/24"),
        ..Wiring::packet("none", Family::V4)
    };
    let bed = Bed::new(make, wiring, &offer);
    let bridge = Bridge::new(&bed.lab);
    let restore = || {
        bridge.ip(&["tuntap", "add", TAP, "mode", "tap"]);
        bridge.join(TAP);
    };
    restore();
    let remove = || bridge.ip(&["link", "delete", TAP]);
    under_load(&bed, offer.units[0].number, remove, restore);
}

/// As [`packet`], for a target in a machine.
pub(crate) fn bridged_packet(make: Make) {
    let offer = make.offer(TARGET);
    let wiring = Wiring::packet("none", Family::V4);
    let wiring = Wiring {
        link: wiring.link.replace(WIRE_CLIENT, NEAR),
        ..wiring
    };
    let bed = Bed::new(make, wiring, &offer);
    let bridge = Bridge::new(&bed.lab);
    let restore = || {
        bridge.ip(&["link", "add", NEAR, "type", "veth", "peer", "name", FAR]);
        bridge.ip(&["link", "set", NEAR, "up"]);
        bridge.join(FAR);
    };
    restore();
    let remove = || bridge.ip(&["link", "delete", NEAR]);
    under_load(&bed, offer.units[0].number, remove, restore);
}

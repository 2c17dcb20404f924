//! The control: the same jobs with qemu-nbd's libiscsi in place of `vcp`. When
//! these fail, the machine, the target or the harness is at fault.

use vcp_tests::client::Clients;
use vcp_tests::lab::{Lab, Side, WIRE_TARGET_V4, WIRE_TARGET_V6};
use vcp_tests::peer::QemuNbd;
use vcp_tests::requires;
use vcp_tests::scale::Scale;
use vcp_tests::tgtd::{Tgtd, Unit};

#[test]
fn copies_and_verified_load_over_ipv4() {
    requires!(Root, "tgtd", "qemu-nbd", "qemu-img", "nbdcopy", "fio");
    let lab = Lab::new().addressed();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd
        .target("iqn.2026-11.test:control")
        .unit(1, Unit::new(Scale::from_env().image));
    let peer = QemuNbd::start(&lab, Side::Client, &lun.url(WIRE_TARGET_V4));
    let clients = Clients::new(lab.dir());
    clients.convert_both_ways(peer.uri(), &lun);
    clients.copy_both_ways(peer.uri(), &lun);
    clients.verify_load(peer.uri());
}

#[test]
fn size_over_ipv6() {
    requires!(Root, "tgtd", "qemu-nbd", "nbdinfo");
    let lab = Lab::new().addressed();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd
        .target("iqn.2026-11.test:control")
        .unit(3, Unit::new(5 << 20));
    let peer = QemuNbd::start(&lab, Side::Client, &lun.url(WIRE_TARGET_V6));
    assert_eq!(
        Clients::new(lab.dir()).info(peer.uri())["export-size"],
        lun.size
    );
}

//! Every link in IPv4 and IPv6: the same four jobs by stock clients.

use vcp_tests::client::Clients;
use vcp_tests::requires;
use vcp_tests::scale::Scale;
use vcp_tests::tgtd::{Tgtd, Unit};
use vcp_tests::vcp::Vcp;
use vcp_tests::wiring::{Family, Wiring};

/// What nbdinfo sees matches the unit; an image goes in and out by qemu-img and
/// by nbdcopy, equal also behind the target's back; a verified load of many
/// sizes has no error.
fn everything(wiring: &Wiring) {
    let lab = wiring.lab();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd
        .target("iqn.2026-11.test:disk")
        .unit(1, Unit::new(Scale::from_env().image));
    let vcp = Vcp::run(&lab, wiring.side, wiring.arguments(&lun, &lab.nbd()));
    let clients = Clients::new(lab.dir());
    clients.check_info(&vcp.uri(), &lun);
    clients.convert_both_ways(&vcp.uri(), &lun);
    clients.copy_both_ways(&vcp.uri(), &lun);
    clients.verify_load(&vcp.uri());
    vcp.shut_down();
}

macro_rules! matrix {
    ($($name:ident: $link:ident $($offload:literal)? $family:ident;)*) => {$(
        #[test]
        fn $name() {
            requires!(Root, Tun, "tgtd", "qemu-img", "nbdcopy", "nbdinfo", "fio");
            everything(&Wiring::$link($($offload,)? Family::$family));
        }
    )*};
}

matrix! {
    tap_tso_ipv4: tap "tso" V4;
    tap_tso_ipv6: tap "tso" V6;
    tap_csum_ipv4: tap "csum" V4;
    tap_csum_ipv6: tap "csum" V6;
    tap_none_ipv4: tap "none" V4;
    tap_none_ipv6: tap "none" V6;
    packet_ipv4: packet "tso" V4;
    packet_ipv6: packet "tso" V6;
    packet_none_ipv4: packet "none" V4;
    host_ipv4: host V4;
    host_ipv6: host V6;
}

//! Units by the numbers that the target lists them with: flat, or in two bytes of the
//! peripheral form, as it happens to write them.

use vcp_tests::vcp;
use vcp_tests::wiring::{Family, Wiring};

use crate::bed::{Bed, Make};

const NAME: &str = "iqn.2026-11.test:numbers";

/// A unit of a number above 255, where the target can have one, is reached: what is
/// written there is read in another session, and the other unit has none of it.
pub(crate) fn reached(make: Make) {
    let offer = make.offer(NAME);
    let bed = Bed::new(make, Wiring::packet("tso", Family::V4), &offer);
    let clients = bed.clients();
    let [low, high] = [0, 1].map(|at| bed.url(NAME, offer.units[at].number));
    let host = bed.host(&high, "");
    clients.qemu_io(&host.uri(), &["write -P 0x5a 64k 1m", "flush"]);
    host.shut_down();
    let host = bed.host(&high, "");
    clients.qemu_io(&host.uri(), &["read -P 0x5a 64k 1m"]);
    host.shut_down();
    let host = bed.host(&low, "");
    clients.qemu_io(&host.uri(), &["read -P 0 64k 1m"]);
    host.shut_down();
}

/// One that does not exist is refused in one line that has what there is.
pub(crate) fn missing(make: Make) {
    let offer = make.offer(NAME);
    let bed = Bed::new(make, Wiring::packet("tso", Family::V4), &offer);
    let url = bed.url(NAME, 7);
    let mut arguments = vec!["run".to_owned()];
    arguments.extend(bed.wiring.arguments_for(&url, &bed.lab.nbd()));
    let outcome = vcp::once(&bed.lab, bed.wiring.side, &arguments);
    let high = make.high().to_string();
    let low = offer.units[0].number.to_string();
    vcp::assert_one_line(&outcome, 1, &["logical unit 7 does not exist", &low, &high]);
}

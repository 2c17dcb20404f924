//! One target of any make in a lab, and what becomes of it.

use std::fs::{self, File};
use std::sync::Arc;

use vcp_tests::client::Clients;
use vcp_tests::host::Host;
use vcp_tests::istgt::{self, Istgt};
use vcp_tests::lab::Lab;
use vcp_tests::lio::Lio;
use vcp_tests::offer::{Offer, UNIT};
use vcp_tests::tgtd::{Lun, Tgtd};
use vcp_tests::wiring::Wiring;

/// The program in the machine of the kernel's target, which cargo builds with these
/// tests.
const AGENT: &str = env!("CARGO_BIN_EXE_vm-agent");

/// Who made the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Tgtd,
    Istgt,
    /// In a machine, at the other end of the wire.
    Lio,
}

impl Make {
    /// The highest number of a unit that is tried: above 255 where it can be.
    pub(crate) fn high(self) -> u32 {
        match self {
            Self::Istgt => istgt::LAST,
            Self::Tgtd | Self::Lio => 300,
        }
    }

    /// Two units, one of them with the high number. `tgtd` has a 0 of its own, a
    /// controller; the others need one.
    pub(crate) fn offer(self, name: &str) -> Offer {
        let low = u32::from(self == Self::Tgtd);
        Offer::new(name, &[low, self.high()])
    }
}

#[derive(Debug)]
enum Server {
    /// `None` while it is away.
    Tgtd(Option<Tgtd>),
    Istgt(Option<Istgt>),
    Lio(Lio),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Bed {
    // Ends before the lab that it is in.
    server: Server,
    pub(crate) lab: Arc<Lab>,
    pub(crate) wiring: Wiring,
}

impl Bed {
    /// With the target offering this.
    pub(crate) fn new(make: Make, wiring: Wiring, offer: &Offer) -> Self {
        let server = match make {
            Make::Tgtd => Server::Tgtd(None),
            Make::Istgt => Server::Istgt(None),
            Make::Lio => Server::Lio(Lio::take(AGENT)),
        };
        let lab = match &server {
            // As others have left it.
            Server::Lio(lio) => {
                lio.forget();
                lio.lab().unaddress_client();
                let _ = fs::remove_file(lio.lab().socket());
                lio.lab()
            }
            _ => Arc::new(Lab::new()),
        };
        if wiring.link == "host" {
            lab.address_client();
        }
        let mut bed = Self {
            server,
            lab,
            wiring,
        };
        bed.offer(offer);
        bed
    }

    /// Ends every session, as a target does that starts anew, and offers this.
    pub(crate) fn offer(&mut self, offer: &Offer) {
        match &mut self.server {
            Server::Tgtd(running) => {
                // Ended first: there is one portal.
                drop(running.take());
                *running = Some(tgtd(&self.lab, offer));
            }
            Server::Istgt(running) => {
                drop(running.take());
                *running = Some(Istgt::start(&self.lab, offer));
            }
            Server::Lio(lio) => lio.offer(offer),
        }
    }

    /// Where a unit is, by any spelling of the target's name.
    pub(crate) fn url(&self, name: &str, number: u32) -> String {
        format!("iscsi://{}/{name}/{number}", self.wiring.portal)
    }

    /// A host with the unit at `url` and these settings.
    pub(crate) fn host(&self, url: &str, settings: &str) -> Host {
        Host::configured(&self.lab, &self.wiring, url, "", settings)
    }

    pub(crate) fn clients(&self) -> Clients {
        Clients::new(self.lab.dir())
    }
}

/// A new daemon with this, over what an earlier one has left.
fn tgtd(lab: &Lab, offer: &Offer) -> Tgtd {
    let tgtd = Tgtd::start(lab);
    // What it tells of a unit follows from the numbers of target and unit.
    if offer.units.iter().any(|unit| unit.other) {
        let _ = tgtd.target("iqn.2026-11.test:another");
    }
    let target = tgtd.target(&offer.name);
    for digest in ["HeaderDigest", "DataDigest"] {
        target.set(digest, "None,CRC32C");
    }
    if let Some((user, secret)) = offer.account {
        target.account(user, secret);
    }
    for unit in &offer.units {
        let lun = Lun {
            iqn: offer.name.clone(),
            number: unit.number,
            size: UNIT,
            sector: 512,
            read_only: false,
            file: lab.dir().join(unit.serial()),
        };
        if !lun.file.exists() {
            let made = File::create(&lun.file).and_then(|file| file.set_len(UNIT));
            made.expect("making a sparse file");
        }
        target.keep(&lun);
    }
    tgtd
}

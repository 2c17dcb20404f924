//! File systems on an iSCSI disk, on this machine's own kernel: through nbdfuse and a
//! loop device, mounted by `vcp mount`, against `tgtd` over a TAP.
//!
//! | file | subject |
//! |---|---|
//! | `work` | what is written while the VCP dies is there |
//! | `apart` | what fails is undone, what is gone can be taken apart |
//!
//! `VCP_E2E_FULL=1`: 20,000 files and 50 crashes.

mod apart;
mod work;

use vcp_tests::host::{Host, NAME};
use vcp_tests::lab::Lab;
use vcp_tests::mounted::Mounts;
use vcp_tests::process::must;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:mount";

/// A disk at a target, and the host that serves it.
struct Bed {
    mounts: Mounts,
    host: Host,
    tgtd: Tgtd,
    lun: Lun,
    wiring: Wiring,
    lab: Lab,
}

impl Bed {
    /// With more lines in the table of the VCP.
    fn new(bytes: u64, lines: &str) -> Self {
        let wiring = Wiring::tap("tso", Family::V4);
        let lab = wiring.lab();
        let tgtd = Tgtd::start(&lab);
        let lun = tgtd.target(IQN).unit(1, Unit::new(bytes));
        let host = Host::start(&lab, &wiring, &lun.url(wiring.portal), lines);
        Self {
            mounts: Mounts::new(lab.dir()),
            host,
            tgtd,
            lun,
            wiring,
            lab,
        }
    }

    /// With ext4 on it.
    fn ext4(bytes: u64, lines: &str) -> Self {
        let bed = Self::new(bytes, lines);
        bed.mounts.make(&bed.host.uri(), &["mkfs.ext4", "-q"]);
        bed
    }

    /// `vcp mount`; what it says, and the device's name.
    fn mount(&self, more: &[&str]) -> (String, String) {
        let point = self.mounts.point("mnt").display().to_string();
        let line = [&["mount", NAME, &point, "--via", "fuse"], more].concat();
        let said = self.mounts.say(&line);
        let mut words = said.split([' ', '/']);
        let device = words.find(|word| word.starts_with("loop"));
        let device = device
            .unwrap_or_else(|| panic!("no device in: {said}"))
            .to_owned();
        (said, device)
    }

    /// The file system's own check, on what the target has.
    fn check(&self, fsck: &[&str]) {
        let file = self.lun.file.display().to_string();
        must(fsck[0], &[&fsck[1..], &[&file]].concat());
    }
}

//! The VCPs that are crashed.

use vcp_benches::bed::{Bed, cpu};
use vcp_core::{BEST_EFFORT, RestartSettings, Settings};
use vcp_tests::lab::Lab;
use vcp_tests::tgtd::Lun;

/// A VCP that is restarted at once, however short it lived.
fn at_once(settings: Settings) -> Settings {
    Settings {
        restart: RestartSettings {
            min_run: std::time::Duration::ZERO,
            ..RestartSettings::default()
        },
        ..settings
    }
}

/// An initiator on a TAP of its own; the `index` tells it from others.
pub(crate) fn initiator(bed: &Bed, lab: &Lab, lun: &Lun, index: u8) -> Settings {
    at_once(bed.initiator(lab, lun, "stall", index))
}

/// A RAM disk of so many bytes on a CPU, which comes back blank.
pub(crate) fn ramdisk(bed: &Bed, name: &str, size: u64, on: usize) -> Settings {
    let mut settings = Settings {
        cpu: cpu(&[on], BEST_EFFORT),
        ..bed.ramdisk(name, size)
    };
    let blank = ("after-fault", "blank");
    settings
        .config
        .push((blank.0.to_owned(), blank.1.to_owned()));
    at_once(settings)
}

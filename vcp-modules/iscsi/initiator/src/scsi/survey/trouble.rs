//! Failures of a survey: those that are final, and those that may pass.

use alloc::format;
use alloc::string::String;

use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey};

use super::Survey;
use crate::scsi::Ending;

/// Why the unit cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SurveyError(pub(crate) String);

/// A problem with an indispensable answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The unit is unsuitable; asking again in the same session is no use.
    Final(String),
    /// The unit could not answer.
    Passing(String),
}

impl Trouble {
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Final(_))
    }
}

impl Survey {
    pub(super) fn line(&self, what: &str) -> String {
        format!("logical unit {} {what}", self.number)
    }

    /// The unit is unsuitable.
    pub(super) fn wrong(&self, what: &str) -> Trouble {
        Trouble::Final(self.line(what))
    }

    /// A question failed. A unit that was served before will be again, whatever it
    /// answers.
    pub(super) fn failed(&self, what: &str, ending: &Ending) -> Trouble {
        let line = self.line(&format!("{what}: {ending}"));
        match self.served || ending.sense().is_none_or(passes) {
            true => Trouble::Passing(line),
            false => Trouble::Final(line),
        }
    }

    /// An answer ends too early.
    pub(super) fn cut(&self, what: &str) -> Trouble {
        Trouble::Passing(self.line(&format!("sends {what} data that is cut short")))
    }
}

/// Whether the answer of a unit at the very start is worth waiting for: it becomes ready,
/// its port does (SPC-4 §4.5.6: any 04h that needs no intervention), or it failed at
/// something that may succeed next time.
fn passes(sense: &Sense) -> bool {
    match sense.key {
        SenseKey::NotReady => !matches!(sense.asc, Asc(0x3a, _) | Asc::MANUAL_INTERVENTION),
        SenseKey::UnitAttention | SenseKey::AbortedCommand | SenseKey::HardwareError => true,
        _ => false,
    }
}

//! Why a survey does not end well: what the unit says of itself once and for all, and
//! what may pass.

use alloc::format;
use alloc::string::String;

use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey};

use super::Survey;
use crate::scsi::Ending;

/// Why there is nothing to be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SurveyError(pub(crate) String);

/// What is wrong with an answer without which there is no end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The unit is not what is needed; asking again in the same session is no use.
    Final(String),
    /// It could not say.
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

    /// It is not what is needed.
    pub(super) fn wrong(&self, what: &str) -> Trouble {
        Trouble::Final(self.line(what))
    }

    /// A question failed. A unit that was served will be again, whatever it says.
    pub(super) fn failed(&self, what: &str, ending: &Ending) -> Trouble {
        let line = self.line(&format!("{what}: {ending}"));
        match self.served || ending.sense().is_none_or(passes) {
            true => Trouble::Passing(line),
            false => Trouble::Final(line),
        }
    }

    /// An answer that ends too early.
    pub(super) fn cut(&self, what: &str) -> Trouble {
        Trouble::Passing(self.line(&format!("sends {what} data that is cut short")))
    }
}

/// Whether what a unit says at the very start is worth to be waited for: it becomes
/// ready, its port does (SPC-4 §4.5.6: 04h of whatever kind but that somebody has to
/// see to it), or it failed at what it may do well next time.
fn passes(sense: &Sense) -> bool {
    match sense.key {
        SenseKey::NotReady => !matches!(sense.asc, Asc(0x3a, _) | Asc::MANUAL_INTERVENTION),
        SenseKey::UnitAttention | SenseKey::AbortedCommand | SenseKey::HardwareError => true,
        _ => false,
    }
}

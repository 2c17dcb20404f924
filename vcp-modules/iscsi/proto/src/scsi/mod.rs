//! The SCSI commands that a block device needs (SAM-5, SPC-4, SBC-3), built and parsed.
//! SBC-3 is quoted by the names of its clauses, because drafts number them differently.
//!
//! [`Command`] is a CDB in readable form. The parameter data of each command has its
//! own type with `parse` and `emit`; parsers take data that was cut by an allocation
//! length and say so instead of guessing. Whether a command makes sense for a device
//! is the device's business.

mod asc;
mod capacity;
mod cdb;
mod inquiry;
mod luns;
mod mode;
mod provisioning;
mod sense;
mod status;
mod vpd;

pub use asc::Asc;
pub use capacity::{Capacity10, Capacity16};
pub use cdb::{CdbError, Command, LunSelection, ModeForm, Opcode, PageControl};
pub use inquiry::{Inquiry, PeripheralQualifier};
pub use luns::{emit_luns, parse_luns};
pub use mode::{CachingPage, ModeParameters};
pub use provisioning::{
    Extent, LbaState, LbaStatus, emit_lba_status, emit_unmap, parse_lba_status, parse_unmap,
};
pub use sense::{Sense, SenseKey};
pub use status::Status;
pub use vpd::{BlockLimits, Designator, LogicalBlockProvisioning, Vpd, page};

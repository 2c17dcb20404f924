//! The fault campaign: VCPs whose code was changed by a seed, calls cut off in
//! the middle, links that lose and spoil frames; all under load, and with an
//! oracle that knows what every block may hold.
//!
//! It runs the real host (`vcp-core`) with the real modules and an embedded
//! iSCSI target, in processes of its own: one that dies or hangs is a finding.
//!
//! Beside that, [`loads`] hands it modules that are not its own in any sense.
//!
//! Start reading at [`mutate`], then [`oracle`] and [`drive`].

pub mod drive;
pub mod loads;
pub mod mutate;
pub mod oracle;
pub mod process;
pub mod random;
pub mod report;

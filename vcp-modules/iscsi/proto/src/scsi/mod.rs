//! The SCSI commands that a block device needs (SPC-4, SBC-3), built and parsed.

mod status;

pub use status::Status;

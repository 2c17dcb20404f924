//! iSCSI and SCSI on the wire: PDUs, text keys, CHAP, CDBs and sense data.
//!
//! Pure functions over bytes, for initiators and targets alike: whatever one side
//! emits the other side parses. Nothing here keeps a connection's state, reads a
//! clock or does I/O. Bytes from outside are hostile: no parser panics, and none
//! allocates more than its input's length warrants.
//!
//! | module | subject | source |
//! |---|---|---|
//! | [`bhs`] | what all PDUs share, and where a PDU's parts lie | RFC 7143 §11.2 |
//! | [`pdu`] | one struct per PDU | RFC 7143 §11 |
//! | [`digest`] | CRC32C | RFC 7143 §13.1 |
//! | [`login`] | stages and outcomes of a login | RFC 7143 §6.3, §11.13.5 |
//! | [`text`] | `key=value` negotiation text and the keys | RFC 7143 §6, §13 |
//! | [`name`] | iSCSI names | RFC 7143 §4.2.7 |
//! | [`chap`] | authentication | RFC 7143 §12.1.3 |
//! | [`scsi`] | CDBs, parameter data, sense data | SAM-5, SPC-4, SBC-3 |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bhs;
pub mod chap;
pub mod digest;
mod error;
mod field;
mod isid;
pub mod login;
mod lun;
pub mod name;
pub mod pdu;
pub mod scsi;
mod serial;
pub mod text;

pub use bhs::{BHS_LEN, Bhs, BhsBytes, DIGEST_LEN, Layout, MAX_DATA_LEN, Opcode, RESERVED_TAG};
pub use digest::Crc32c;
pub use error::Error;
pub use isid::{Isid, IsidType};
pub use lun::{Lun, LunMethod};
pub use name::{IscsiName, NameError};
pub use pdu::{InitiatorPdu, TargetPdu};
pub use serial::Serial;

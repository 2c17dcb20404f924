//! A session and its connection as bytes, for the next version: a kind and a version,
//! then both in postcard's encoding.
//!
//! The input is not trusted. Here it is checked for completeness; the initiator and the
//! stack check its contents.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_initiator::Snapshot;

use crate::transport::Held;

const MAGIC: &[u8] = b"vcp-iscsi";
/// The version of the whole encoding, the initiator's and the stack's parts included.
const VERSION: u8 = 2;

pub(crate) fn encode(state: &(Snapshot, Held)) -> Result<Vec<u8>, String> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    postcard::to_extend(state, bytes).map_err(|error| format!("the session: {error}"))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<(Snapshot, Held), String> {
    let foreign = || "not the state of an iSCSI disk".to_string();
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(foreign)?;
    let (version, rest) = rest.split_first().ok_or_else(foreign)?;
    if *version != VERSION {
        return Err(format!(
            "a state of version {version}; this module takes {VERSION}"
        ));
    }
    let (state, rest) =
        postcard::take_from_bytes(rest).map_err(|error| format!("the state: {error}"))?;
    match rest.len() {
        0 => Ok(state),
        more => Err(format!("{more} bytes after the state")),
    }
}

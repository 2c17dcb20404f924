//! The answer to SendTargets (RFC 7143, appendix C): the name of each target, followed by
//! its addresses.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use vcp_iscsi_proto::text::{Key, pairs};

use super::{FoundPortal, FoundTarget};

/// Parses an answer that came from the portal `asked`. A target without an address is at
/// that portal.
pub(super) fn targets(text: &[u8], asked: SocketAddr) -> Result<Vec<FoundTarget>, String> {
    let mut found: Vec<FoundTarget> = Vec::new();
    for pair in pairs(text) {
        let pair = pair.map_err(|e| e.to_string())?;
        match (Key::from_name(pair.key), found.last_mut()) {
            (Some(Key::TargetName), _) => found.push(FoundTarget {
                name: pair.value.to_string(),
                portals: Vec::new(),
            }),
            (Some(Key::TargetAddress), Some(target)) => target.portals.push(portal(pair.value)),
            (Some(Key::TargetAddress), None) => {
                return Err("an address that belongs to no target".into());
            }
            _ => {}
        }
    }
    for target in &mut found {
        if target.portals.is_empty() {
            target.portals = vec![FoundPortal {
                address: asked.to_string(),
                group: None,
            }];
        }
    }
    Ok(found)
}

/// Parses `host[:port][,portal group tag]`.
fn portal(value: &str) -> FoundPortal {
    let (address, group) = match value.rsplit_once(',') {
        Some((address, group)) => (address, group.parse().ok()),
        None => (value, None),
    };
    FoundPortal {
        address: address.to_string(),
        group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> SocketAddr {
        "10.0.0.1:3260".parse().unwrap()
    }

    #[test]
    fn names_and_addresses() {
        let text = b"TargetName=iqn.2026-11.example:a\0\
            TargetAddress=10.0.0.1:3260,1\0\
            TargetAddress=[fe80::1]:3260,2\0\
            TargetName=iqn.2026-11.example:b\0";
        let found = targets(text, asked()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].portals[1].address, "[fe80::1]:3260");
        assert_eq!(found[0].portals[1].group, Some(2));
        assert_eq!(found[1].portals[0].address, "10.0.0.1:3260");
    }

    #[test]
    fn an_address_needs_a_target() {
        assert!(targets(b"TargetAddress=10.0.0.1\0", asked()).is_err());
        assert_eq!(targets(b"", asked()).unwrap(), vec![]);
    }
}

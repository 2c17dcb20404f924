//! The zone of a link-local address: the interface to which it belongs (RFC 4007 §11),
//! written `[fe80::1%eth0]` or, in a URI by RFC 6874, `[fe80::1%25eth0]`.

use std::net::Ipv6Addr;

use super::UriError;
use crate::error::quote;
use crate::net::is_interface_name;

/// Splits the zone off `[ADDRESS%ZONE]…`: returns the text without it, and the zone. Text
/// of any other form is returned as it is.
pub(super) fn split_zone(text: &str) -> Result<(String, Option<String>), UriError> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let parts = inside.and_then(|(inside, after)| Some((inside.split_once('%')?, after)));
    let Some(((address, zone), after)) = parts else {
        return Ok((text.to_owned(), None));
    };
    let zone = match zone.strip_prefix("25") {
        // An interface may be named 25.
        Some(zone) if !zone.is_empty() => zone,
        _ => zone,
    };
    let local = address.parse::<Ipv6Addr>();
    let local = local.is_ok_and(|address| address.is_unicast_link_local());
    if !local || !is_interface_name(zone) || zone.contains('%') {
        return Err(UriError::Zone(quote(text)));
    }
    Ok((format!("[{address}]{after}"), Some(zone.to_owned())))
}

#[cfg(test)]
mod tests {
    use crate::Portal;

    fn zone(text: &str) -> Option<String> {
        text.parse::<Portal>().unwrap().zone
    }

    #[test]
    fn both_ways_to_write_a_zone() {
        for text in [
            "[fe80::1%eth0]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]:3261",
            "[fe80::1%25eth0]:3261",
        ] {
            let portal: Portal = text.parse().unwrap();
            assert_eq!(portal.zone.as_deref(), Some("eth0"), "{text}");
            // The printed form is that for URIs, and means the same.
            assert!(portal.to_string().starts_with("[fe80::1%25eth0]"));
            assert_eq!(portal.to_string().parse(), Ok(portal));
        }
        assert_eq!(zone("[fe80::1%br-lan.10]").as_deref(), Some("br-lan.10"));
        assert_eq!(zone("[fe80::1%25]").as_deref(), Some("25"));
        assert_eq!(zone("[fe80::1%2525]").as_deref(), Some("25"));
        assert_eq!(zone("[fe80::1]"), None);
    }

    #[test]
    fn only_a_link_local_address_has_one() {
        for bad in [
            "[fd00::1%eth0]",
            "[::1%lo]",
            "[fe80::1%]",
            "[fe80::1%a/b]",
            "[fe80::1%sixteen-letters0]",
            "[fe80::1%a%b]",
            "[10.0.0.1%eth0]",
            "[x%eth0]",
        ] {
            let error = bad.parse::<Portal>().unwrap_err().to_string();
            let expected = format!(
                "expected \"%\" only between a link-local address and an interface's name, \
                 as in [fe80::1%eth0], found {bad:?}"
            );
            assert_eq!(error, expected);
        }
    }
}

//! Parsing of each kind of configuration value.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use vcp_iscsi_proto::chap::Algorithm;
use vcp_iscsi_proto::{IscsiName, Isid, IsidType};

use super::{ConfigError, DigestPolicy, Secret};

/// The default port of iSCSI targets.
const PORT: u16 = 3260;

fn invalid(key: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Invalid {
        key,
        value: value.to_owned(),
        expected,
    }
}

pub(super) fn portal(value: &str) -> Result<SocketAddr, ConfigError> {
    let address = |ip: IpAddr| SocketAddr::new(ip, PORT);
    value
        .parse()
        .or_else(|_| value.parse().map(address))
        .or_else(|_| {
            let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
            inner.unwrap_or(value).parse().map(address)
        })
        .ok()
        .filter(|a: &SocketAddr| a.port() != 0)
        .ok_or_else(|| invalid("portal", value, "a numeric address, ip:port or [ipv6]:port"))
}

pub(super) fn name(key: &'static str, value: &str) -> Result<IscsiName, ConfigError> {
    IscsiName::new(value).map_err(|_| {
        invalid(
            key,
            value,
            "an iSCSI name such as iqn.2026-11.com.example:disk",
        )
    })
}

pub(super) fn number(
    key: &'static str,
    value: &str,
    range: RangeInclusive<u32>,
) -> Result<u32, ConfigError> {
    let number = value.parse().ok().filter(|n| range.contains(n));
    number.ok_or_else(|| match key {
        "lun" => invalid(key, value, "a number from 0 to 16383"),
        "max-transfer" => invalid(key, value, "a number of bytes from 4096 to 1048576"),
        "max-outstanding-r2t" => invalid(key, value, "a number from 1 to 65535"),
        _ => invalid(key, value, "a number of bytes from 512 to 16777215"),
    })
}

pub(super) fn boolean(key: &'static str, value: &str) -> Result<bool, ConfigError> {
    match value {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err(invalid(key, value, "yes or no")),
    }
}

/// Parses seconds, or a time with a unit: `5`, `5s`, `500ms`. In nanoseconds.
pub(super) fn duration(key: &'static str, value: &str) -> Result<u64, ConfigError> {
    let (digits, unit) = match (value.strip_suffix("ms"), value.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1_000_000),
        (None, Some(digits)) => (digits, 1_000_000_000),
        (None, None) => (value, 1_000_000_000),
    };
    let time = digits.parse::<u32>().ok().map(|n| u64::from(n) * unit);
    time.filter(|t| (1_000_000..=86_400_000_000_000).contains(t))
        .ok_or_else(|| invalid(key, value, "a time from 1ms to 86400s"))
}

/// Parses a [`duration`], or `0` or `never`, which both are 0.
pub(super) fn interval(key: &'static str, value: &str) -> Result<u64, ConfigError> {
    match value {
        "0" | "never" => Ok(0),
        _ => duration(key, value)
            .map_err(|_| invalid(key, value, "a time from 1ms to 86400s, or never")),
    }
}

pub(super) fn isid(value: &str) -> Result<Isid, ConfigError> {
    let wrong = || invalid("isid", value, "an ISID: 12 hexadecimal digits");
    let digits = value.strip_prefix("0x").unwrap_or(value);
    if digits.len() != 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let number = u64::from_str_radix(digits, 16).map_err(|_| wrong())?;
    let [_, _, isid @ ..] = number.to_be_bytes();
    let isid = Isid(isid);
    if isid.kind() == IsidType::Reserved {
        Err(wrong())
    } else {
        Ok(isid)
    }
}

/// Makes a stable ISID of the random type (RFC 7143 §11.12.5) from a name: FNV-1a, which
/// every generation of a VCP computes alike.
pub(super) fn isid_of(parts: &[&str]) -> Isid {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    Isid::random((hash >> 40) as u32, ((hash >> 24) ^ hash) as u16)
}

pub(super) fn auth(value: &str) -> Result<bool, ConfigError> {
    match value {
        "none" => Ok(false),
        "chap" => Ok(true),
        _ => Err(invalid("auth", value, "none or chap")),
    }
}

pub(super) fn user(key: &'static str, value: &str) -> Result<String, ConfigError> {
    if (1..=255).contains(&value.len()) && !value.contains('\0') {
        Ok(value.to_owned())
    } else {
        Err(invalid(key, value, "a name of 1 to 255 bytes"))
    }
}

pub(super) fn secret(key: &'static str, value: &str) -> Result<Secret, ConfigError> {
    if (1..=255).contains(&value.len()) {
        Ok(Secret(value.to_string()))
    } else {
        Err(ConfigError::Conflict {
            key,
            reason: "must be 1 to 255 bytes long",
        })
    }
}

pub(super) fn algorithms(value: &str) -> Result<Vec<Algorithm>, ConfigError> {
    let mut algorithms = Vec::new();
    for name in value.split(',') {
        let algorithm = match name.trim() {
            "md5" => Algorithm::Md5,
            "sha256" => Algorithm::Sha256,
            _ => {
                return Err(invalid(
                    "chap-algorithms",
                    value,
                    "a list of sha256 and md5",
                ));
            }
        };
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    Ok(algorithms)
}

pub(super) fn digest(key: &'static str, value: &str) -> Result<DigestPolicy, ConfigError> {
    match value {
        "none" => Ok(DigestPolicy::None),
        "accept" => Ok(DigestPolicy::Accept),
        "crc32c" => Ok(DigestPolicy::Crc32c),
        "prefer" => Ok(DigestPolicy::Prefer),
        _ => Err(invalid(key, value, "none, accept, prefer or crc32c")),
    }
}

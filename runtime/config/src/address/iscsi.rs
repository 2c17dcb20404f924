//! iSCSI targets: `iscsi://[user[%password]@]host[:port]/iqn/lun`, the form that
//! libiscsi and qemu use. The host may be a link-local address with its interface.
//!
//! In the part before `@` the first `%` or `:` ends the user name, so neither
//! can be part of one given here; in the password and in the target's name `%XX`
//! stands for a byte. Error messages never repeat what stands before the `@`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::zone::split_zone;
use super::{parse_port, split_host};
use crate::error::quote;
use crate::secret::Secret;

/// The iSCSI port registered with IANA.
pub const DEFAULT_PORT: u16 = 3260;

/// The highest LUN that flat space addressing holds (SAM-5).
pub const MAX_LUN: u16 = 16383;

/// The longest iSCSI name, in bytes (RFC 7143 §4.2.7).
const MAX_NAME: usize = 223;

/// The characters that are not escaped in a target name inside a URI.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// Why a text is not an iSCSI URI. The message names the part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The scheme is missing or another one.
    #[error("expected iscsi://[user[%password]@]host[:port]/iqn/lun, found no \"iscsi://\"")]
    Scheme,
    /// The target or LUN is missing after the host.
    #[error(
        "expected iscsi://[user[%password]@]host[:port]/iqn/lun, found no /iqn/lun after the host"
    )]
    Path,
    /// Something follows the host of a discovery URI.
    #[error("expected iscsi://[user[%password]@]host[:port] without a target, found one")]
    Discovery,
    /// There are options after `?` or `#`.
    #[error("expected nothing after the LUN, found {0}; options are keys of their own")]
    Options(String),
    /// The user or password is malformed.
    #[error(
        "expected user or user%password before \"@\", the password with % as %25, @ as %40 and / as %2F"
    )]
    Login,
    /// The host is malformed.
    #[error("expected a host name, an IPv4 address or an IPv6 address in brackets, found {0}")]
    Host(String),
    /// The interface of a link-local address is malformed.
    #[error(
        "expected \"%\" only between a link-local address and an interface's name, as in [fe80::1%eth0], found {0}"
    )]
    Zone(String),
    /// The port is malformed.
    #[error("expected a port from 1 to 65535 after the host, found {0}")]
    Port(String),
    /// The target's name is malformed.
    #[error("expected a target name that starts with iqn., eui. or naa., found {0}")]
    Target(String),
    /// The LUN is malformed.
    #[error("expected a LUN from 0 to 16383, found {0}")]
    Lun(String),
}

/// The credentials of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The CHAP name.
    pub user: String,
    /// The CHAP secret, when it is part of the URI.
    pub password: Option<Secret>,
}

/// The host of a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortalHost {
    /// An address, ready to connect to.
    Address(IpAddr),
    /// A name, to be resolved first.
    Name(String),
}

/// The place where a target listens: `host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portal {
    /// Its host.
    pub host: PortalHost,
    /// The interface to which a link-local address belongs, if one is named.
    pub zone: Option<String>,
    /// Its TCP port; not 0.
    pub port: u16,
}

/// One logical unit of one target. `Display` shows a password as `***`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IscsiUri {
    /// The CHAP login, if the URI has one.
    pub login: Option<Login>,
    /// The portal to connect to.
    pub portal: Portal,
    /// The target's iSCSI name, decoded.
    pub target: String,
    /// The logical unit, at most [`MAX_LUN`].
    pub lun: u16,
}

/// A portal to be asked for its targets: `iscsi://[user[%password]@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryUri {
    /// The CHAP login, if the URI has one.
    pub login: Option<Login>,
    /// The portal to connect to.
    pub portal: Portal,
}

impl IscsiUri {
    /// The same URI without user and password.
    pub fn without_login(&self) -> Self {
        Self {
            login: None,
            ..self.clone()
        }
    }
}

impl FromStr for IscsiUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (login, portal, path) = parse_authority(text)?;
        let (target, lun) = path.split_once('/').ok_or(UriError::Path)?;
        if let Some(options) = lun.find(['?', '#']) {
            return Err(UriError::Options(quote(&lun[options..])));
        }
        let wrong_lun = || UriError::Lun(quote(lun));
        let digits = (1..=5).contains(&lun.len()) && lun.bytes().all(|b| b.is_ascii_digit());
        let lun = digits
            .then(|| lun.parse::<u16>().ok())
            .flatten()
            .filter(|lun| *lun <= MAX_LUN)
            .ok_or_else(wrong_lun)?;
        let target = decode(target)
            .filter(|name| is_target_name(name))
            .ok_or_else(|| UriError::Target(quote(target)))?;
        Ok(Self {
            login,
            portal,
            target,
            lun,
        })
    }
}

impl FromStr for DiscoveryUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        match parse_authority(text)? {
            (login, portal, "") => Ok(Self { login, portal }),
            _ => Err(UriError::Discovery),
        }
    }
}

/// Splits the scheme, the login and the portal off a URI; the rest comes without its
/// leading slash.
fn parse_authority(text: &str) -> Result<(Option<Login>, Portal, &str), UriError> {
    let rest = text.strip_prefix("iscsi://").ok_or(UriError::Scheme)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The last `@` counts, so that an unescaped one in a password is reported as such and
    // never shows up as part of a host.
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(parse_login(login)?), host),
        None => (None, authority),
    };
    // An unescaped `/` in a password leaves a piece of it here.
    if login.is_none() && path.contains('@') {
        return Err(UriError::Login);
    }
    Ok((login, host.parse()?, path))
}

fn parse_login(text: &str) -> Result<Login, UriError> {
    let (user, password) = match text.find(['%', ':']) {
        Some(end) => (&text[..end], Some(&text[end + 1..])),
        None => (text, None),
    };
    let password = match password {
        None => None,
        Some(p) => Some(decode(p).filter(|p| !p.is_empty()).ok_or(UriError::Login)?),
    };
    let plain = |s: &str| !s.contains(|c: char| c.is_control() || c == '@');
    if user.is_empty() || !plain(user) || text.contains('@') {
        return Err(UriError::Login);
    }
    Ok(Login {
        user: user.to_owned(),
        password: password.map(Secret::new),
    })
}

/// Decodes `%XX`. `None` when a `%` is not followed by two hexadecimal digits, or the
/// bytes are not UTF-8, or contain a control character.
fn decode(text: &str) -> Option<String> {
    let escapes = text.split('%').skip(1).all(|after| {
        let bytes = after.as_bytes();
        bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
    });
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (escapes && !decoded.contains(char::is_control)).then(|| decoded.into_owned())
}

/// RFC 7143 §4.2.7: a name has one of the three types and at most 223 bytes. Which
/// characters follow is up to the target as long as a text key can hold them, and so is
/// case: a name stays as it is written.
fn is_target_name(name: &str) -> bool {
    let typed = ["iqn.", "eui.", "naa."].iter().any(|prefix| {
        let start = name.get(..prefix.len());
        name.len() > prefix.len() && start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    });
    typed && name.len() <= MAX_NAME && !name.contains(|c: char| c.is_whitespace() || c == '/')
}

impl FromStr for Portal {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (plain, zone) = split_zone(text)?;
        let (host, after) = split_host(&plain).ok_or_else(|| UriError::Host(quote(text)))?;
        let port = if after.is_empty() {
            DEFAULT_PORT
        } else {
            parse_port(after)
                .filter(|port| *port != 0)
                .ok_or_else(|| UriError::Port(quote(after)))?
        };
        let host = match host.parse::<IpAddr>() {
            Ok(address) => PortalHost::Address(address),
            // Four numbers that are not an address are a mistake, not a name.
            Err(_) if host.chars().all(|c| c.is_ascii_digit() || c == '.') => {
                return Err(UriError::Host(quote(host)));
            }
            Err(_) => PortalHost::Name(host.to_owned()),
        };
        Ok(Self { host, zone, port })
    }
}

impl fmt::Display for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            PortalHost::Address(IpAddr::V6(address)) => {
                // RFC 6874 requires this form in a URI.
                let zone = self.zone.iter().map(|zone| format!("%25{zone}"));
                write!(f, "[{address}{}]", zone.collect::<String>())?;
            }
            PortalHost::Address(address) => write!(f, "{address}")?,
            PortalHost::Name(name) => f.write_str(name)?,
        }
        if self.port != DEFAULT_PORT {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

fn write_authority(
    f: &mut fmt::Formatter<'_>,
    login: &Option<Login>,
    portal: &Portal,
) -> fmt::Result {
    f.write_str("iscsi://")?;
    match login {
        None => {}
        Some(Login {
            user,
            password: None,
        }) => write!(f, "{user}@")?,
        Some(Login {
            user,
            password: Some(secret),
        }) => write!(f, "{user}%{secret}@")?,
    }
    write!(f, "{portal}")
}

impl fmt::Display for IscsiUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_authority(f, &self.login, &self.portal)?;
        write!(
            f,
            "/{}/{}",
            utf8_percent_encode(&self.target, NAME),
            self.lun
        )
    }
}

impl fmt::Display for DiscoveryUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_authority(f, &self.login, &self.portal)
    }
}

#[cfg(test)]
mod tests;

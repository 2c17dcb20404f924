//! The keys of RFC 7143 §12 and §13 (and RFC 7144 §7), as one table.

use super::spec::{BooleanFn, KeyKind, KeySpec, NumberFn, Scope, Senders, Use};

/// Defines the keys with their definitions.
macro_rules! keys {
    ($($(#[$meta:meta])* $variant:ident = $spec:expr,)+) => {
        /// A key that the standards define.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Key {
            $($(#[$meta])* $variant,)+
        }

        impl Key {
            /// All keys, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The key's definition.
            #[must_use]
            pub const fn spec(self) -> &'static KeySpec {
                match self {
                    $(Self::$variant => { const SPEC: KeySpec = $spec; &SPEC })+
                }
            }
        }
    };
}

impl Key {
    /// The key as written in text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Finds a key by its name; case matters. `None` is to be answered with
    /// `NotUnderstood`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }
}

impl core::fmt::Display for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

use Scope::{Connection, Session};
use Senders::{Both, Initiator, Target};
use Use::{All, FullFeatureOnly, InitializeOnly, LeadingOnly, Obsolete, Security};

keys! {
    /// The initiator's name.
    InitiatorName = any("InitiatorName", InitializeOnly, Initiator, Session),
    /// A name for people.
    InitiatorAlias = any("InitiatorAlias", All, Initiator, Session),
    /// The target of the login; in answers to SendTargets, one target.
    TargetName = any("TargetName", InitializeOnly, Both, Session),
    /// A name for people.
    TargetAlias = any("TargetAlias", All, Target, Session),
    /// The address of a target: `host[:port][,portal group tag]`.
    TargetAddress = any("TargetAddress", All, Target, Session),
    /// The portal group of the connection.
    TargetPortalGroupTag = KeySpec {
        kind: KeyKind::DeclaredNumber { min: 0, max: 65535, default: None },
        ..any("TargetPortalGroupTag", InitializeOnly, Target, Session)
    },
    /// `Discovery` or `Normal`.
    SessionType = any("SessionType", LeadingOnly, Initiator, Session),
    /// Asks for targets and their addresses: `All`, a name, or nothing.
    SendTargets = KeySpec { any_stage: false, ..any("SendTargets", FullFeatureOnly, Initiator, Session) },

    /// The authentication methods: `CHAP`, `None`…
    AuthMethod = security("AuthMethod", KeyKind::List { default: None }),
    /// CHAP algorithms.
    ChapA = security("CHAP_A", KeyKind::List { default: None }),
    /// CHAP identifier.
    ChapI = security("CHAP_I", KeyKind::SecurityNumber),
    /// CHAP challenge.
    ChapC = security("CHAP_C", KeyKind::Binary),
    /// CHAP name.
    ChapN = security("CHAP_N", KeyKind::Text),
    /// CHAP response.
    ChapR = security("CHAP_R", KeyKind::Binary),

    /// Digest of headers: `CRC32C`, `None`.
    HeaderDigest = digest("HeaderDigest"),
    /// Digest of data segments: `CRC32C`, `None`.
    DataDigest = digest("DataDigest"),
    /// Connections in the session.
    MaxConnections = number("MaxConnections", 1, 65535, 1, NumberFn::Minimum),
    /// Whether unsolicited Data-Outs are forbidden.
    InitialR2T = boolean("InitialR2T", true, BooleanFn::Or),
    /// Whether commands may carry data.
    ImmediateData = boolean("ImmediateData", true, BooleanFn::And),
    /// The longest data segment that the sender of the key takes, in bytes.
    MaxRecvDataSegmentLength = KeySpec {
        kind: KeyKind::DeclaredNumber { min: 512, max: 0xff_ffff, default: Some(8192) },
        any_stage: false,
        ..any("MaxRecvDataSegmentLength", All, Both, Connection)
    },
    /// The longest sequence of Data-Ins or solicited Data-Outs, in bytes.
    MaxBurstLength = number("MaxBurstLength", 512, 0xff_ffff, 262_144, NumberFn::Minimum),
    /// The most unsolicited data of one command, in bytes; at most MaxBurstLength.
    FirstBurstLength = number("FirstBurstLength", 512, 0xff_ffff, 65536, NumberFn::Minimum),
    /// Seconds to wait before a reconnection. Also of use in discovery.
    DefaultTime2Wait = KeySpec {
        not_in_discovery: false,
        ..number("DefaultTime2Wait", 0, 3600, 2, NumberFn::Maximum)
    },
    /// Seconds for which tasks are kept after that. Also of use in discovery.
    DefaultTime2Retain = KeySpec {
        not_in_discovery: false,
        ..number("DefaultTime2Retain", 0, 3600, 20, NumberFn::Minimum)
    },
    /// R2Ts that one command may have open.
    MaxOutstandingR2T = number("MaxOutstandingR2T", 1, 65535, 1, NumberFn::Minimum),
    /// Whether the PDUs of a sequence come in order.
    DataPDUInOrder = boolean("DataPDUInOrder", true, BooleanFn::Or),
    /// Whether sequences come in order.
    DataSequenceInOrder = boolean("DataSequenceInOrder", true, BooleanFn::Or),
    /// 0: a session ends with its first error.
    ErrorRecoveryLevel = KeySpec {
        not_in_discovery: false,
        ..number("ErrorRecoveryLevel", 0, 2, 0, NumberFn::Minimum)
    },
    /// How the initiator wants terminated tasks to be reported.
    TaskReporting = KeySpec {
        kind: KeyKind::List { default: Some("RFC3720") },
        ..number("TaskReporting", 0, 0, 0, NumberFn::Minimum)
    },
    /// RFC 7144 §7.1.1.
    ISCSIProtocolLevel = number("iSCSIProtocolLevel", 0, 31, 1, NumberFn::Minimum),

    /// RFC 3720's markers.
    IFMarker = obsolete("IFMarker"),
    /// RFC 3720's markers.
    OFMarker = obsolete("OFMarker"),
    /// RFC 3720's markers.
    IFMarkInt = obsolete("IFMarkInt"),
    /// RFC 3720's markers.
    OFMarkInt = obsolete("OFMarkInt"),
}

/// A declared text that may come in any stage.
const fn any(name: &'static str, usage: Use, senders: Senders, scope: Scope) -> KeySpec {
    let kind = KeyKind::Text;
    KeySpec {
        name,
        usage,
        senders,
        scope,
        kind,
        any_stage: true,
        not_in_discovery: false,
    }
}

const fn security(name: &'static str, kind: KeyKind) -> KeySpec {
    KeySpec {
        kind,
        any_stage: false,
        ..any(name, Security, Both, Connection)
    }
}

const fn digest(name: &'static str) -> KeySpec {
    let kind = KeyKind::List {
        default: Some("None"),
    };
    KeySpec {
        kind,
        any_stage: false,
        ..any(name, InitializeOnly, Both, Connection)
    }
}

/// A number of the operational negotiation that means nothing in discovery sessions.
const fn number(
    name: &'static str,
    min: u32,
    max: u32,
    default: u32,
    function: NumberFn,
) -> KeySpec {
    let kind = KeyKind::Number {
        min,
        max,
        default,
        function,
    };
    KeySpec {
        kind,
        any_stage: false,
        not_in_discovery: true,
        ..any(name, LeadingOnly, Both, Session)
    }
}

const fn boolean(name: &'static str, default: bool, function: BooleanFn) -> KeySpec {
    let kind = KeyKind::Boolean { default, function };
    KeySpec {
        kind,
        ..number(name, 0, 0, 0, NumberFn::Minimum)
    }
}

const fn obsolete(name: &'static str) -> KeySpec {
    KeySpec {
        any_stage: false,
        ..any(name, Obsolete, Both, Connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::pairs;

    #[test]
    fn names_are_keys_and_unique() {
        for (n, key) in Key::ALL.iter().enumerate() {
            assert_eq!(Key::from_name(key.name()), Some(*key));
            assert!(
                pairs(alloc::format!("{key}=x\0").as_bytes())
                    .next()
                    .unwrap()
                    .is_ok()
            );
            assert!(Key::ALL[..n].iter().all(|other| other.name() != key.name()));
        }
        assert_eq!(Key::from_name("maxburstlength"), None);
    }

    #[test]
    fn defaults_are_in_range() {
        for key in Key::ALL {
            match key.spec().kind {
                KeyKind::Number {
                    min, max, default, ..
                } => {
                    assert!((min..=max).contains(&default), "{key}");
                }
                KeyKind::DeclaredNumber {
                    min,
                    max,
                    default: Some(default),
                } => {
                    assert!((min..=max).contains(&default), "{key}");
                }
                _ => {}
            }
        }
    }
}

//! Stages and outcomes of a login (RFC 7143 §6.3, §11.13.5).

use core::fmt;

/// The stages of a login, CSG and NSG on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// SecurityNegotiation.
    Security = 0,
    /// LoginOperationalNegotiation.
    Operational = 1,
    /// FullFeaturePhase.
    FullFeature = 3,
}

impl Stage {
    /// The stage of the two low bits; `None` for the reserved stage 2.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            0 => Some(Self::Security),
            1 => Some(Self::Operational),
            3 => Some(Self::FullFeature),
            _ => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Security => "SecurityNegotiation",
            Self::Operational => "LoginOperationalNegotiation",
            Self::FullFeature => "FullFeaturePhase",
        })
    }
}

/// Defines the outcomes with class, detail and the standard's name.
macro_rules! statuses {
    ($($(#[$meta:meta])* $variant:ident = ($class:literal, $detail:literal) => $text:literal,)+) => {
        /// Status-Class and Status-Detail of a Login Response. Displays as the name that
        /// the standard gives it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LoginStatus {
            $($(#[$meta])* $variant,)+
            /// A pair without a name here; the class still says whose fault it is.
            Other {
                /// Status-Class.
                class: u8,
                /// Status-Detail.
                detail: u8,
            },
        }

        impl LoginStatus {
            /// The status of the two bytes of a Login Response.
            #[must_use]
            pub const fn new(class: u8, detail: u8) -> Self {
                match (class, detail) {
                    $(($class, $detail) => Self::$variant,)+
                    _ => Self::Other { class, detail },
                }
            }

            const fn pair(self) -> (u8, u8) {
                match self {
                    $(Self::$variant => ($class, $detail),)+
                    Self::Other { class, detail } => (class, detail),
                }
            }
        }

        impl fmt::Display for LoginStatus {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)+
                    Self::Other { class, detail } => {
                        write!(f, "login status {class:#04x}{detail:02x}")
                    }
                }
            }
        }
    };
}

statuses! {
    /// The login goes on, or is done.
    Success = (0, 0) => "success",
    /// TargetAddress tells where the target has moved for now.
    TargetMovedTemporarily = (1, 1) => "target moved temporarily",
    /// TargetAddress tells where the target has moved for good.
    TargetMovedPermanently = (1, 2) => "target moved permanently",
    /// Any other error of the initiator's.
    InitiatorError = (2, 0) => "initiator error",
    /// Wrong name or secret, or the method isn't acceptable.
    AuthenticationFailure = (2, 1) => "authentication failure",
    /// The initiator may not use this target.
    AuthorizationFailure = (2, 2) => "authorization failure",
    /// There is no such target here.
    NotFound = (2, 3) => "not found",
    /// The target was removed for good.
    TargetRemoved = (2, 4) => "target removed",
    /// No common protocol version.
    UnsupportedVersion = (2, 5) => "unsupported version",
    /// Too many connections in this session.
    TooManyConnections = (2, 6) => "too many connections",
    /// A mandatory key is missing.
    MissingParameter = (2, 7) => "missing parameter",
    /// The session can't include this connection.
    CannotIncludeInSession = (2, 8) => "can't include in session",
    /// The session type isn't supported.
    SessionTypeNotSupported = (2, 9) => "session type not supported",
    /// TSIH names no session.
    SessionDoesNotExist = (2, 10) => "session does not exist",
    /// A PDU that has no place in a login.
    InvalidDuringLogin = (2, 11) => "invalid request type during login",
    /// An error in the target.
    TargetError = (3, 0) => "target error",
    /// The service isn't available now.
    ServiceUnavailable = (3, 1) => "service unavailable",
    /// The target has no resources left now.
    OutOfResources = (3, 2) => "out of resources",
}

/// The kind of a Login Response's status: its Status-Class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginClass {
    /// 0.
    Success,
    /// 1: try the address given.
    Redirection,
    /// 2: trying the same again won't help.
    InitiatorError,
    /// 3: trying again later may help.
    TargetError,
    /// A class unknown here.
    Unknown,
}

impl LoginStatus {
    /// Status-Class.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.pair().0
    }

    /// Status-Detail.
    #[must_use]
    pub const fn detail(self) -> u8 {
        self.pair().1
    }

    /// The kind of the status by its class.
    #[must_use]
    pub const fn kind(self) -> LoginClass {
        match self.class() {
            0 => LoginClass::Success,
            1 => LoginClass::Redirection,
            2 => LoginClass::InitiatorError,
            3 => LoginClass::TargetError,
            _ => LoginClass::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_comes_back() {
        for (class, detail) in (0..=255).flat_map(|c| (0..=255).map(move |d| (c, d))) {
            let status = LoginStatus::new(class, detail);
            assert_eq!((status.class(), status.detail()), (class, detail));
        }
    }

    #[test]
    fn names() {
        assert_eq!(alloc::format!("{}", LoginStatus::new(2, 3)), "not found");
        assert_eq!(
            alloc::format!("{}", LoginStatus::new(2, 0x7f)),
            "login status 0x027f"
        );
        assert_eq!(LoginStatus::new(2, 0x7f).kind(), LoginClass::InitiatorError);
        assert_eq!(LoginStatus::new(1, 1).kind(), LoginClass::Redirection);
        assert_eq!(Stage::from_bits(0xfe), None);
    }
}

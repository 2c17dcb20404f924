//! The parts of a key's definition (RFC 7143 §13), and the functions by which two sides
//! agree on one value.

use super::{TextError, value};

/// A key's definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// The key as written in text.
    pub name: &'static str,
    /// The phase and the connection in which it may appear.
    pub usage: Use,
    /// The sides that may send it.
    pub senders: Senders,
    /// The scope of its value.
    pub scope: Scope,
    /// Its values, and how the result is found.
    pub kind: KeyKind,
    /// Whether it may also appear in the SecurityNegotiation stage.
    pub any_stage: bool,
    /// Whether it has no meaning in a discovery session.
    pub not_in_discovery: bool,
}

/// When a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// LO: in the login of a session's leading connection.
    LeadingOnly,
    /// IO: in any login.
    InitializeOnly,
    /// ALL: in logins and in the full feature phase.
    All,
    /// FFPO: in the full feature phase only.
    FullFeatureOnly,
    /// In the SecurityNegotiation stage only (RFC 7143 §12).
    Security,
    /// The key is obsolete: answer `Reject`, never `NotUnderstood` (RFC 7143 §13.25).
    Obsolete,
}

/// The sides that may send a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Senders {
    /// Only initiators.
    Initiator,
    /// Only targets.
    Target,
    /// Both sides.
    Both,
}

/// The scope of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// SW: the session.
    Session,
    /// CO: the connection.
    Connection,
}

/// The values of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Declared text; needs no answer.
    Text,
    /// Declared number; needs no answer.
    DeclaredNumber {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
        /// Value when not declared, where there is one.
        default: Option<u32>,
    },
    /// A number that both sides agree on.
    Number {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
        /// Value when not negotiated.
        default: u32,
        /// How the result is found.
        function: NumberFn,
    },
    /// A boolean that both sides agree on.
    Boolean {
        /// Value when not negotiated.
        default: bool,
        /// How the result is found.
        function: BooleanFn,
    },
    /// A list of which the responder picks one value.
    List {
        /// Value when not negotiated, where there is one.
        default: Option<&'static str>,
    },
    /// A binary value of the security negotiation.
    Binary,
    /// A number of the security negotiation.
    SecurityNumber,
}

/// How two numbers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFn {
    /// The smaller.
    Minimum,
    /// The larger.
    Maximum,
}

impl NumberFn {
    /// The result of an offer and the responder's own value.
    #[must_use]
    pub fn select(self, offered: u32, own: u32) -> u32 {
        match self {
            Self::Minimum => offered.min(own),
            Self::Maximum => offered.max(own),
        }
    }

    /// True when a responder may answer `answer` to `offered`.
    #[must_use]
    pub const fn admits(self, offered: u32, answer: u32) -> bool {
        match self {
            Self::Minimum => answer <= offered,
            Self::Maximum => answer >= offered,
        }
    }
}

/// How two booleans become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BooleanFn {
    /// Yes when both say so.
    And,
    /// Yes when one says so.
    Or,
}

impl BooleanFn {
    /// The result of an offer and the responder's own value.
    #[must_use]
    pub const fn select(self, offered: bool, own: bool) -> bool {
        match self {
            Self::And => offered && own,
            Self::Or => offered || own,
        }
    }

    /// True when a responder may answer `answer` to `offered`.
    #[must_use]
    pub const fn admits(self, offered: bool, answer: bool) -> bool {
        match self {
            Self::And => offered || !answer,
            Self::Or => answer || !offered,
        }
    }
}

impl KeySpec {
    /// Reads a number that this key may have.
    ///
    /// # Errors
    /// [`TextError::Expected`] when the value is no number or out of range, or the key
    /// takes no number.
    pub fn number(&self, text: &str) -> Result<u32, TextError> {
        match self.kind {
            KeyKind::Number { min, max, .. } | KeyKind::DeclaredNumber { min, max, .. } => {
                value::number_in(text, min, max)
            }
            _ => Err(TextError::Expected("for this key")),
        }
    }

    /// Checks a responder's answer to this side's offer of a number.
    ///
    /// # Errors
    /// [`TextError::Expected`] when the answer is no number, out of range, or not a
    /// possible result.
    pub fn answered_number(&self, offered: u32, answer: &str) -> Result<u32, TextError> {
        let answer = self.number(answer)?;
        match self.kind {
            KeyKind::Number { function, .. } if !function.admits(offered, answer) => {
                Err(TextError::Expected("a possible result of the negotiation"))
            }
            _ => Ok(answer),
        }
    }

    /// Checks a responder's answer to this side's offer of a boolean.
    ///
    /// # Errors
    /// [`TextError::Expected`] when the answer is no boolean or not a possible result.
    pub fn answered_boolean(&self, offered: bool, answer: &str) -> Result<bool, TextError> {
        let answer = value::boolean(answer)?;
        match self.kind {
            KeyKind::Boolean { function, .. } if function.admits(offered, answer) => Ok(answer),
            KeyKind::Boolean { .. } => {
                Err(TextError::Expected("a possible result of the negotiation"))
            }
            _ => Err(TextError::Expected("for this key")),
        }
    }

    /// Checks a responder's pick from this side's list.
    ///
    /// # Errors
    /// [`TextError::Expected`] when the answer isn't one of the values offered.
    pub fn answered_list<'a>(&self, offered: &str, answer: &'a str) -> Result<&'a str, TextError> {
        if value::list(offered)?.any(|v| v == answer) {
            Ok(answer)
        } else {
            Err(TextError::Expected("one of the values offered"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_outside_the_function_are_refused() {
        let burst = Key::MaxBurstLength.spec();
        assert_eq!(burst.answered_number(65536, "4096"), Ok(4096));
        assert!(burst.answered_number(65536, "65537").is_err());
        assert!(burst.answered_number(65536, "511").is_err());
        let wait = Key::DefaultTime2Wait.spec();
        assert!(wait.answered_number(5, "4").is_err());
        assert_eq!(wait.answered_number(5, "6"), Ok(6));
        let immediate = Key::ImmediateData.spec();
        assert!(immediate.answered_boolean(false, "Yes").is_err());
        assert_eq!(immediate.answered_boolean(true, "No"), Ok(false));
        let r2t = Key::InitialR2T.spec();
        assert!(r2t.answered_boolean(true, "No").is_err());
        let digest = Key::HeaderDigest.spec();
        assert_eq!(digest.answered_list("CRC32C,None", "None"), Ok("None"));
        assert!(digest.answered_list("None", "CRC32C").is_err());
        assert!(digest.answered_number(1, "1").is_err());
    }

    proptest! {
        #[test]
        fn every_result_is_admissible(a: u32, b: u32, p: bool, q: bool) {
            for function in [NumberFn::Minimum, NumberFn::Maximum] {
                prop_assert!(function.admits(a, function.select(a, b)));
                prop_assert_eq!(function.select(a, b), function.select(b, a));
            }
            for function in [BooleanFn::And, BooleanFn::Or] {
                prop_assert!(function.admits(p, function.select(p, q)));
            }
        }
    }
}

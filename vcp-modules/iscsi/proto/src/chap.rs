//! CHAP (RFC 7143 §12.1.3, RFC 1994): each side proves that it knows a secret, which
//! never goes over the wire.
//!
//! | key | meaning |
//! |---|---|
//! | CHAP_A | algorithms offered, or the one chosen |
//! | CHAP_I | identifier of a challenge, one byte |
//! | CHAP_C | challenge, 1 to 1024 bytes |
//! | CHAP_N | name of the side that answers |
//! | CHAP_R | answer: the digest of identifier, secret and challenge |
//!
//! The caller makes challenges of good randomness, never reuses one, refuses a peer
//! that sends back the challenge it was sent, and keeps one secret per direction.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq as _;

use crate::text::{TextError, value};

/// Longest challenge in bytes.
pub const MAX_CHALLENGE_LEN: usize = 1024;

/// Longest name in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// The shortest secret that an implementation must be able to demand, in bytes
/// (RFC 7143 §9.2.1: 96 bits).
pub const MIN_SECRET_LEN: usize = 12;

/// Hash algorithms, by the numbers of IANA's PPP authentication registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// 5: MD5, which everyone has.
    Md5,
    /// 7: SHA-256.
    Sha256,
}

impl Algorithm {
    /// All algorithms, the better one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The number in CHAP_A.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Md5 => 5,
            Self::Sha256 => 7,
        }
    }

    /// The algorithm of a number in CHAP_A; `None` if it is unknown here.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            5 => Some(Self::Md5),
            7 => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Length of a response in bytes.
    #[must_use]
    pub const fn response_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 => 32,
        }
    }

    /// The first algorithm of CHAP_A's list that is in `allowed`; `None` when there is
    /// none, and the login fails.
    ///
    /// # Errors
    /// [`TextError`] when the list is malformed.
    pub fn choose(offer: &str, allowed: &[Self]) -> Result<Option<Self>, TextError> {
        let mut chosen = None;
        for number in value::list(offer)? {
            let algorithm = Self::from_number(value::number(number)?);
            chosen = chosen.or(algorithm.filter(|a| allowed.contains(a)));
        }
        Ok(chosen)
    }

    /// The response to a challenge.
    #[must_use]
    pub fn respond(self, id: u8, secret: &[u8], challenge: &[u8]) -> Response {
        let mut bytes = [0; 32];
        let out = &mut bytes[..self.response_len()];
        match self {
            Self::Md5 => out.copy_from_slice(&hash::<md5::Md5>(id, secret, challenge)),
            Self::Sha256 => out.copy_from_slice(&hash::<sha2::Sha256>(id, secret, challenge)),
        }
        Response {
            bytes,
            algorithm: self,
        }
    }

    /// Reads CHAP_R.
    ///
    /// # Errors
    /// [`TextError::Expected`] when it isn't a binary value of the algorithm's length.
    pub fn parse_response(self, text: &str) -> Result<Response, TextError> {
        let given = value::binary(text, self.response_len())?;
        if given.len() != self.response_len() {
            return Err(TextError::Expected("a response of the algorithm's length"));
        }
        let mut bytes = [0; 32];
        bytes[..given.len()].copy_from_slice(&given);
        Ok(Response {
            bytes,
            algorithm: self,
        })
    }
}

fn hash<D: md5::Digest>(id: u8, secret: &[u8], challenge: &[u8]) -> md5::digest::Output<D> {
    D::new()
        .chain_update([id])
        .chain_update(secret)
        .chain_update(challenge)
        .finalize()
}

/// CHAP_R: what a side answers to a challenge. Not comparable with `==`, see
/// [`matches`](Self::matches).
#[derive(Clone, Copy)]
pub struct Response {
    bytes: [u8; 32],
    algorithm: Algorithm,
}

impl Response {
    /// The response's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.response_len()]
    }

    /// Compares without telling by its duration where the difference lies.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// The value of CHAP_R, in hexadecimal.
    #[must_use]
    pub fn to_text(&self) -> String {
        value::hex(self.as_bytes())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Reads CHAP_I.
///
/// # Errors
/// [`TextError::Expected`] unless it is a number below 256.
pub fn parse_id(text: &str) -> Result<u8, TextError> {
    value::number_in(text, 0, 255).map(|id| id as u8)
}

/// Reads CHAP_C.
///
/// # Errors
/// [`TextError::Expected`] unless it is a binary value of 1 to 1024 bytes.
pub fn parse_challenge(text: &str) -> Result<Vec<u8>, TextError> {
    value::binary(text, MAX_CHALLENGE_LEN)
}

/// The value of CHAP_C, in hexadecimal.
#[must_use]
pub fn challenge_text(challenge: &[u8]) -> String {
    value::hex(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// MD5 and SHA-256 of 01 ‖ "secret" ‖ 00 01 … 0f, from Python's hashlib.
    #[test]
    fn known_answers() {
        let challenge: Vec<u8> = (0..16).collect();
        let md5 = Algorithm::Md5.respond(1, b"secret", &challenge);
        assert_eq!(md5.to_text(), "0x740e86463bda3a4d7017d6e0fba0699d");
        let sha = Algorithm::Sha256.respond(1, b"secret", &challenge);
        assert_eq!(
            sha.to_text(),
            "0x28b96c916cf784528bbfaa6ad7e012cab293437604aae8d66a3295b319132cef"
        );
    }

    #[test]
    fn the_first_allowed_algorithm_is_chosen() {
        let choose = |offer| Algorithm::choose(offer, &Algorithm::ALL);
        assert_eq!(choose("6,5,7"), Ok(Some(Algorithm::Md5)));
        assert_eq!(choose("0x7,5"), Ok(Some(Algorithm::Sha256)));
        assert_eq!(choose("8"), Ok(None));
        assert_eq!(
            Algorithm::choose("5,7", &[Algorithm::Sha256]),
            Ok(Some(Algorithm::Sha256))
        );
        assert!(choose("5,x").is_err());
        assert!(choose("").is_err());
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(parse_id("255"), Ok(255));
        assert!(parse_id("256").is_err());
        assert!(parse_challenge("0x").is_err());
        assert_eq!(
            parse_challenge(&value::hex(&[7; 1024])).unwrap().len(),
            1024
        );
        assert!(parse_challenge(&value::base64(&[7; 1025])).is_err());
        assert!(
            Algorithm::Md5
                .parse_response(&value::hex(&[0; 15]))
                .is_err()
        );
        assert!(
            Algorithm::Md5
                .parse_response(&value::hex(&[0; 17]))
                .is_err()
        );
        assert!(
            Algorithm::Sha256
                .parse_response(&value::base64(&[0; 32]))
                .is_ok()
        );
    }

    proptest! {
        #[test]
        fn right_secret_matches_and_wrong_one_does_not(
            id: u8, secret: Vec<u8>, challenge in prop::collection::vec(any::<u8>(), 1..64),
        ) {
            for algorithm in Algorithm::ALL {
                let expected = algorithm.respond(id, &secret, &challenge);
                let sent = algorithm.parse_response(&expected.to_text()).unwrap();
                prop_assert!(expected.matches(&sent));
                let wrong = algorithm.respond(id, b"another secret", &challenge);
                prop_assert!(!wrong.matches(&sent) || secret == b"another secret");
            }
            let read = parse_challenge(&challenge_text(&challenge));
            prop_assert_eq!(read, Ok(challenge));
        }
    }
}

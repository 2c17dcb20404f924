//! CHAP from the target's side (RFC 1994, RFC 7143 §12.1.3): challenges the
//! initiator, checks its answer, and answers its challenge in turn.

use md5::Md5;
use sha2::{Digest, Sha256};

/// Hash algorithms by their number in the CHAP registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChapAlgorithm {
    /// MD5, number 5.
    Md5,
    /// SHA-256, number 7.
    Sha256,
}

impl ChapAlgorithm {
    const fn number(self) -> &'static str {
        match self {
            Self::Md5 => "5",
            Self::Sha256 => "7",
        }
    }

    fn response(self, identifier: u8, secret: &[u8], challenge: &[u8]) -> Vec<u8> {
        fn hash<D: Digest>(parts: [&[u8]; 3]) -> Vec<u8> {
            parts
                .iter()
                .fold(D::new(), |hash, part| hash.chain_update(part))
                .finalize()
                .to_vec()
        }
        let parts = [&[identifier][..], secret, challenge];
        match self {
            Self::Md5 => hash::<Md5>(parts),
            Self::Sha256 => hash::<Sha256>(parts),
        }
    }
}

/// A name and its secret. The secret is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, CHAP_N.
    pub name: String,
    /// The secret; RFC 7143 requires 12 bytes or more.
    pub secret: Vec<u8>,
}

impl Credentials {
    /// A name and its secret.
    #[must_use]
    pub fn new(name: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            secret: secret.into(),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The authentication of initiators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chap {
    /// The initiator's credentials.
    pub initiator: Credentials,
    /// The target's credentials, if it can answer a challenge.
    pub target: Option<Credentials>,
    /// The accepted algorithms; the initiator's order of preference counts.
    pub algorithms: Vec<ChapAlgorithm>,
    /// Whether discovery sessions must authenticate themselves, too.
    pub discovery: bool,
}

impl Chap {
    /// One-way authentication with either algorithm; discovery needs none.
    #[must_use]
    pub fn new(initiator: Credentials) -> Self {
        let algorithms = vec![ChapAlgorithm::Md5, ChapAlgorithm::Sha256];
        Self {
            initiator,
            target: None,
            algorithms,
            discovery: false,
        }
    }
}

/// Why an authentication failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChapError {
    /// There is no common algorithm.
    #[error("no common CHAP algorithm")]
    Algorithm,
    /// The name or response is wrong.
    #[error("wrong CHAP name or response")]
    Wrong,
    /// The keys are malformed, or not those of this step.
    #[error("{0}")]
    Malformed(&'static str),
}

/// The target's side of one exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    chap: Chap,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitAlgorithms,
    AwaitResponse {
        algorithm: ChapAlgorithm,
        identifier: u8,
        challenge: Vec<u8>,
    },
    Done,
}

/// The keys of an answer.
type Reply = Vec<(&'static str, String)>;

/// The longest binary value in a CHAP key, in bytes (RFC 7143 §12.1.3).
const MAX_BINARY: usize = 1024;

impl Exchange {
    pub(crate) fn new(chap: Chap) -> Self {
        Self {
            chap,
            state: State::AwaitAlgorithms,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Handles the CHAP keys of one request, all of them at once.
    pub(crate) fn step(&mut self, keys: &[(String, String)]) -> Result<Reply, ChapError> {
        let value = |name: &str| {
            keys.iter()
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.as_str())
        };
        match &self.state {
            State::AwaitAlgorithms => {
                let list = value("CHAP_A").ok_or(ChapError::Malformed("CHAP_A is missing"))?;
                self.challenge(list)
            }
            State::AwaitResponse {
                algorithm,
                identifier,
                challenge,
            } => {
                let own = (*algorithm, *identifier, challenge.clone());
                let (Some(name), Some(response)) = (value("CHAP_N"), value("CHAP_R")) else {
                    return Err(ChapError::Malformed("CHAP_N or CHAP_R is missing"));
                };
                self.verify(&own, name, response)?;
                let reply = match (value("CHAP_I"), value("CHAP_C")) {
                    (None, None) => Vec::new(),
                    (Some(id), Some(challenge)) => self.answer(&own, id, challenge)?,
                    _ => return Err(ChapError::Malformed("CHAP_I and CHAP_C go together")),
                };
                self.state = State::Done;
                Ok(reply)
            }
            State::Done => Err(ChapError::Malformed("the authentication has ended")),
        }
    }

    fn challenge(&mut self, list: &str) -> Result<Reply, ChapError> {
        let known = |number| self.chap.algorithms.iter().find(|a| a.number() == number);
        let algorithm = *list
            .split(',')
            .find_map(known)
            .ok_or(ChapError::Algorithm)?;
        let mut random = [0; 33];
        getrandom::fill(&mut random).map_err(|_| ChapError::Malformed("no randomness"))?;
        let (identifier, challenge) = (random[0], random[1..].to_vec());
        let reply = vec![
            ("CHAP_A", algorithm.number().to_owned()),
            ("CHAP_I", identifier.to_string()),
            ("CHAP_C", hex(&challenge)),
        ];
        self.state = State::AwaitResponse {
            algorithm,
            identifier,
            challenge,
        };
        Ok(reply)
    }

    fn verify(
        &self,
        (algorithm, identifier, challenge): &(ChapAlgorithm, u8, Vec<u8>),
        name: &str,
        response: &str,
    ) -> Result<(), ChapError> {
        let response = binary(response).ok_or(ChapError::Malformed("CHAP_R is malformed"))?;
        let wanted = algorithm.response(*identifier, &self.chap.initiator.secret, challenge);
        if name == self.chap.initiator.name && response == wanted {
            Ok(())
        } else {
            Err(ChapError::Wrong)
        }
    }

    fn answer(
        &self,
        (algorithm, _, own): &(ChapAlgorithm, u8, Vec<u8>),
        identifier: &str,
        challenge: &str,
    ) -> Result<Reply, ChapError> {
        let malformed = ChapError::Malformed("CHAP_I or CHAP_C is malformed");
        let identifier = number(identifier).ok_or(malformed)?;
        let identifier = u8::try_from(identifier).map_err(|_| malformed)?;
        let challenge = binary(challenge)
            .filter(|c| !c.is_empty())
            .ok_or(malformed)?;
        if challenge == *own {
            // RFC 7143 §12.1.3: a reflected challenge ends the login.
            return Err(ChapError::Malformed("the challenge was sent back"));
        }
        let Some(target) = &self.chap.target else {
            return Err(ChapError::Malformed(
                "this target cannot authenticate itself",
            ));
        };
        let response = algorithm.response(identifier, &target.secret, &challenge);
        Ok(vec![
            ("CHAP_N", target.name.clone()),
            ("CHAP_R", hex(&response)),
        ])
    }
}

/// Parses a number of a text value: decimal, or hexadecimal after `0x`.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Parses a binary value: hexadecimal after `0x`, Base64 after `0b`.
fn binary(text: &str) -> Option<Vec<u8>> {
    let (prefix, digits) = text.split_at_checked(2)?;
    let bytes = match prefix {
        "0x" | "0X" => unhex(digits)?,
        "0b" | "0B" => unbase64(digits)?,
        _ => return None,
    };
    (bytes.len() <= MAX_BINARY).then_some(bytes)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |&b: &u8| (b as char).to_digit(16).map(|d| d as u8);
    let digits: Vec<u8> = digits.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    // An odd number of digits lacks a leading zero.
    let (head, pairs) = digits.split_at(digits.len() % 2);
    Some(
        head.iter()
            .copied()
            .chain(pairs.chunks(2).map(|p| p[0] << 4 | p[1]))
            .collect(),
    )
}

fn unbase64(digits: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |b: u8| ALPHABET.iter().position(|&a| a == b).map(|p| p as u32);
    let mut out = Vec::with_capacity(digits.len() / 4 * 3);
    for group in digits.trim_end_matches('=').as_bytes().chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let add = |bits: u32, &b: &u8| Some(bits << 6 | value(b)?);
        let bits = group.iter().try_fold(0, add)? << (6 * (4 - group.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn get<'a>(reply: &'a Reply, name: &str) -> &'a str {
        &reply.iter().find(|(key, _)| *key == name).unwrap().1
    }

    fn chap() -> Chap {
        let target = Some(Credentials::new("disk", "target's own secret"));
        Chap {
            target,
            ..Chap::new(Credentials::new("me", "initiator secret"))
        }
    }

    /// Plays the initiator, and returns the last reply.
    fn run(offer: &str, secret: &str, mutual: bool) -> Result<Reply, ChapError> {
        let mut exchange = Exchange::new(chap());
        let first = exchange.step(&keys(&[("CHAP_A", offer)]))?;
        let algorithm = match get(&first, "CHAP_A") {
            "5" => ChapAlgorithm::Md5,
            _ => ChapAlgorithm::Sha256,
        };
        let id = number(get(&first, "CHAP_I")).unwrap() as u8;
        let challenge = binary(get(&first, "CHAP_C")).unwrap();
        let response = hex(&algorithm.response(id, secret.as_bytes(), &challenge));
        let mut answer = vec![("CHAP_N", "me"), ("CHAP_R", &response)];
        if mutual {
            answer.extend([("CHAP_I", "9"), ("CHAP_C", "0bAAEC")]);
        }
        let reply = exchange.step(&keys(&answer))?;
        assert!(exchange.is_done());
        if mutual {
            let wanted = algorithm.response(9, b"target's own secret", &[0, 1, 2]);
            assert_eq!(binary(get(&reply, "CHAP_R")).unwrap(), wanted);
        }
        Ok(reply)
    }

    #[test]
    fn both_ways_with_both_hashes() {
        assert_eq!(run("5", "initiator secret", false), Ok(vec![]));
        assert_eq!(run("7", "initiator secret", true).unwrap()[0].1, "disk");
        assert_eq!(run("6,7,5", "initiator secret", true).unwrap()[0].1, "disk");
    }

    #[test]
    fn wrong_secret_and_unknown_algorithm() {
        assert_eq!(run("5", "another secret", true), Err(ChapError::Wrong));
        assert_eq!(
            run("6", "initiator secret", true),
            Err(ChapError::Algorithm)
        );
    }

    #[test]
    fn reflection_is_refused() {
        let mut exchange = Exchange::new(chap());
        let first = exchange.step(&keys(&[("CHAP_A", "5")])).unwrap();
        let (id, challenge) = (get(&first, "CHAP_I"), get(&first, "CHAP_C"));
        let right = ChapAlgorithm::Md5.response(
            number(id).unwrap() as u8,
            b"initiator secret",
            &binary(challenge).unwrap(),
        );
        let right = hex(&right);
        let answer = keys(&[
            ("CHAP_N", "me"),
            ("CHAP_R", &right),
            ("CHAP_I", id),
            ("CHAP_C", challenge),
        ]);
        assert!(matches!(
            exchange.step(&answer),
            Err(ChapError::Malformed(_))
        ));
    }

    #[test]
    fn known_answer() {
        // RFC 1994 leaves the hash to RFC 1321: MD5 of 01, "abc", 02 03.
        let response = ChapAlgorithm::Md5.response(1, b"abc", &[2, 3]);
        assert_eq!(response, Md5::digest([1, b'a', b'b', b'c', 2, 3]).to_vec());
    }

    #[test]
    fn binary_values() {
        assert_eq!(binary("0xABc"), Some(vec![0x0A, 0xBC]));
        assert_eq!(binary("0bZm9vYg=="), Some(b"foob".to_vec()));
        assert_eq!(binary("0bZm9vYmE="), Some(b"fooba".to_vec()));
        for bad in ["", "0", "0xg", "0bA", "0bZm*v", "abc"] {
            assert_eq!(binary(bad), None, "{bad}");
        }
        assert_eq!(binary(&format!("0x{}", "00".repeat(1025))), None);
    }
}

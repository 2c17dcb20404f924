//! The protocol of a control socket: one request a line, one answer a line, each a JSON
//! object with the protocol's version `v`.
//!
//! ```text
//! {"v":1,"verb":"inspect","vcp":"disk0"}
//! {"v":1,"ok":{…}}
//! {"v":1,"error":{"kind":"no-such-vcp","message":"…"}}
//! {"v":1,"ok":{…},"bytes":65536}      followed by that many raw bytes
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the protocol, `v` in every line.
pub const VERSION: u64 = 1;

/// The longest request, in bytes: a path is at most 4096.
pub(crate) const LONGEST_REQUEST: usize = 16 << 10;

/// The longest answer, in bytes. Its parts are bounded by the host: the longest
/// is a crash report, with 256 queue entries and a backtrace of 128 lines.
pub(crate) const LONGEST_ANSWER: usize = 4 << 20;

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "verb",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Request {
    /// Reports the host and all its VCPs: [`crate::report::Host`].
    Ps {},
    /// Reports everything about one VCP: [`crate::report::Inspection`].
    Inspect {
        /// The VCP's name.
        vcp: String,
    },
    /// Lists the crash reports: [`crate::report::Logs`].
    Logs {
        /// The VCP's name.
        vcp: String,
    },
    /// Returns one crash report: [`crate::report::Crash`]; with `core`, the core dump's
    /// bytes follow.
    Crash {
        /// The VCP's name.
        vcp: String,
        /// The report's number; without it, the newest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// Whether to send the core dump too; refused if the report has none.
        #[serde(default)]
        core: bool,
    },
    /// Replaces the running version by a new one: [`crate::report::Reload`].
    Reload {
        /// The VCP's name.
        vcp: String,
        /// The absolute path of the component's file on the host, or the name of a
        /// built-in module; without it, the running module is read again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module: Option<String>,
    },
    /// Reads the configuration of a host that runs as a service again:
    /// [`crate::report::Reconfigured`].
    ReloadAll {},
    /// Starts a fresh instance of the same module: [`crate::report::Done`]. Revives a VCP
    /// that is held.
    Restart {
        /// The VCP's name.
        vcp: String,
    },
    /// Has the VCP examine its device again, above all its size:
    /// [`crate::report::Rescan`].
    Rescan {
        /// The VCP's name.
        vcp: String,
    },
    /// Lists the clients of its exports: [`crate::report::Clients`].
    Clients {
        /// A VCP, or an export to list only that one's clients; if both have this name,
        /// the VCP.
        name: String,
    },
    /// Ends a client's connection: [`crate::report::Done`].
    EndClient {
        /// A VCP or an export, as for `clients`.
        name: String,
        /// The client's number.
        client: u64,
    },
    /// Stops the VCP for good: [`crate::report::Done`].
    Stop {
        /// The VCP's name.
        vcp: String,
    },
    /// Makes the VCP fail: [`crate::report::Done`].
    Inject {
        /// The VCP's name.
        vcp: String,
        /// The kind of fault, by a word that the host knows.
        fault: String,
    },
    /// Changes budgets and limits, all or none: [`crate::report::Done`].
    Set {
        /// A VCP or an export; if both have this name, the VCP. Limits of a VCP apply to
        /// all its exports.
        name: String,
        /// Changes in the form `KEY=VALUE`, with words that the host knows.
        changes: Vec<String>,
    },
    /// Attaches an export as a kernel block device: [`crate::report::Device`].
    Attach {
        /// An export, or a VCP that has only one.
        name: String,
        /// `/dev/nbdX`; without it, the next free one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// The number of connections; without it, as for the keys below, the value is
        /// that of the export's configuration, or the default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connections: Option<u32>,
        /// Refuse writes, even if the export allows them.
        #[serde(default)]
        read_only: bool,
        /// The timeout, as the configuration file has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<String>,
        /// The dead-timeout, as the configuration file has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_timeout: Option<String>,
    },
    /// Detaches a block device: [`crate::report::Detached`].
    Detach {
        /// `/dev/nbdX`, or the export.
        device: String,
        /// Detach even if it is in use, or data can't be written.
        #[serde(default)]
        force: bool,
    },
    /// Reports all counters at one moment: a snapshot, as `vcp-meter` defines it.
    Stats {},
}

impl Request {
    /// The line to send.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).expect("requests are strings and numbers");
        envelope(value.as_object().cloned().unwrap_or_default())
    }

    /// Parses a line that a client sent.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let bad = |why: String| Refusal::new(RefusalKind::BadRequest, why);
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| bad(format!("expected one JSON object in one line: {error}")))?;
        let Value::Object(mut object) = value else {
            return Err(bad("expected a JSON object".to_owned()));
        };
        match object.remove("v") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(_) => {
                let why = format!("this host speaks version {VERSION} of the protocol only");
                return Err(Refusal::new(RefusalKind::Version, why));
            }
            None => return Err(bad("\"v\": missing; expected the protocol's version".into())),
        }
        serde_json::from_value(Value::Object(object)).map_err(|error| bad(error.to_string()))
    }

    /// How long the answer may take before the host counts as stuck. Requests that wait
    /// for something are bounded by the host's own limits.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Request::Ps {} | Request::Stats {} | Request::Inspect { .. } | Request::Logs { .. } => {
                Duration::from_secs(5)
            }
            Request::Clients { .. } | Request::EndClient { .. } => Duration::from_secs(15),
            Request::Crash { .. } | Request::Inject { .. } | Request::Set { .. } => {
                Duration::from_secs(30)
            }
            Request::Restart { .. }
            | Request::Rescan { .. }
            | Request::Stop { .. }
            | Request::Attach { .. }
            | Request::Detach { .. } => Duration::from_secs(60),
            // A reload has a minute to drain, ten to become ready, and time to compile.
            Request::Reload { .. } | Request::ReloadAll {} => Duration::from_secs(15 * 60),
        }
    }
}

/// A host's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub(crate) value: Value,
    pub(crate) bytes: Option<Vec<u8>>,
}

impl Answer {
    /// Makes an answer of a report, one of the types in [`crate::report`].
    pub fn new(report: &impl Serialize) -> Self {
        Self {
            value: serde_json::to_value(report).expect("reports are strings, numbers and lists"),
            bytes: None,
        }
    }

    /// Adds bytes that follow the line.
    #[must_use]
    pub fn with_bytes(mut self, bytes: Vec<u8>) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The line to send; the bytes are sent after it.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        let mut object = Map::new();
        object.insert("ok".to_owned(), self.value.clone());
        if let Some(bytes) = &self.bytes {
            object.insert("bytes".to_owned(), bytes.len().into());
        }
        envelope(object)
    }
}

/// Why a host did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind, for programs.
    pub kind: RefusalKind,
    /// The message, for people; one line.
    pub message: String,
}

impl Refusal {
    /// Makes a refusal; `message` is one line.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    pub(crate) fn to_line(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).expect("two strings");
        envelope(Map::from_iter([("error".to_owned(), value)]))
    }
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The line is not a valid request.
    BadRequest,
    /// The request has another version of the protocol.
    Version,
    /// This user may not ask.
    Denied,
    /// There are too many connections.
    Busy,
    /// The host has no VCP of this name.
    NoSuchVcp,
    /// There is no such crash report, or no core dump in it.
    NoSuchReport,
    /// The action was tried and failed.
    Failed,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

/// The answer's line, as a client reads it.
#[derive(Deserialize)]
pub(crate) struct Reply {
    pub(crate) v: u64,
    pub(crate) ok: Option<Value>,
    pub(crate) error: Option<Refusal>,
    #[serde(default)]
    pub(crate) bytes: u64,
}

fn envelope(mut object: Map<String, Value>) -> Vec<u8> {
    object.insert("v".to_owned(), VERSION.into());
    let mut line = Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_on_the_wire() {
        let crash = Request::Crash {
            vcp: "disk0".into(),
            number: None,
            core: false,
        };
        let line = String::from_utf8(crash.to_line()).unwrap();
        assert_eq!(
            line,
            "{\"core\":false,\"v\":1,\"vcp\":\"disk0\",\"verb\":\"crash\"}\n"
        );
        assert_eq!(Request::parse(line.trim_end().as_bytes()), Ok(crash));
        let short = br#"{"v":1,"verb":"reload","vcp":"a"}"#;
        let reload = Request::Reload {
            vcp: "a".into(),
            module: None,
        };
        assert_eq!(Request::parse(short), Ok(reload));
        assert_eq!(
            Request::parse(br#"{"verb":"ps","v":1}"#),
            Ok(Request::Ps {})
        );
        assert_eq!(
            Request::Stats {}.to_line(),
            b"{\"v\":1,\"verb\":\"stats\"}\n"
        );
        let set = Request::Set {
            name: "disk0".into(),
            changes: vec!["cpu.share=30%".into()],
        };
        let line = br#"{"v":1,"verb":"set","name":"disk0","changes":["cpu.share=30%"]}"#;
        assert_eq!(Request::parse(line), Ok(set));
        let attach = Request::Attach {
            name: "disk0".into(),
            device: None,
            connections: Some(2),
            read_only: true,
            timeout: None,
            dead_timeout: Some("5min".into()),
        };
        let line = br#"{"v":1,"verb":"attach","name":"disk0","connections":2,"read-only":true,"dead-timeout":"5min"}"#;
        assert_eq!(Request::parse(line), Ok(attach));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let refused = |line: &str| Request::parse(line.as_bytes()).unwrap_err();
        for (line, named) in [
            ("", "JSON"),
            ("[]", "object"),
            ("{}", "\"v\""),
            (r#"{"v":1}"#, "verb"),
            (r#"{"v":1,"verb":"dance"}"#, "dance"),
            (r#"{"v":1,"verb":"ps","vcp":"a"}"#, "vcp"),
            (r#"{"v":1,"verb":"inspect"}"#, "vcp"),
            (r#"{"v":1,"verb":"inspect","vcp":"a","x":1}"#, "x"),
            (r#"{"v":1,"verb":"inspect","vcp":1}"#, "string"),
            (r#"{"v":1,"verb":"crash","vcp":"a","number":-1}"#, "-1"),
            (r#"{"v":1,"verb":"set","vcp":"a","changes":[]}"#, "vcp"),
            (r#"{"v":1,"verb":"set","name":"a"}"#, "changes"),
            (
                r#"{"v":1,"verb":"set","name":"a","changes":"b"}"#,
                "sequence",
            ),
            (r#"{"v":1,"verb":"stats","name":"a"}"#, "name"),
            (r#"{"v":1,"verb":"attach"}"#, "name"),
            (
                r#"{"v":1,"verb":"attach","name":"a","connections":"2"}"#,
                "2",
            ),
            (r#"{"v":1,"verb":"detach","name":"a"}"#, "name"),
        ] {
            let refusal = refused(line);
            assert_eq!(refusal.kind, RefusalKind::BadRequest, "{line}");
            assert!(refusal.message.contains(named), "{line}: {refusal}");
        }
        let version = refused(r#"{"v":2,"verb":"ps"}"#);
        assert_eq!(version.kind, RefusalKind::Version);
    }

    proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>, text in "[\\[\\]{}\",:a-z0-9]{0,60}") {
            let _ = Request::parse(&line);
            let _ = Request::parse(format!("{{\"v\":1,{text}}}").as_bytes());
        }

        #[test]
        fn requests_come_through(vcp: String, fault: String, path: String, number: u64) {
            for request in [
                Request::Inject { vcp: vcp.clone(), fault: fault.clone() },
                Request::Crash { vcp: vcp.clone(), number: Some(number), core: true },
                Request::Set { name: vcp.clone(), changes: vec![fault.clone(), path.clone()] },
                Request::Reload { vcp, module: Some(path) },
            ] {
                let line = request.to_line();
                let (end, line) = line.split_last().unwrap();
                prop_assert_eq!(*end, b'\n');
                prop_assert!(!line.contains(&b'\n'));
                prop_assert_eq!(Request::parse(line), Ok(request));
            }
        }
    }
}

//! Why a link could not be opened: one line each, naming what, where, and what
//! to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a link could not be opened. A user reads it, so each names the link.
#[derive(Debug, Error)]
pub enum LinkError {
    /// No interface can have this name.
    #[error("{link}: {why}")]
    Name {
        /// The link.
        link: LinkName,
        /// What is wrong with the name.
        why: &'static str,
    },
    /// The interface is not there, or of another kind, or in use.
    #[error("{link}: {problem}")]
    Interface {
        /// The link.
        link: LinkName,
        /// What is wrong with it, and what helps.
        problem: String,
    },
    /// There is no device for TAPs.
    #[error("{link}: there is no /dev/net/tun; load the kernel module tun (`modprobe tun`)")]
    NoTun {
        /// The link.
        link: LinkName,
    },
    /// The kernel refused a step.
    #[error("{link}: {step}: {}{hint}", plain(source))]
    Refused {
        /// The link.
        link: LinkName,
        /// The step that was refused.
        step: String,
        /// The kernel's error.
        source: io::Error,
        /// A hint with its separator, or nothing.
        hint: String,
    },
    /// The options contradict each other or the interface.
    #[error("{link}: {problem}")]
    Options {
        /// The link.
        link: LinkName,
        /// The contradiction.
        problem: String,
    },
    /// The capture file could not be made.
    #[error("{link}: capture file {}: {}", path.display(), plain(source))]
    Capture {
        /// The link.
        link: LinkName,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl LinkError {
    /// Whether the same link may be opened later: its interface is not there yet, say, or
    /// another program still has it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Interface { .. } | Self::Refused { .. } | Self::NoTun { .. } => true,
            Self::Name { .. } | Self::Options { .. } | Self::Capture { .. } => false,
        }
    }

    /// Whether it may be a matter of permission: the sandbox of a service, or of a
    /// container, keeps this process from it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::NoTun { .. } => true,
            Self::Refused { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
                    || source.raw_os_error() == Some(libc::EAFNOSUPPORT)
            }
            _ => false,
        }
    }

    /// The same error with other words for its hint.
    #[must_use]
    pub fn with_hint(self, words: &str) -> Self {
        match self {
            Self::Refused {
                link, step, source, ..
            } => Self::Refused {
                link,
                step,
                source,
                hint: format!("; {words}"),
            },
            Self::NoTun { link } => Self::Interface {
                link,
                problem: format!("there is no /dev/net/tun; {words}"),
            },
            other => other,
        }
    }
}

/// A link as the user wrote it: `tap vcp0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkName {
    /// `tap` or `packet`.
    pub kind: &'static str,
    /// The interface.
    pub name: String,
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl LinkName {
    pub(crate) fn refused(&self, step: impl Into<String>, source: io::Error) -> LinkError {
        self.refused_with(step, source, "")
    }

    /// As `refused`, with a hint if it was for want of permission.
    pub(crate) fn refused_with(
        &self,
        step: impl Into<String>,
        source: io::Error,
        hint: &str,
    ) -> LinkError {
        let denied = source.kind() == io::ErrorKind::PermissionDenied && !hint.is_empty();
        let hint = if denied {
            format!("; {hint}")
        } else {
            String::new()
        };
        LinkError::Refused {
            link: self.clone(),
            step: step.into(),
            source,
            hint,
        }
    }

    pub(crate) fn interface(&self, problem: impl Into<String>) -> LinkError {
        LinkError::Interface {
            link: self.clone(),
            problem: problem.into(),
        }
    }

    /// Checks the interface's name as the kernel does, and for what the kernel
    /// would take for a template.
    pub(crate) fn check(&self) -> Result<(), LinkError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
        let why = match self.name.as_str() {
            "" => "the name of an interface is missing",
            "." | ".." => "no interface can have this name",
            name if name.len() > 15 => "the name is longer than the 15 bytes an interface can have",
            name if !name.bytes().all(plain) => {
                "the name has characters other than letters, digits and _-.@"
            }
            _ => return Ok(()),
        };
        Err(LinkError::Name {
            link: self.clone(),
            why,
        })
    }
}

/// The message without "(os error N)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut text = text[..end].to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(name: &str) -> LinkName {
        LinkName {
            kind: "tap",
            name: name.into(),
        }
    }

    #[test]
    fn names() {
        for good in ["vcp0", "br-lan.10", "a", "exactly15chars_"] {
            tap(good).check().unwrap();
        }
        for bad in [
            "",
            ".",
            "..",
            "sixteen_chars_xx",
            "a/b",
            "a b",
            "tap%d",
            "ä",
        ] {
            tap(bad).check().unwrap_err();
        }
    }

    #[test]
    fn what_a_sandbox_forbids_is_told_from_what_fails() {
        let refused = |errno| tap("vcp0").refused("opening", io::Error::from_raw_os_error(errno));
        for errno in [libc::EPERM, libc::EACCES, libc::EAFNOSUPPORT] {
            let error = refused(errno);
            assert!(error.is_forbidden(), "{error}");
            let error = error.with_hint("copy links.conf").to_string();
            assert!(error.ends_with("; copy links.conf"), "{error}");
        }
        let busy = refused(libc::EBUSY);
        assert!(!busy.is_forbidden());
        let missing = LinkError::NoTun { link: tap("vcp0") };
        assert!(missing.is_forbidden());
        assert_eq!(
            missing.with_hint("copy links.conf").to_string(),
            "tap vcp0: there is no /dev/net/tun; copy links.conf"
        );
    }

    #[test]
    fn one_line_with_a_hint_for_want_of_permission() {
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        let error = tap("vcp0").refused_with("opening /dev/net/tun", denied, "run as root");
        let text = "tap vcp0: opening /dev/net/tun: permission denied; run as root";
        assert_eq!(error.to_string(), text);
        let busy = io::Error::from_raw_os_error(libc::EBUSY);
        let error = tap("vcp0").refused_with("attaching", busy, "run as root");
        assert_eq!(
            error.to_string(),
            "tap vcp0: attaching: device or resource busy"
        );
    }
}

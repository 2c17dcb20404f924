//! The campaign as processes: runs are made in workers, because a worker that
//! dies or hangs is what is looked for.

mod supervise;
mod worker;

pub use supervise::{Results, Trouble, campaign};
pub use worker::work;

use std::fmt;
use std::str::FromStr;

use crate::drive::Subject;

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// What kind.
    pub kind: Kind,
    /// Of what.
    pub subject: Subject,
    /// Which.
    pub seed: u64,
}

/// Kinds of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A mutant.
    Mutant,
    /// Crash points.
    Cut,
    /// Crash points where control passes between host and guest.
    Crossing,
    /// A bad link.
    Link,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Mutant => "mutant",
            Kind::Cut => "cut",
            Kind::Crossing => "crossing",
            Kind::Link => "link",
        };
        write!(f, "{kind} {} {}", self.subject.name(), self.seed)
    }
}

impl FromStr for Job {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, subject, seed] = words[..] else {
            return Err(format!("not a job: {line:?}"));
        };
        let kind = match kind {
            "mutant" => Kind::Mutant,
            "cut" => Kind::Cut,
            "crossing" => Kind::Crossing,
            "link" => Kind::Link,
            _ => return Err(format!("no kind of run: {kind}")),
        };
        let subject = Subject::ALL.into_iter().find(|s| s.name() == subject);
        Ok(Self {
            kind,
            subject: subject.ok_or_else(|| format!("no module: {line:?}"))?,
            seed: seed.parse().map_err(|e| format!("{seed}: {e}"))?,
        })
    }
}

//! What became of one run.

use serde::{Deserialize, Serialize};

/// What one mutant did, in one word; the worst that applies, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing to be seen.
    NoEffect,
    /// It was refused before it took over; the module before went on.
    Refused,
    /// It answered nothing, or did not become ready.
    Stalled,
    /// It died, and nothing else.
    Died,
    /// It answered requests with errors.
    Errors,
    /// Reads gave wrong data, and the disk is right.
    WrongRead,
    /// It acknowledged changes that it had not made.
    LostWrite,
    /// It wrote what nobody had asked for.
    WrongWrite,
}

impl Verdict {
    /// All, the mildest first.
    pub const ALL: [Self; 8] = [
        Self::NoEffect,
        Self::Refused,
        Self::Stalled,
        Self::Died,
        Self::Errors,
        Self::WrongRead,
        Self::LostWrite,
        Self::WrongWrite,
    ];

    /// For tables.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoEffect => "no effect seen",
            Self::Refused => "refused before it took over: the module before it went on",
            Self::Stalled => "stalled, or was not ready in time",
            Self::Died => "died, once or again and again; no client noticed more than a delay",
            Self::Errors => "answered requests with I/O errors",
            Self::WrongRead => "gave wrong data to reads; the disk is right",
            Self::LostWrite => "acknowledged writes that it had not made",
            Self::WrongWrite => "wrote what nobody had asked for",
        }
    }
}

/// Microseconds of each part of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Making and validating the mutant.
    pub mutate: u64,
    /// Compiling it.
    pub compile: u64,
    /// Having it serve, or try to.
    pub expose: u64,
    /// Till the good module was back and ready.
    pub back: u64,
    /// Till everything was answered, read back and compared.
    pub verify: u64,
}

/// What became of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Of the run.
    pub seed: u64,
    /// Of which module.
    pub module: String,
    /// What kind of run: `reload`, `start`, `cut`, `link`.
    pub kind: String,
    /// Class of the mutation; empty for other runs.
    pub class: String,
    /// The change, or what else was done.
    pub change: String,
    /// What it did.
    pub verdict: Verdict,
    /// Kinds of faults that instances died of, each once.
    pub faults: Vec<String>,
    /// How many died.
    pub deaths: u64,
    /// Requests answered with errors while the mutant was in charge.
    pub errors: u64,
    /// Reads with wrong data while it was.
    pub wrong_reads: u64,
    /// Blocks of 512 bytes that it wrote and nobody had asked for.
    pub wrong_blocks: u64,
    /// Blocks that it acknowledged and did not write.
    pub lost_blocks: u64,
    /// Requests answered, in all.
    pub answered: u64,
    /// The mutant got the state of the module before it.
    pub inherited: bool,
    /// The module before the mutant came back by itself.
    pub rolled_back: bool,
    /// Started with, it told clients of another size, and the VCP had to be
    /// started anew.
    pub renewed: bool,
    /// Whether the changed place was executed, where that was tried.
    pub reached: Option<bool>,
    /// Instances and other things that should not be: the campaign has failed.
    pub failures: Vec<String>,
    /// How long what.
    pub times: Times,
    /// Resident memory of the worker afterwards, in KiB, and its descriptors.
    pub memory: u64,
    /// See `memory`.
    pub descriptors: u64,
}

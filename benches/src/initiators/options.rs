//! The command line.

use std::path::PathBuf;

use vcp_benches::workload::Workload;

use crate::scene::Kind;

pub(crate) const USAGE: &str = "\
usage: initiators [--quick] [--only WORKLOADS] [--arms ARMS] [--out DIRECTORY]
                  [--cpu SPEC] [--at-least RATIO] [--strict] [--precedence]

  --only WORKLOADS   of a list such as randread-4k-qd32,write-128k,qd1,memory: those
                     that have all words of one of its items
  --arms ARMS        of the list tap,native,host,veth,loopback
  --out DIRECTORY    where figures go that are not of a whole run
  --cpu SPEC         what `vcp run --cpu` is told, such as any,poll=50us
  --at-least RATIO   fails unless vcp reaches that much of qemu-nbd's IOPS everywhere
  --strict           fails unless every figure that is wanted is there and reached
  --precedence       all that is measured goes before what else the machine does";

/// What may be asked for besides workloads.
const MEMORY: &str = "memory";

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// Items of words; empty for all.
    only: Vec<String>,
    /// Empty for all.
    arms: Vec<Kind>,
    out: Option<PathBuf>,
    pub(crate) cpu: Option<String>,
    pub(crate) at_least: Option<f64>,
    pub(crate) strict: bool,
    pub(crate) precedence: bool,
}

impl Options {
    /// `None` when they make no sense.
    pub(crate) fn from_args() -> Option<Self> {
        Self::parse(std::env::args().skip(1))
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = list(&arguments.next()?),
                "--arms" => {
                    let keys = list(&arguments.next()?);
                    let arms = keys.iter().map(|key| Kind::by_key(key));
                    options.arms = arms.collect::<Option<_>>()?;
                }
                "--out" => options.out = Some(arguments.next()?.into()),
                "--cpu" => options.cpu = Some(arguments.next()?),
                "--at-least" => options.at_least = Some(arguments.next()?.parse().ok()?),
                "--strict" => options.strict = true,
                "--precedence" => options.precedence = true,
                _ => return None,
            }
        }
        Some(options)
    }

    pub(crate) fn wants(&self, workload: &Workload) -> bool {
        let depth = format!("qd{}", workload.depth);
        let words = [workload.pattern, workload.block, &depth];
        let is_meant = |item: &String| item.split('-').all(|word| words.contains(&word));
        self.only.is_empty() || self.only.iter().any(is_meant)
    }

    pub(crate) fn wants_memory(&self) -> bool {
        self.only.is_empty() || self.only.iter().any(|item| item == MEMORY)
    }

    pub(crate) fn wants_arm(&self, kind: Kind) -> bool {
        self.arms.is_empty() || self.arms.contains(&kind)
    }

    /// Where figures go, if anywhere.
    pub(crate) fn out(&self) -> Option<PathBuf> {
        let whole =
            !self.quick && self.only.is_empty() && self.arms.is_empty() && self.cpu.is_none();
        self.out.clone().or(whole.then(|| "docs/bench".into()))
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|item| item.to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Option<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn workloads_are_chosen_by_words() {
        let deep = Workload::new("randread", "4k", 32);
        let large = Workload::new("read", "128k", 8);
        let only = options("--only randread-4k-qd32,1m").unwrap();
        assert!(only.wants(&deep) && !only.wants(&large) && !only.wants_memory());
        let only = options("--only qd8,memory").unwrap();
        assert!(!only.wants(&deep) && only.wants(&large) && only.wants_memory());
        let all = options("").unwrap();
        assert!(all.wants(&deep) && all.wants(&large) && all.wants_memory());
    }

    #[test]
    fn parts_of_a_run_overwrite_nothing() {
        assert!(options("--strict").unwrap().out().is_some());
        for part in ["--quick", "--only 4k", "--arms tap,veth", "--cpu any"] {
            assert_eq!(options(part).unwrap().out(), None, "{part}");
        }
        assert!(options("--quick --out x").unwrap().out().is_some());
        assert!(options("--arms bus").is_none());
    }
}

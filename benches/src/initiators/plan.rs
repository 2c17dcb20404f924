//! What is measured: for how long, how often, and of which arms.

use std::time::Duration;

use vcp_benches::process::can_count;
use vcp_benches::workload::Workload;

use crate::options::Options;
use crate::scene::{Backing, Kind, Parameters};

/// All patterns.
const ALL: [Workload; 10] = [
    Workload::new("randread", "4k", 1),
    Workload::new("randread", "4k", 32),
    Workload::new("randread", "4k", 128),
    Workload::new("randwrite", "4k", 1),
    Workload::new("randwrite", "4k", 32),
    Workload::new("randwrite", "4k", 128),
    Workload::new("read", "128k", 8),
    Workload::new("read", "1m", 8),
    Workload::new("write", "128k", 8),
    Workload::new("write", "1m", 8),
];

/// Of the smaller tables: one depth of each.
fn is_in_all(workload: &Workload) -> bool {
    matches!(workload.depth, 8 | 32)
}

/// One target and one backing store, and who is compared there.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) parameters: Parameters,
    pub(crate) backing: Backing,
    pub(crate) arms: Vec<Kind>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) repetitions: usize,
    /// Of each.
    pub(crate) time: Duration,
    /// Whether system calls are counted, too.
    pub(crate) counts_calls: bool,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "tgtd with {}, {}",
            self.parameters.text(),
            self.backing.text(),
        )
    }
}

pub(crate) struct Plan {
    pub(crate) tables: Vec<Table>,
    pub(crate) memory: bool,
    /// Of each load of the memory's.
    pub(crate) memory_time: Duration,
    /// Whether this machine can.
    pub(crate) counts_calls: bool,
}

impl Plan {
    pub(crate) fn new(options: &Options) -> Self {
        let pick = |full: u64, short: u64| if options.quick { short } else { full };
        let table = |parameters, backing, is_main: bool| {
            let kinds: &[Kind] = if is_main {
                &Kind::ALL
            } else {
                &[Kind::Tap, Kind::Veth]
            };
            let is_wanted = |w: &Workload| options.wants(w) && (is_main || is_in_all(w));
            Table {
                parameters,
                backing,
                arms: kinds
                    .iter()
                    .copied()
                    .filter(|kind| options.wants_arm(*kind))
                    .collect(),
                workloads: ALL.into_iter().filter(is_wanted).collect(),
                repetitions: if is_main { pick(9, 2) } else { pick(5, 1) } as usize,
                time: Duration::from_millis(pick(700, 400)),
                counts_calls: is_main,
            }
        };
        let tables = [
            table(Parameters::Default, Backing::File, true),
            table(Parameters::Tuned, Backing::File, false),
            table(Parameters::Default, Backing::Null, false),
            table(Parameters::Tuned, Backing::Null, false),
        ];
        let has_something = |table: &Table| !table.workloads.is_empty() && !table.arms.is_empty();
        let counts_calls = can_count();
        if !counts_calls {
            println!("system calls are not counted: no perf, or it may not");
        }
        Self {
            tables: tables.into_iter().filter(has_something).collect(),
            memory: options.wants_memory() && options.wants_arm(Kind::Tap),
            memory_time: Duration::from_millis(pick(2000, 1000)),
            counts_calls,
        }
    }
}

//! What is measured, for how long and how often.

use std::time::Duration;

use vcp_benches::workload::Workload;

pub(crate) const READ_4K: Workload = Workload::new("randread", "4k", 32);
pub(crate) const WRITE_4K: Workload = Workload::new("randwrite", "4k", 32);
pub(crate) const READ_128K: Workload = Workload::new("read", "128k", 8);
pub(crate) const WRITE_128K: Workload = Workload::new("write", "128k", 8);

pub(crate) const ALL: [Workload; 6] = [
    Workload::new("randread", "4k", 1),
    Workload::new("randwrite", "4k", 1),
    READ_4K,
    WRITE_4K,
    READ_128K,
    WRITE_128K,
];

/// Of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) time: Duration,
    pub(crate) repetitions: usize,
}

impl Effort {
    pub(crate) const WHOLE: Self = Self {
        time: Duration::from_millis(1000),
        repetitions: 7,
    };

    pub(crate) const QUICK: Self = Self {
        time: Duration::from_millis(300),
        repetitions: 2,
    };
}

//! What is asked of both: the table of the comparison.

/// A pattern of requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// fio's name of the pattern.
    pub(crate) pattern: &'static str,
    /// fio's size of a request.
    pub(crate) block: &'static str,
    /// Requests outstanding.
    pub(crate) depth: u32,
}

/// All of them.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        pattern: "randread",
        block: "4k",
        depth: 32,
    },
    Workload {
        pattern: "read",
        block: "128k",
        depth: 8,
    },
    Workload {
        pattern: "write",
        block: "128k",
        depth: 8,
    },
];

impl Workload {
    /// The same for fio.
    pub(crate) fn arguments(&self) -> [String; 3] {
        [
            format!("--rw={}", self.pattern),
            format!("--bs={}", self.block),
            format!("--iodepth={}", self.depth),
        ]
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} {} QD{}", self.pattern, self.block, self.depth))
    }
}

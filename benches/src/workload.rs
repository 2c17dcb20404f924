//! Patterns of requests, as fio makes them.

/// One pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// fio's name of it: `randread`, `write`, ….
    pub pattern: &'static str,
    /// fio's size of a request: `4k`, `128k`, ….
    pub block: &'static str,
    /// Requests outstanding.
    pub depth: u32,
}

impl Workload {
    /// See the fields.
    #[must_use]
    pub const fn new(pattern: &'static str, block: &'static str, depth: u32) -> Self {
        Self {
            pattern,
            block,
            depth,
        }
    }

    /// The same for fio.
    #[must_use]
    pub fn arguments(&self) -> [String; 3] {
        [
            format!("--rw={}", self.pattern),
            format!("--bs={}", self.block),
            format!("--iodepth={}", self.depth),
        ]
    }
}

/// As people write it: `randread 4k QD32`.
impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} {} QD{}", self.pattern, self.block, self.depth))
    }
}

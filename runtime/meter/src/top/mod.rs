//! The host on a terminal, anew each second.
//!
//! [`draw`] is a pure function of a [`History`](crate::History) and a [`View`], [`plain`]
//! the same as lines of text; both show the rows of one table, which `rows` makes. [`run`]
//! is the loop around them and the only part that touches the terminal.

mod draw;
mod keyboard;
mod rows;
mod screen;

pub use draw::{draw, plain};
pub use screen::{Options, TopError, run};

/// The column that the table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Largest part of a CPU first.
    #[default]
    Cpu,
    /// Most requests first.
    Iops,
    /// Most bytes first.
    Bandwidth,
    /// Longest stalled first.
    Stall,
    /// Most memory first.
    Memory,
    /// By name.
    Name,
}

impl Sort {
    /// The next column; after the last, the first.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Sort::Cpu => Sort::Iops,
            Sort::Iops => Sort::Bandwidth,
            Sort::Bandwidth => Sort::Stall,
            Sort::Stall => Sort::Memory,
            Sort::Memory => Sort::Name,
            Sort::Name => Sort::Cpu,
        }
    }

    /// The head of its column.
    fn column(self) -> &'static str {
        match self {
            Sort::Cpu => "CPU%",
            Sort::Iops => "IOPS",
            Sort::Bandwidth => "MB/s",
            Sort::Stall => "STALL%",
            Sort::Memory => "MEM",
            Sort::Name => "NAME",
        }
    }
}

/// How the table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// The column that it is sorted by.
    pub sort: Sort,
    /// Whether the small graphs show the CPU; otherwise, requests.
    pub graph_cpu: bool,
}

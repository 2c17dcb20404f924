//! One line of progress: redrawn on a terminal, printed once at the end of a
//! pass elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use vcp_config::ByteSize;

use crate::ask::print;

const WIDTH: u64 = 30;
const REDRAW: Duration = Duration::from_millis(100);

pub(super) struct Progress {
    what: &'static str,
    total: u64,
    began: Instant,
    drawn: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            what,
            total,
            began: Instant::now(),
            drawn: None,
            terminal,
        }
    }

    pub(super) fn at(&mut self, done: u64) {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if self.terminal && due {
            self.drawn = Some(Instant::now());
            // If the terminal is gone, nothing can be shown.
            let _ = print(&format!("\r{}", self.line(done)));
        }
    }

    pub(super) fn done(self) -> Result<()> {
        let start = if self.terminal { "\r" } else { "" };
        print(&format!("{start}{}\n", self.line(self.total)))
    }

    fn line(&self, done: u64) -> String {
        let filled = (done * WIDTH / self.total.max(1)) as usize;
        let bar = "#".repeat(filled) + &"-".repeat(WIDTH as usize - filled);
        let rate = done as f64 / 1e6 / self.began.elapsed().as_secs_f64().max(1e-6);
        let done = ByteSize(done >> 20 << 20);
        format!("  {:<7} [{bar}] {done:>8}  {rate:>6.0} MB/s", self.what)
    }
}

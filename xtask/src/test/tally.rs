//! Runs test programs, passes on what they print, and adds up what they report.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell;

/// The sum over every test program run.
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Commands that failed without a test of theirs reporting a failure.
    broken: Vec<String>,
    /// Tests append a line here for what they could not do, `name: reason`.
    skips: PathBuf,
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        let skips = shell::target_dir().join("test-skips.txt");
        fs::create_dir_all(shell::target_dir())?;
        fs::write(&skips, "").with_context(|| format!("creating {}", skips.display()))?;
        Ok(Self {
            passed: 0,
            failed: 0,
            ignored: 0,
            broken: Vec::new(),
            skips,
        })
    }

    /// Runs one `cargo test`. A failing test is counted, not an error here.
    pub(super) fn run(&mut self, command: &mut Command) -> Result<()> {
        shell::announce(command);
        command
            .env("VCP_TEST_SKIPS", &self.skips)
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start cargo")?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let before = self.failed;
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            self.count(&text);
            line.clear();
        }
        let status = child.wait()?;
        if !status.success() && self.failed == before {
            self.broken.push(format!("{command:?}: {status}"));
        }
        Ok(())
    }

    /// Takes `test result: ok. 3 passed; 0 failed; 1 ignored; …` apart.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let Some((_, figures)) = result.split_once(". ") else {
            return;
        };
        for figure in figures.split(';') {
            let mut words = figure.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Prints the reasons and the closing line; fails if anything did, and in
    /// continuous integration also if anything was skipped.
    pub(super) fn close(self) -> Result<()> {
        let skips = fs::read_to_string(&self.skips).unwrap_or_default();
        let skips: Vec<&str> = skips.lines().collect();
        for skip in &skips {
            println!("skipped: {skip}");
        }
        if self.ignored > 0 {
            println!("skipped: {} tests marked #[ignore]", self.ignored);
        }
        for broken in &self.broken {
            println!("broken: {broken}");
        }
        // A test that skips returns early, and its program counts it as passed.
        let skipped = skips.len() as u64;
        let passed = self.passed.saturating_sub(skipped);
        let skipped = skipped + self.ignored;
        let failed = self.failed + self.broken.len() as u64;
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed > 0 {
            bail!("tests failed");
        }
        if skipped > 0 && shell::is_ci() {
            bail!("tests were skipped, which counts as failure under CI");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up() {
        let mut tally = Tally {
            passed: 0,
            failed: 0,
            ignored: 0,
            broken: Vec::new(),
            skips: PathBuf::new(),
        };
        tally.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s\n");
        tally.count(
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        tally.count("test queue::result ... ok\n");
        assert_eq!((tally.passed, tally.failed, tally.ignored), (8, 2, 1));
    }
}

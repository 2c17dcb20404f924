//! Runs test programs, passes on their output, and adds up their results.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell;

/// The beginning of the line in which a test says what it could not do and why. The test
/// then returns, so that its program counts it as passed; the programs run with
/// `--show-output`, as the output of passed tests is hidden otherwise.
const SKIPPED: &str = "skipped: ";

/// The sum over every test program run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Commands that failed although none of their tests reported a failure.
    broken: Vec<String>,
    /// The texts that tests printed after [`SKIPPED`].
    skips: Vec<String>,
}

impl Tally {
    /// Runs one `cargo test`. A failing test is counted, not an error here.
    pub(super) fn run(&mut self, command: &mut Command) -> Result<()> {
        shell::announce(command);
        command.stdout(Stdio::piped());
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

    /// Parses `test result: ok. 3 passed; 0 failed; 1 ignored; …`, and notes skipped
    /// tests.
    fn count(&mut self, line: &str) {
        if let Some(skip) = line.strip_prefix(SKIPPED) {
            self.skips.push(skip.trim_end().to_owned());
        }
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
        for skip in &self.skips {
            println!("{SKIPPED}{skip}");
        }
        if self.ignored > 0 {
            println!("skipped: {} tests marked #[ignore]", self.ignored);
        }
        for broken in &self.broken {
            println!("broken: {broken}");
        }
        let skipped = self.skips.len() as u64;
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
        let mut tally = Tally::default();
        tally.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s\n");
        tally.count(
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        tally.count("test queue::result ... ok\n");
        tally.count("skipped: tap: not root\n");
        assert_eq!((tally.passed, tally.failed, tally.ignored), (8, 2, 1));
        assert_eq!(tally.skips, ["tap: not root"]);
    }
}

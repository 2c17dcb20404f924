//! The outcome of reading the configuration again: logged as it happens, and kept for the
//! client that asked for it.

use vcp_control::report::Reconfigured;

/// What was done so far, what was left as it was, and what failed.
#[derive(Debug, Default)]
pub(super) struct Outcome(Reconfigured);

impl Outcome {
    /// Notes and logs that something was done.
    pub(super) fn done(&mut self, line: String) {
        tracing::info!(target: TARGET, "{line}");
        self.0.done.push(line);
    }

    /// Notes that something was done, which its code has logged.
    pub(super) fn done_and_said(&mut self, line: String) {
        self.0.done.push(line);
    }

    /// Notes and logs that something stays as it was, though its configuration has
    /// changed.
    pub(super) fn left(&mut self, line: String) {
        tracing::warn!(target: TARGET, "{line}");
        self.0.left.push(line);
    }

    /// Notes and logs a failure, once if it is repeated for another address.
    pub(super) fn failed(&mut self, line: String) {
        if !self.0.failed.contains(&line) {
            tracing::error!(target: TARGET, "{line}");
            self.0.failed.push(line);
        }
    }

    /// Notes a failure that its code has logged.
    pub(super) fn failed_and_said(&mut self, line: String) {
        self.0.failed.push(line);
    }

    /// The report for the client that asked.
    pub(super) fn report(self) -> Reconfigured {
        self.0
    }
}

/// The target of the messages, for the log's filter.
const TARGET: &str = "vcp::service";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asked_is_told_of_everything_once() {
        let mut outcome = Outcome::default();
        outcome.done("VCP a: started".to_owned());
        outcome.done_and_said("VCP b: reloaded".to_owned());
        outcome.left("[host]: stays".to_owned());
        outcome.failed("address in use".to_owned());
        outcome.failed("address in use".to_owned());
        outcome.failed_and_said("VCP c: not reloaded".to_owned());
        let report = outcome.report();
        assert_eq!(report.done, ["VCP a: started", "VCP b: reloaded"]);
        assert_eq!(report.left, ["[host]: stays"]);
        assert_eq!(report.failed, ["address in use", "VCP c: not reloaded"]);
    }
}

//! What comes of reading the configuration again: told in the log as it happens, and
//! kept for whoever asked for it.

use vcp_control::report::Reconfigured;

/// What was done so far, what was left, and what failed.
#[derive(Debug, Default)]
pub(super) struct Outcome(Reconfigured);

impl Outcome {
    /// Something was done.
    pub(super) fn done(&mut self, line: String) {
        tracing::info!(target: TARGET, "{line}");
        self.0.done.push(line);
    }

    /// Something was done, and whoever did it has said so in the log.
    pub(super) fn done_and_said(&mut self, line: String) {
        self.0.done.push(line);
    }

    /// Something stays as it was, though it has changed.
    pub(super) fn left(&mut self, line: String) {
        tracing::warn!(target: TARGET, "{line}");
        self.0.left.push(line);
    }

    /// Something could not be done. The same of another address is no news.
    pub(super) fn failed(&mut self, line: String) {
        if !self.0.failed.contains(&line) {
            tracing::error!(target: TARGET, "{line}");
            self.0.failed.push(line);
        }
    }

    /// Something could not be done, and whoever tried has said so in the log.
    pub(super) fn failed_and_said(&mut self, line: String) {
        self.0.failed.push(line);
    }

    /// For whoever asked.
    pub(super) fn report(self) -> Reconfigured {
        self.0
    }
}

/// Where it comes from, for the filter of the log.
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

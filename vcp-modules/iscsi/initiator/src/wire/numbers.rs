//! The sequence numbers of a session with one connection (RFC 7143 §4.2.2).

use serde::{Deserialize, Serialize};
use vcp_iscsi_proto::Serial;
use vcp_iscsi_proto::pdu::{InitiatorSn, TargetSn};

/// CmdSN with its window, and ExpStatSN.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    /// The CmdSN of the next command that is not immediate.
    cmd_sn: Serial,
    /// The ExpCmdSN: the target has taken all commands before this one.
    exp_cmd_sn: Serial,
    /// The MaxCmdSN: the last command that the target has room for.
    max_cmd_sn: Serial,
    /// The StatSN of the next status.
    exp_stat_sn: Serial,
}

/// The numbers as plain data, to be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NumbersState {
    cmd_sn: u32,
    exp_cmd_sn: u32,
    max_cmd_sn: u32,
    exp_stat_sn: u32,
}

impl Numbers {
    /// The numbers at the start of a session. Until the target answers, only immediate
    /// commands (a login is one) can be sent.
    pub(crate) fn new(cmd_sn: u32) -> Self {
        let cmd_sn = Serial(cmd_sn);
        Self {
            cmd_sn,
            exp_cmd_sn: cmd_sn,
            max_cmd_sn: cmd_sn.sub(1),
            exp_stat_sn: Serial(0),
        }
    }

    pub(crate) fn state(&self) -> NumbersState {
        NumbersState {
            cmd_sn: self.cmd_sn.0,
            exp_cmd_sn: self.exp_cmd_sn.0,
            max_cmd_sn: self.max_cmd_sn.0,
            exp_stat_sn: self.exp_stat_sn.0,
        }
    }

    /// The numbers in the middle of a session; `None` for numbers that no session can
    /// have: the target cannot have received more than was sent, and its window cannot
    /// end before it begins.
    pub(crate) fn restore(state: NumbersState) -> Option<Self> {
        let numbers = Self {
            cmd_sn: Serial(state.cmd_sn),
            exp_cmd_sn: Serial(state.exp_cmd_sn),
            max_cmd_sn: Serial(state.max_cmd_sn),
            exp_stat_sn: Serial(state.exp_stat_sn),
        };
        let before = numbers.exp_cmd_sn.sub(1);
        let taken = numbers.exp_cmd_sn.le(numbers.cmd_sn);
        let window = before.le(numbers.max_cmd_sn);
        (taken && window).then_some(numbers)
    }

    /// The numbers of an immediate request.
    pub(crate) fn immediate(&self) -> InitiatorSn {
        InitiatorSn {
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
        }
    }

    /// The numbers of a request that is sent again with its former number.
    pub(crate) fn repeated(&self, cmd_sn: Serial) -> InitiatorSn {
        InitiatorSn {
            cmd_sn,
            exp_stat_sn: self.exp_stat_sn,
        }
    }

    /// Whether a command that is not immediate may be sent.
    pub(crate) fn window_open(&self) -> bool {
        self.cmd_sn.le(self.max_cmd_sn)
    }

    /// The numbers of a command that is not immediate; the window must be open.
    pub(crate) fn command(&mut self) -> InitiatorSn {
        debug_assert!(self.window_open());
        let numbers = self.immediate();
        self.cmd_sn = self.cmd_sn.next();
        numbers
    }

    /// Whether the target has taken the command with this number.
    pub(crate) fn is_taken(&self, cmd_sn: Serial) -> bool {
        cmd_sn.lt(self.exp_cmd_sn)
    }

    pub(crate) fn exp_stat_sn(&self) -> Serial {
        self.exp_stat_sn
    }

    /// Starts StatSN at that of a connection's first response.
    pub(crate) fn start_status(&mut self, stat_sn: Serial) {
        self.exp_stat_sn = stat_sn;
    }

    /// Updates the window as RFC 7143 §4.2.2.1 says: a pair that contradicts itself and
    /// numbers that go backwards are ignored. `false` when the target claims to have
    /// received a command that was never sent.
    pub(crate) fn window(&mut self, sn: &TargetSn) -> bool {
        if sn.max_cmd_sn.lt(sn.exp_cmd_sn.sub(1)) {
            return true;
        }
        self.max_cmd_sn = self.max_cmd_sn.max(sn.max_cmd_sn);
        if sn.exp_cmd_sn.gt(self.cmd_sn) {
            return false;
        }
        self.exp_cmd_sn = self.exp_cmd_sn.max(sn.exp_cmd_sn);
        true
    }

    /// Acknowledges a status; `false` when it is not the next one.
    pub(crate) fn status(&mut self, sn: &TargetSn) -> bool {
        let next = sn.stat_sn == self.exp_stat_sn;
        if next {
            self.exp_stat_sn = self.exp_stat_sn.next();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sn(stat: u32, exp: u32, max: u32) -> TargetSn {
        TargetSn {
            stat_sn: Serial(stat),
            exp_cmd_sn: Serial(exp),
            max_cmd_sn: Serial(max),
        }
    }

    #[test]
    fn window_opens_and_closes_across_the_wrap() {
        let mut numbers = Numbers::new(u32::MAX);
        assert!(!numbers.window_open());
        assert!(numbers.window(&sn(0, u32::MAX, 0)));
        assert_eq!(numbers.command().cmd_sn, Serial(u32::MAX));
        assert_eq!(numbers.command().cmd_sn, Serial(0));
        assert!(!numbers.window_open());
        assert!(numbers.window(&sn(0, 1, 1)));
        assert!(numbers.is_taken(Serial(0)));
        assert!(!numbers.is_taken(Serial(1)));
        assert!(numbers.window_open());
    }

    #[test]
    fn window_never_shrinks() {
        let mut numbers = Numbers::new(5);
        assert!(numbers.window(&sn(0, 5, 20)));
        assert!(numbers.window(&sn(0, 5, 10)));
        assert_eq!(numbers.max_cmd_sn, Serial(20));
    }

    #[test]
    fn contradicting_window_is_ignored() {
        let mut numbers = Numbers::new(5);
        assert!(numbers.window(&sn(0, 5, 8)));
        assert!(numbers.window(&sn(0, 100, 50)));
        assert_eq!(
            (numbers.exp_cmd_sn, numbers.max_cmd_sn),
            (Serial(5), Serial(8))
        );
    }

    #[test]
    fn commands_never_sent_cannot_be_acknowledged() {
        let mut numbers = Numbers::new(5);
        assert!(!numbers.window(&sn(0, 6, 8)));
    }

    #[test]
    fn statuses_come_in_order() {
        let mut numbers = Numbers::new(1);
        numbers.start_status(Serial(7));
        assert!(numbers.status(&sn(7, 1, 1)));
        assert!(!numbers.status(&sn(7, 1, 1)));
        assert!(!numbers.status(&sn(9, 1, 1)));
        assert!(numbers.status(&sn(8, 1, 1)));
    }
}

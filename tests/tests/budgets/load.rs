//! fio reading 4 KiB at random, eight at a time, beside the test; and rates of what
//! the host counts meanwhile.

use std::time::Duration;

use serde_json::Value;
use vcp_tests::process::{Running, command};
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::Vcp;

/// Requests that are made at a time.
pub(crate) const DEPTH: u64 = 8;

/// A running fio.
pub(crate) struct Load(Running);

impl Load {
    pub(crate) fn start(user: &User, uri: &str, time: Duration) -> Self {
        let mut fio = command("fio");
        fio.args([
            "--name=load",
            "--thread",
            "--ioengine=nbd",
            "--time_based",
            "--rw=randread",
            "--bs=4k",
            "--size=8m",
        ]);
        fio.arg(format!("--iodepth={DEPTH}"))
            .arg(format!("--runtime={}ms", time.as_millis()))
            .arg(format!("--uri={uri}"))
            .current_dir(user.dir());
        Self(Running::start(fio, user.dir(), "fio"))
    }

    /// Waits for its end; no request may have failed.
    pub(crate) fn finish(self) {
        self.0.outcome(LIMIT).expect_success("fio");
    }
}

/// A moment of a host's counters.
pub(crate) struct Mark(Value);

impl Mark {
    pub(crate) fn now(user: &User, host: &Vcp) -> Self {
        Self(user.stats(host))
    }

    pub(crate) fn vcp(&self, name: &str) -> &Value {
        named(&self.0["vcps"], name)
    }

    pub(crate) fn export(&self, name: &str) -> &Value {
        named(&self.0["exports"], name)
    }

    /// By how much something of `all` grew since `before`, a second.
    pub(crate) fn rate(&self, before: &Self, of: impl Fn(&Self) -> u64) -> f64 {
        let at = |mark: &Self| number(&mark.0["monotonic-ns"]);
        let seconds = (at(self) - at(before)) as f64 / 1e9;
        (of(self) - of(before)) as f64 / seconds
    }
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let list = list.as_array().expect("a list");
    let found = list.iter().find(|item| item["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list:?}"))
}

pub(crate) fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// What happens in so long a time.
pub(crate) fn within(user: &User, host: &Vcp, time: Duration) -> (Mark, Mark) {
    let before = Mark::now(user, host);
    std::thread::sleep(time);
    (before, Mark::now(user, host))
}

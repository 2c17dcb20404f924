//! Counting the system calls of a process, from outside: by perf, which the kernel
//! tells of each one. It wants root, or a kernel that lets others have tracepoints.

use std::process::Command;

use crate::need::which;

/// Fires once for each system call.
const EVENT: &str = "raw_syscalls:sys_enter";

/// Whether this machine can: perf is there, and the kernel has the event and lets us
/// use it.
#[must_use]
pub fn can_count() -> bool {
    let trial = which("perf").and_then(|perf| {
        let mut perf = Command::new(perf);
        perf.args(["stat", "-x", ",", "-e", EVENT, "--", "true"]);
        perf.output().ok()
    });
    trial.is_some_and(|output| {
        output.status.success() && counted(&String::from_utf8_lossy(&output.stderr)).is_some()
    })
}

/// A command line that counts the system calls of process `pid`, of all its threads,
/// while the command after it runs; what it counted goes to `file`, for [`counted`].
#[must_use]
pub fn counting(pid: u32, file: &str) -> Vec<String> {
    let pid = pid.to_string();
    let line = [
        "perf", "stat", "-x", ",", "-e", EVENT, "-o", file, "-p", &pid, "--",
    ];
    line.map(str::to_owned).to_vec()
}

/// What perf counted, from what it wrote.
#[must_use]
pub fn counted(written: &str) -> Option<f64> {
    let line = written.lines().find(|line| line.contains(EVENT))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let written = "# started on Mon\n\n4711,,raw_syscalls:sys_enter,1000,100.00,,\n";
        assert_eq!(counted(written), Some(4711.0));
        let not = "<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n";
        assert_eq!(counted(not), None);
    }
}

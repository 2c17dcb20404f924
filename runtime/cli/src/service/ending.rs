//! The reason why a service is told to end. The host gets the same signal for a restart,
//! a stop and the end of the whole machine; only the service manager's list of jobs tells
//! which it is (systemctl(1), `list-jobs`).

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// How long the service manager may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may take to notify everybody who is logged in.
const TELLING: Duration = Duration::from_secs(2);

/// The targets by which systemd ends a machine (systemd.special(7)).
const FINAL: [&str; 6] = [
    "shutdown.target",
    "reboot.target",
    "poweroff.target",
    "halt.target",
    "kexec.target",
    "soft-reboot.target",
];

/// Why a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Another process of the same service follows at once.
    Restart,
    /// No process follows until an operator starts the service again. This includes a
    /// signal sent by hand, of which the service manager knows nothing.
    Stop,
    /// The machine goes down.
    Shutdown,
    /// There is no service manager, or it does not answer.
    Unknown,
}

impl Ending {
    /// Asks the service manager; without an answer the reason is unknown.
    pub(crate) async fn ask() -> Self {
        let Some(unit) = unit() else {
            return Self::Unknown;
        };
        let mut systemctl = Command::new("systemctl");
        systemctl.args([
            "list-jobs",
            "--plain",
            "--no-legend",
            "--no-pager",
            "--full",
        ]);
        systemctl.stdin(Stdio::null()).kill_on_drop(true);
        match timeout(PATIENCE, systemctl.output()).await {
            Ok(Ok(output)) if output.status.success() => {
                Self::of(&String::from_utf8_lossy(&output.stdout), &unit)
            }
            outcome => {
                tracing::debug!("the service manager does not say why {unit} ends: {outcome:?}");
                Self::Unknown
            }
        }
    }

    /// Decides by the lines of `systemctl list-jobs`: number, unit, type and state.
    fn of(jobs: &str, unit: &str) -> Self {
        let jobs = jobs.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            Some((words.next()?, words.next()?))
        });
        let mut found = Self::Stop;
        for (name, kind) in jobs {
            match kind {
                "start" if FINAL.contains(&name) => return Self::Shutdown,
                "restart" if name == unit => found = Self::Restart,
                _ => {}
            }
        }
        found
    }
}

/// The unit that this process belongs to, if a service manager has started it.
pub(crate) fn unit() -> Option<String> {
    std::env::var_os("INVOCATION_ID")?;
    unit_of(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// Finds the unit in the text of `/proc/PID/cgroup`: the last part of the path in
/// systemd's hierarchy (cgroups(7)).
fn unit_of(cgroup: &str) -> Option<String> {
    let ours = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let line = cgroup.lines().find(ours)?;
    let unit = line.rsplit('/').find(|part| part.ends_with(".service"))?;
    Some(unit.to_owned())
}

/// Whether the end of the machine spares this process until every file system is
/// unmounted: its first argument begins with `@` (systemd's "Root Storage Daemons").
pub(crate) fn is_spared() -> bool {
    std::fs::read("/proc/self/cmdline").is_ok_and(|line| line.first() == Some(&b'@'))
}

/// Writes a message to the terminals of all who are logged in, as `shutdown` does.
/// Without a terminal or `wall`, the message is still in the log.
pub(crate) async fn tell_everybody(text: String) {
    let tell = move || {
        let mut wall = std::process::Command::new("wall");
        wall.stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(mut child) = wall.spawn() else { return };
        if let Some(mut input) = child.stdin.take() {
            // The program may have ended at once.
            let _ = input.write_all(text.as_bytes());
        }
        let _ = child.wait();
    };
    // A terminal that takes nothing does not keep the service from ending.
    let _ = timeout(TELLING, tokio::task::spawn_blocking(tell)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_say_why_a_service_ends() {
        let unit = "vcp.service";
        let of = |jobs| Ending::of(jobs, unit);
        assert_eq!(of(""), Ending::Stop);
        assert_eq!(of("No jobs running.\n"), Ending::Stop);
        assert_eq!(of("812 vcp.service restart running\n"), Ending::Restart);
        assert_eq!(of("813 vcp.service stop running\n"), Ending::Stop);
        assert_eq!(of("813 other.service restart running\n"), Ending::Stop);
        let shutdown = "900 vcp.service stop running\n\
                        901 mnt.mount   stop running\n\
                        899 reboot.target start waiting\n";
        assert_eq!(of(shutdown), Ending::Shutdown);
        // Jobs after a target that is itself being stopped mean nothing.
        let isolate = "7 reboot.target stop waiting\n8 vcp.service stop running\n";
        assert_eq!(of(isolate), Ending::Stop);
    }

    #[test]
    fn a_unit_is_found_by_its_control_group() {
        let of = |text| unit_of(text);
        assert_eq!(
            of("0::/system.slice/vcp.service\n").as_deref(),
            Some("vcp.service")
        );
        let below = "0::/system.slice/vcp@a.service/payload\n";
        assert_eq!(of(below).as_deref(), Some("vcp@a.service"));
        let legacy = "4:memory:/x.service\n1:name=systemd:/system.slice/vcp.service\n";
        assert_eq!(of(legacy).as_deref(), Some("vcp.service"));
        assert_eq!(of("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(of(""), None);
    }
}

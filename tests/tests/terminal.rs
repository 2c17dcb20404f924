//! Commands that wait, and the terminal they were started from: when its window is
//! closed, they end, and use no CPU until then.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use vcp_tests::process::{command, poll};
use vcp_tests::requires;
use vcp_tests::user::User;
use vcp_tests::vcp::binary;

/// How long one may go on without its terminal.
const END: Duration = Duration::from_secs(3);

/// A command in a terminal of its own, by script(1): when that is killed, the terminal is
/// gone.
struct Window {
    script: Child,
    /// The command.
    pid: u32,
}

impl Window {
    /// Runs `line` in a shell that becomes it.
    fn open(user: &User, line: &str) -> Self {
        let mut script = command("script");
        script
            .args(["-q", "-c", line, "/dev/null"])
            .env("VCP_CONTROL_DIR", user.sockets())
            .env("XDG_RUNTIME_DIR", user.dir())
            .env("TERM", "xterm")
            .current_dir(user.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut script = script.spawn().expect("starting script(1)");
        let pid = poll(Duration::from_secs(5), || running(script.id()));
        let Some(pid) = pid else {
            let _ = script.kill();
            panic!("not running: {line}");
        };
        Self { script, pid }
    }

    /// Its window is closed. Returns how long it went on, and the time of CPU that it
    /// used.
    fn close(mut self) -> (Option<Duration>, Duration) {
        let before = cpu(self.pid).expect("it runs");
        self.script.kill().expect("it runs");
        self.script.wait().expect("a child");
        let begun = Instant::now();
        let mut used = Duration::ZERO;
        let ended = poll(END, || match cpu(self.pid) {
            Some(now) => {
                used = now.saturating_sub(before);
                None
            }
            None => Some(begun.elapsed()),
        });
        if ended.is_none() {
            kill(self.pid);
        }
        (ended, used)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _ = kill_process(pid.expect("a process"), Signal::KILL);
}

/// The child of a process once it is `vcp`.
fn running(parent: u32) -> Option<u32> {
    let children = format!("/proc/{parent}/task/{parent}/children");
    let pid = fs::read_to_string(children).ok()?;
    let pid = pid.split_whitespace().next()?.parse().ok()?;
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    (program.file_name() == binary().file_name()).then_some(pid)
}

/// The time of CPU that a process has used; `None` when it is gone.
fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    let ticks: u64 = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    // A hundred each second, on every Linux.
    Some(Duration::from_millis(ticks * 10))
}

fn program() -> String {
    binary().display().to_string()
}

/// A command that waits, and what is in front of it in its shell.
fn ends_with_its_terminal(before: &str, line: &str) {
    let user = User::new();
    let host = user.ram("ram");
    let window = Window::open(&user, &format!("{before}exec {} {line}", program()));
    std::thread::sleep(Duration::from_millis(1500));
    let (ended, used) = window.close();
    let ended = ended.unwrap_or_else(|| panic!("{line}: it went on, and used {used:?} of CPU"));
    assert!(ended < END, "{line}: {ended:?}");
    assert!(used < Duration::from_millis(500), "{line}: {used:?} of CPU");
    host.shut_down();
}

#[test]
fn top_ends_with_its_terminal() {
    requires!("script");
    ends_with_its_terminal("", "top");
}

/// No signal comes: the end of its input is what there is to see.
#[test]
fn top_ends_with_its_input() {
    requires!("script");
    ends_with_its_terminal("trap '' HUP; ", "top");
}

#[test]
fn plain_top_ends_with_its_terminal() {
    requires!("script");
    ends_with_its_terminal("", "top --plain");
    ends_with_its_terminal("trap '' HUP; ", "top --plain");
}

#[test]
fn run_ends_with_its_terminal_and_in_order() {
    requires!("script");
    let user = User::new();
    let socket = user.dir().join("x.sock");
    let line = format!(
        "run ramdisk size=1MiB --name x --nbd unix:{}",
        socket.display()
    );
    let window = Window::open(&user, &format!("exec {} {line}", program()));
    let serves = || socket.exists().then_some(());
    assert!(
        poll(Duration::from_secs(10), serves).is_some(),
        "it does not serve"
    );
    std::thread::sleep(Duration::from_millis(500));
    let (ended, used) = window.close();
    assert!(ended.is_some(), "it went on");
    assert!(used < Duration::from_millis(500), "{used:?} of CPU");
    assert!(!socket.exists(), "its socket is left behind");
}

#[test]
fn discover_and_demo_end_with_their_terminal() {
    requires!("script");
    // Somebody is there who says nothing, so it waits.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let portal = silent.local_addr().expect("it is bound");
    ends_with_its_terminal("", &format!("discover iscsi://{portal}"));
    let user = User::new();
    let line = format!("exec {} demo --size 64GiB", program());
    let window = Window::open(&user, &line);
    std::thread::sleep(Duration::from_millis(1000));
    let (ended, _) = window.close();
    assert!(ended.is_some(), "it went on");
}

/// Who was told not to mind goes on: the negative control, and what nohup(1) is for.
#[test]
fn run_under_nohup_goes_on() {
    requires!("script", "nohup");
    let user = User::new();
    let line = format!("exec nohup {} run ramdisk size=1MiB --name x", program());
    let window = Window::open(&user, &line);
    let serves = || {
        user.json(&["ps"])[0]["vcps"][0]["state"]
            .as_str()
            .map(str::to_owned)
    };
    let ready = || serves().filter(|state| state == "ready");
    assert!(
        poll(Duration::from_secs(10), ready).is_some(),
        "it does not serve"
    );
    let (ended, used) = window.close();
    assert_eq!(ended, None, "it ended");
    assert!(used < Duration::from_millis(500), "{used:?} of CPU");
}

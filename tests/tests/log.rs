//! The log of a host: nobody waits for who reads it, and nobody fills it at will.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use vcp_tests::nbd::Connection;
use vcp_tests::process::poll;
use vcp_tests::user::{LIMIT, User};

/// How long the end of a host may take.
const END: Duration = Duration::from_secs(5);
/// More lines than any queue is to keep.
const FLOOD: usize = 40_000;

/// A host whose output goes where the test wants it. It serves a RAM disk.
struct Host {
    child: Child,
    socket: PathBuf,
    user: User,
}

impl Host {
    /// With these two for standard output and standard error.
    fn start(log: &str, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>, nbd: &[&str]) -> Self {
        let user = User::new();
        let socket = user.dir().join("disk.sock");
        let at = format!("unix:{}", socket.display());
        let mut line = vec!["run", "ramdisk", "size=8MiB", "--name", "ram", "--nbd", &at];
        line.extend(nbd);
        let mut command = user.command(&line);
        command.env("VCP_LOG", log).stdin(Stdio::null());
        let child = spawn(command, stdout, stderr);
        let host = Self {
            child,
            socket,
            user,
        };
        let serves = || host.ps().filter(|ps| ps["vcps"][0]["state"] == "ready");
        assert!(poll(LIMIT, serves).is_some(), "it does not serve");
        host
    }

    /// What `vcp ps` says of it, if it is there.
    fn ps(&self) -> Option<Value> {
        self.user.json(&["ps"]).get(0).cloned()
    }

    /// Clients that come and go: a line at the level DEBUG each.
    fn come_and_go(&self, count: usize) {
        for _ in 0..count {
            let greeting = connected(&self.socket).read_exact(&mut [0; 18]);
            greeting.expect("it greets");
        }
    }

    /// The disk is as it should be.
    fn check_io(&self) {
        let mut disk = Connection::to(&self.socket, "ram");
        disk.write(4096, &[7; 4096]).expect("a write");
        assert_eq!(disk.read(4096, 4096).expect("a read"), [7; 4096]);
    }

    /// It ends in time, and well.
    fn end(mut self) {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let ended = || self.child.try_wait().expect("a child");
        let status = poll(END, ended).expect("SIGTERM did not end it");
        assert!(status.success(), "{status}");
        assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(mut command: Command, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Child {
    let child = command.stdout(stdout).stderr(stderr).spawn();
    child.expect("starting a host")
}

/// The listener's queue may be full for a moment.
fn connected(socket: &Path) -> UnixStream {
    let connect = || UnixStream::connect(socket).ok();
    let stream = poll(LIMIT, connect);
    let stream = stream.unwrap_or_else(|| panic!("nobody accepts at {}", socket.display()));
    stream.set_read_timeout(Some(LIMIT)).expect("not zero");
    stream
}

/// A pipe that holds little.
fn pipe() -> (File, OwnedFd) {
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&write, 4096).expect("a size");
    (read.into(), write)
}

#[test]
fn a_stderr_that_nobody_reads_stops_nothing() {
    let (mut unread, stderr) = pipe();
    let host = Host::start("debug", Stdio::null(), stderr, &[]);
    host.come_and_go(FLOOD);
    host.check_io();
    let lost = || host.ps()?["log"]["lost"].as_u64().filter(|lost| *lost > 0);
    let lost = poll(LIMIT, lost).expect("lost lines are counted");
    let metrics = host.user.say(&["metrics"]);
    let told = metrics
        .lines()
        .find(|line| line.starts_with("vcp_log_lost_total "));
    let told = told
        .expect("a metric")
        .rsplit(' ')
        .next()
        .unwrap_or_default();
    assert!(told.parse::<u64>().expect("a number") >= lost, "{told}");
    // There is room again: one line says how many were lost.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let mut piece = [0; 65536];
        while !text.contains("lines of the log were lost") {
            let count = unread.read(&mut piece).expect("a log");
            assert!(count > 0, "the log has ended");
            text += &String::from_utf8_lossy(&piece[..count]);
        }
        (unread, text)
    });
    let read = || reader.is_finished().then_some(());
    assert!(poll(LIMIT, read).is_some(), "it does not say what was lost");
    let (_unread, text) = reader.join().expect("it read");
    let line = text
        .lines()
        .find(|line| line.contains("log were lost"))
        .expect("there");
    let count = line
        .split_whitespace()
        .find_map(|word| word.parse::<u64>().ok());
    assert!(count >= Some(lost), "{line}");
    host.end();
}

#[test]
fn a_stderr_that_nobody_reads_keeps_no_host_from_ending() {
    let (_unread, stderr) = pipe();
    let host = Host::start("debug", Stdio::null(), stderr, &[]);
    host.come_and_go(2000);
    host.check_io();
    host.end();
}

#[test]
fn a_stderr_that_is_closed_is_no_reason_to_end() {
    let (closed, stderr) = pipe();
    drop(closed);
    let host = Host::start("debug", Stdio::null(), stderr, &[]);
    host.come_and_go(200);
    host.check_io();
    host.end();
}

#[test]
fn a_stdout_that_is_full_or_closed_stops_nothing() {
    let (mut full, stdout) = pipe();
    rustix::io::write(&stdout, &[b'x'; 4096]).expect("room");
    let host = Host::start("warn", stdout, Stdio::null(), &[]);
    host.check_io();
    // Once there is room, it says where it serves.
    let mut text = vec![0; 4096];
    full.read_exact(&mut text).expect("what was there");
    let mut piece = [0; 4096];
    let count = full.read(&mut piece).expect("a line");
    assert!(String::from_utf8_lossy(&piece[..count]).starts_with("nbd+unix:///ram?socket="));
    host.end();
    let (_full, stdout) = pipe();
    rustix::io::write(&stdout, &[b'x'; 4096]).expect("room");
    let host = Host::start("warn", stdout, Stdio::null(), &[]);
    host.check_io();
    host.end();
    let (closed, stdout) = pipe();
    drop(closed);
    let host = Host::start("warn", stdout, Stdio::null(), &[]);
    host.check_io();
    host.end();
}

/// The commands that print and end: they say so, and do not panic.
#[test]
fn commands_whose_stdout_is_closed_fail_in_one_line() {
    let user = User::new();
    let module = user.dir().join("ramdisk.wasm");
    let ramdisk = vcp_builtin::find("ramdisk").expect("it ships inside");
    fs::write(&module, ramdisk.bytes).expect("writing a module");
    let host = user.ram("ram");
    let module = module.display().to_string();
    for line in [
        &["ps"][..],
        &["inspect", "ram"],
        &["metrics"],
        &["doctor"],
        &["check", &module],
        &["run", "ramdisk", "size=1MiB", "--dump-config"],
        &["demo", "--size", "1MiB"],
    ] {
        let (closed, stdout) = pipe();
        drop(closed);
        let child = spawn(user.command(line), stdout, Stdio::piped());
        let outcome = child.wait_with_output().expect("it ran");
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        assert_eq!(outcome.status.code(), Some(1), "{line:?}: {stderr}");
        assert!(stderr.contains("stdout"), "{line:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{line:?}: {stderr}");
    }
    host.shut_down();
}

#[test]
fn a_file_has_every_line_of_a_burst() {
    let user = User::new();
    let path = user.dir().join("log");
    let file = File::create(&path).expect("a file");
    let host = Host::start("debug", Stdio::null(), file, &[]);
    host.come_and_go(5000);
    let log = || fs::read_to_string(&path).unwrap_or_default();
    let count = || log().matches("during negotiation").count();
    let all = || (count() == 5000).then_some(());
    assert!(poll(LIMIT, all).is_some(), "{} of 5000 lines", count());
    assert_eq!(host.ps().expect("it runs")["log"]["lost"], 0);
    host.end();
}

/// What a host logs of a fault in a file that it is told is the journal: its device, and
/// its inode or one that is so many numbers away.
fn in_the_journal(away: u64) -> String {
    let user = User::new();
    let path = user.dir().join("log");
    let file = File::create(&path).expect("a file");
    let found = file.metadata().expect("it is there");
    let journal = format!("{}:{}", found.dev(), found.ino() + away);
    let mut command = user.command(&["run", "ramdisk", "size=8MiB", "--name", "ram"]);
    command.env("JOURNAL_STREAM", journal).stdin(Stdio::null());
    let child = spawn(command, Stdio::null(), file);
    let socket = PathBuf::new();
    let host = Host {
        child,
        socket,
        user,
    };
    let state = |wanted: &'static str| {
        let there = || host.ps().filter(|ps| ps["vcps"][0]["state"] == wanted);
        assert!(poll(LIMIT, there).is_some(), "not {wanted}");
    };
    state("ready");
    host.user.say(&["inject", "ram", "trap"]);
    state("held");
    let told = || {
        fs::read_to_string(&path)
            .is_ok_and(|log| log.contains("failed: "))
            .then_some(())
    };
    assert!(poll(LIMIT, told).is_some(), "it says nothing");
    let log = fs::read_to_string(&path).expect("a log");
    host.end();
    log
}

#[test]
fn lines_for_the_journal_begin_with_their_priority() {
    let log = in_the_journal(0);
    for line in log.lines() {
        let begins = ["<3>vcp::", "<4>vcp::", "<6>vcp::"];
        assert!(begins.iter().any(|begin| line.starts_with(begin)), "{line}");
    }
    assert!(log.contains("<3>vcp::follow: failed: "), "{log}");
    assert!(log.contains("<4>vcp::follow: trap: "), "{log}");
    let elsewhere = in_the_journal(1);
    assert!(
        elsewhere.contains("Z ERROR vcp::follow: failed: "),
        "{elsewhere}"
    );
    assert!(!elsewhere.contains("<3>"), "{elsewhere}");
}

/// Asks for an export of this name, the way that can only fail by being closed.
fn ask(mut stream: TcpStream, name: &[u8]) {
    let mut asked = 3_u32.to_be_bytes().to_vec();
    asked.extend(b"IHAVEOPT");
    asked.extend(1_u32.to_be_bytes());
    asked.extend(u32::try_from(name.len()).expect("short").to_be_bytes());
    asked.extend(name);
    let _ = stream.write_all(&asked);
    // Until it is closed.
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_client_can_not_fill_the_log() {
    let user = User::new();
    let path = user.dir().join("log");
    let file = File::create(&path).expect("a file");
    let nbd = ["--nbd", "tcp:127.0.0.1:0"];
    let (mut said, stdout) = rustix::pipe::pipe()
        .map(|(r, w)| (File::from(r), w))
        .expect("a pipe");
    let host = Host::start("info", stdout, file, &nbd);
    let mut text = [0; 4096];
    let count = said.read(&mut text).expect("its addresses");
    let text = String::from_utf8_lossy(&text[..count]).into_owned();
    let port = text
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let address = format!("127.0.0.1:{}", port.expect("a port"));
    let asked = 1000;
    for _ in 0..asked {
        ask(
            TcpStream::connect(&address).expect("it listens"),
            &[0x1b; 4096],
        );
    }
    let left_out = host.ps().expect("it runs")["log"]["left-out"].as_u64();
    host.check_io();
    host.end();
    let log = fs::read_to_string(&path).expect("a log");
    assert!(log.len() < 32 << 10, "{} bytes", log.len());
    assert!(!log.contains('\u{1b}'));
    let longest = log.lines().map(str::len).max().unwrap_or(0);
    assert!(longest < 600, "{longest}");
    let lines = log.lines().filter(|line| line.contains("refused during"));
    let line = lines.clone().next().expect("it is told of");
    assert!(line.contains("more characters)"), "{line}");
    let more = log
        .lines()
        .find(|line| line.contains("more like this from tcp:127.0.0.1 in the last"));
    let more = more.unwrap_or_else(|| panic!("no word of what was left out\n{log}"));
    let count = more
        .split("… ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let count: u64 = count
        .expect("a count")
        .replace(',', "")
        .parse()
        .expect("a number");
    // Each is told of or counted.
    assert_eq!(lines.count() as u64 - 1 + count, asked);
    assert_eq!(left_out, Some(count));
}

/// What is said while a module is compiled, at this setting.
fn compiling(setting: &str) -> String {
    let user = User::new();
    let mut command = user.command(&["run", "ramdisk", "size=1MiB", "--run", "true"]);
    command
        .env("XDG_CACHE_HOME", user.dir().join("cache"))
        .env("VCP_LOG", setting);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_compiler_is_silent_unless_it_is_named() {
    let compiler = |log: &str| {
        let from = |line: &&str| {
            line.contains(" cranelift") || line.contains(" regalloc2") || line.contains(" wasmtime")
        };
        log.lines().filter(from).count()
    };
    let quiet = compiling("debug");
    assert_eq!(compiler(&quiet), 0, "{quiet}");
    assert!(quiet.contains("DEBUG vcp"), "{quiet}");
    assert!(compiler(&compiling("debug,cranelift_codegen=debug")) > 10);
}

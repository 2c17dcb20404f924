//! A service manager for tests: starts one program as systemd does, takes its
//! notifications, and keeps descriptors for it from one process to the next.
//!
//! ```text
//! service-manager DIRECTORY [NAME=PATH…] -- PROGRAM ARGUMENT…
//! ```
//!
//! Makes a listening unix socket at each PATH and passes it under NAME. Does what is
//! written, a line each, to the pipe `commands` in DIRECTORY: `restart` the program,
//! `kill` and restart it, `reload` it (SIGHUP), have it `away` until it is to be `back`,
//! `stop` both; `socket NAME=PATH` restarts it and starts a socket unit in between. Says what happens in lines on standard output.

mod store;

use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};

use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use store::Store;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How soon an end is noticed that nobody asked for.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// The shell is the process that becomes the program, and so knows its number.
const TELL_PID: &str = r#"[ -z "$LISTEN_FDS" ] || export LISTEN_PID=$$
[ -z "$WATCHDOG_USEC" ] || export WATCHDOG_PID=$$
exec "$@""#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Manager::new(&arguments).and_then(|mut manager| manager.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("service-manager: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells whoever reads; nobody does any more when that fails.
fn say(what: impl Display) {
    let _ = writeln!(std::io::stdout(), "{what}");
}

struct Manager {
    program: Vec<String>,
    commands: File,
    store: Store,
    /// Of socket units.
    passed: Vec<(String, OwnedFd)>,
    notify: PathBuf,
}

impl Manager {
    fn new(arguments: &[String]) -> Result<Self> {
        let split = arguments.iter().position(|word| word == "--");
        let (before, program) = arguments.split_at(split.ok_or("no program")?);
        let (directory, units) = before.split_first().ok_or("no directory")?;
        let directory = Path::new(directory);
        let commands = directory.join("commands");
        mknodat(CWD, &commands, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Also for writing: so it does not end with who has written last.
        let mut open = File::options();
        open.read(true).write(true);
        open.custom_flags(i32::try_from(OFlags::NONBLOCK.bits())?);
        let notify = directory.join("notify");
        Ok(Self {
            program: program[1..].to_vec(),
            commands: open.open(commands)?,
            store: Store::new(&notify)?,
            passed: units
                .iter()
                .map(|unit| listen(unit))
                .collect::<Result<_>>()?,
            notify,
        })
    }

    fn serve(&mut self) -> Result<()> {
        let mut child = self.start()?;
        loop {
            let mut ready = [
                PollFd::new(&self.store, PollFlags::IN),
                PollFd::new(&self.commands, PollFlags::IN),
            ];
            poll(&mut ready, Some(&TICK))?;
            self.store.receive()?;
            if let Some(status) = child.try_wait()? {
                self.store.receive()?;
                return Err(format!("it ended by itself: {status}").into());
            }
            for command in self.commands()?.lines() {
                match command {
                    "reload" => signal(&child, Signal::HUP)?,
                    "restart" => {
                        self.end(&mut child, Signal::TERM)?;
                        child = self.start()?;
                    }
                    "kill" => {
                        self.end(&mut child, Signal::KILL)?;
                        child = self.start()?;
                    }
                    "away" => {
                        self.end(&mut child, Signal::TERM)?;
                        self.wait_for("back")?;
                        child = self.start()?;
                    }
                    "stop" => return self.end(&mut child, Signal::TERM),
                    unit if unit.starts_with("socket ") => {
                        self.end(&mut child, Signal::TERM)?;
                        let unit = unit.trim_start_matches("socket ");
                        // As systemd has it, who finds another's socket there.
                        if let Some((_, path)) = unit.split_once('=') {
                            let _ = std::fs::remove_file(path);
                        }
                        self.passed.push(listen(unit)?);
                        child = self.start()?;
                    }
                    other => return Err(format!("unexpected {other:?}").into()),
                }
            }
        }
    }

    /// Whole lines: each is written at once.
    fn commands(&mut self) -> Result<String> {
        let mut bytes = [0; 4096];
        match self.commands.read(&mut bytes) {
            Ok(count) => Ok(String::from_utf8(bytes[..count].to_vec())?),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(String::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn wait_for(&mut self, wanted: &str) -> Result<()> {
        loop {
            let mut ready = [PollFd::new(&self.commands, PollFlags::IN)];
            poll(&mut ready, None)?;
            match self.commands()?.trim_end() {
                "" => {}
                command if command == wanted => return Ok(()),
                other => return Err(format!("unexpected {other:?}").into()),
            }
        }
    }

    fn start(&mut self) -> Result<Child> {
        self.store.drop_hung_up()?;
        let given = || self.passed.iter().chain(self.store.newest_first());
        let names: Vec<&str> = given().map(|(name, _)| name.as_str()).collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", TELL_PID, "sh"]).args(&self.program);
        command.env("NOTIFY_SOCKET", &self.notify);
        if !names.is_empty() {
            command.env("LISTEN_FDS", names.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
        }
        let mapped = given().zip(3..).map(|((_, descriptor), child_fd)| {
            let parent_fd = descriptor.try_clone()?;
            Ok(FdMapping {
                parent_fd,
                child_fd,
            })
        });
        command.fd_mappings(mapped.collect::<Result<_>>()?)?;
        let child = command.spawn()?;
        say(format_args!(
            "started {} with {}",
            child.id(),
            names.join(",")
        ));
        Ok(child)
    }

    /// Has it end, and takes in what it says until then.
    fn end(&mut self, child: &mut Child, how: Signal) -> Result<()> {
        signal(child, how)?;
        loop {
            let mut ready = [PollFd::new(&self.store, PollFlags::IN)];
            poll(&mut ready, Some(&TICK))?;
            let ended = child.try_wait()?;
            self.store.receive()?;
            if let Some(status) = ended {
                say(format_args!("ended {}", code(status)));
                return Ok(());
            }
        }
    }
}

/// A socket unit, `NAME=PATH`.
fn listen(unit: &str) -> Result<(String, OwnedFd)> {
    let (name, path) = unit.split_once('=').ok_or("a unit is NAME=PATH")?;
    Ok((name.to_owned(), UnixListener::bind(path)?.into()))
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    Ok(kill_process(Pid::from_child(child), signal)?)
}

fn code(status: ExitStatus) -> i32 {
    let signal = || -status.signal().unwrap_or(0);
    status.code().unwrap_or_else(signal)
}

impl AsFd for Store {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket()
    }
}

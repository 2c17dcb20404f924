//! Other programs, run to their end; their complaints become one line.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Output, Stdio};

use crate::Error;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program(pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const BLKID: Program = Program("blkid", "util-linux");
pub(crate) const MOUNT: Program = Program("mount", "mount");
pub(crate) const UMOUNT: Program = Program("umount", "mount");
pub(crate) const LOSETUP: Program = Program("losetup", "mount");
pub(crate) const NBDFUSE: Program = Program("nbdfuse", "libnbd-bin");

/// Where administrators' programs are, whatever `PATH` says.
const MORE: &str = "/usr/local/sbin:/usr/sbin:/sbin";

impl Program {
    /// The command without arguments. Its messages are in English, like those of this
    /// program.
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(self.0);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{path}:{MORE}"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program, whether or not it succeeds.
    pub(crate) fn output(self, arguments: &[&OsStr]) -> Result<Output, Error> {
        let output = self.command().args(arguments).output();
        output.map_err(|error| self.not_started(error))
    }

    /// Runs the program, which must succeed; returns its output without the last newline.
    pub(crate) fn run(self, arguments: &[&OsStr]) -> Result<String, Error> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            let said = one_line(&String::from_utf8_lossy(&output.stderr), self.0);
            let said = match said.is_empty() {
                true => output.status.to_string(),
                false => said,
            };
            return Err(Error::Failed {
                program: self.0,
                said,
            });
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.trim_end().to_owned())
    }

    pub(crate) fn not_started(self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => Error::NoProgram {
                program: self.0,
                package: self.1,
            },
            _ => Error::at(self.0)(error),
        }
    }
}

/// A program's message, without its own name, hints and line ends.
pub(crate) fn one_line(text: &str, program: &str) -> String {
    let own = format!("{program}: ");
    let lines = text.lines().map(str::trim);
    let said = lines
        .filter(|line| !line.is_empty() && !line.starts_with("dmesg(1)"))
        .map(|line| line.strip_prefix(&own).unwrap_or(line));
    said.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_one_line() {
        let said = "mount: /mnt: wrong fs type.\n       dmesg(1) may have more information.\n";
        assert_eq!(one_line(said, "mount"), "/mnt: wrong fs type.");
    }

    #[test]
    fn what_is_missing_is_named() {
        let none = Program("no-such-program-here", "nowhere");
        let error = none.run(&[]).unwrap_err().to_string();
        assert!(error.contains("no-such-program-here: not found"), "{error}");
        let fails = Program("false", "coreutils").run(&[]).unwrap_err();
        assert_eq!(fails.to_string(), "false: exit status: 1");
    }
}

//! The keys that are typed, and whether the terminal is still there.
//!
//! The terminal is read here and nowhere else: one that has gone away gives an end of its
//! input for ever, and a loop that goes on reading that uses a whole CPU.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};

/// The terminal's input, in raw mode.
#[derive(Debug)]
pub(super) struct Keyboard(OwnedFd);

/// What happened at the keyboard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Nothing, for as long as was waited, or a signal came.
    Nothing,
    /// Keys were pressed, in the order of the list.
    Keys(Vec<Key>),
    /// The terminal is gone.
    Gone,
}

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter or other character of ASCII.
    Letter(char),
    /// Escape.
    Escape,
    /// Control and C.
    Interrupt,
}

impl Keyboard {
    /// Opens standard input where that is a terminal, else the terminal of the session.
    pub(super) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Ok(Self(stdin.as_fd().try_clone_to_owned()?));
        }
        Ok(Self(File::open("/dev/tty")?.into()))
    }

    /// Waits for something to happen, for so long at most.
    pub(super) fn wait(&self, patience: Duration) -> io::Result<Happened> {
        let patience = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut watched, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Happened::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if watched[0].revents().intersects(gone) {
            return Ok(Happened::Gone);
        }
        let mut bytes = [0; 64];
        match read(&self.0, &mut bytes) {
            // It went away just now, or is another session's.
            Ok(0) | Err(Errno::IO) => Ok(Happened::Gone),
            Ok(count) => Ok(Happened::Keys(keys(&bytes[..count]))),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Happened::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the terminal is gone.
    pub(super) fn is_gone(&self) -> bool {
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        poll(&mut watched, Some(&now)).is_ok() && watched[0].revents().intersects(gone)
    }
}

/// Escape alone is a key; before anything else it begins a key such as an arrow, none
/// of which means anything here.
fn keys(bytes: &[u8]) -> Vec<Key> {
    match bytes {
        [0x1b] => vec![Key::Escape],
        [0x1b, ..] => Vec::new(),
        _ => bytes.iter().filter_map(|&byte| key(byte)).collect(),
    }
}

fn key(byte: u8) -> Option<Key> {
    match byte {
        0x03 => Some(Key::Interrupt),
        b' '..=b'~' => Some(Key::Letter(byte.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys() {
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys(b"\x1b[A"), []);
        assert_eq!(keys(b"s\x03"), [Key::Letter('s'), Key::Interrupt]);
        assert_eq!(keys("\u{e9}\r".as_bytes()), []);
    }

    #[test]
    fn an_end_of_the_input_is_the_end() {
        let (there, typed) = rustix::pipe::pipe().unwrap();
        let keyboard = Keyboard(there);
        let wait = || keyboard.wait(Duration::from_millis(20)).unwrap();
        assert_eq!(wait(), Happened::Nothing);
        rustix::io::write(&typed, b"q").unwrap();
        assert_eq!(wait(), Happened::Keys(vec![Key::Letter('q')]));
        assert!(!keyboard.is_gone());
        drop(typed);
        assert!(keyboard.is_gone());
        assert_eq!(wait(), Happened::Gone);
        assert_eq!(
            Keyboard(File::open("/dev/null").unwrap().into())
                .wait(Duration::ZERO)
                .unwrap(),
            Happened::Gone
        );
    }
}

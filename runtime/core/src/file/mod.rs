//! The host's side of `vcp:file/files`: files of the host in granted directories.
//!
//! `access` opens them, within a grant and as it allows; `range` does what WASI has no calls
//! for; this file checks every argument, and reaches no other bytes of the guest than those
//! of the spans it names. File operations run on the channel processor's thread, as those of
//! WASI do: each is bounded in length, and `patience` bounds how long all of one call may
//! take.

mod access;
mod patience;
mod range;

use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::io::Errno;
use wasmtime::component::Resource;

use crate::bindings::block::Status;
use crate::bindings::files::{Access, Host, HostFile};
use crate::bindings::types::Span;
use crate::state::State;
use access::Made;
pub(crate) use patience::{Patience, Spent};

/// Longest read, write or zeroing of one call, in bytes.
const MAX_BYTES: u32 = 16 << 20;
/// Longest hole of one call, in bytes.
const MAX_HOLE: u32 = 64 << 20;
/// The cost of a call beside the time that the file system takes, in fuel.
const CALL_FUEL: u64 = 2000;

/// An open file.
#[expect(unreachable_pub, reason = "what is generated re-exports it")]
pub struct OpenFile {
    file: Arc<std::fs::File>,
    writable: bool,
    /// Its drop removes a new file that is still empty.
    _made: Option<Made>,
}

type Answer<T> = wasmtime::Result<Result<T, Status>>;

/// The guest named bytes that it does not have.
#[derive(Debug, thiserror::Error)]
#[error("span of {length} bytes at {address:#x} is not in its memory ({what})")]
pub(crate) struct BadSpan {
    pub(crate) what: &'static str,
    pub(crate) address: u32,
    pub(crate) length: u32,
}

impl BadSpan {
    fn new(what: &'static str, span: Span) -> Self {
        let Span { address, length } = span;
        Self {
            what,
            address,
            length,
        }
    }
}

impl State {
    /// Begins a call on a file: charges for it, and looks the file up.
    fn opened(&mut self, file: &Resource<OpenFile>) -> wasmtime::Result<OpenFile> {
        self.call(CALL_FUEL)?;
        self.patience().begin();
        let OpenFile { file, writable, .. } = self.resources().get(file)?;
        Ok(OpenFile {
            file: Arc::clone(file),
            writable: *writable,
            _made: None,
        })
    }

    /// Ends a call, and accounts for the time that it took.
    fn done<T>(&mut self, value: T) -> wasmtime::Result<T> {
        self.patience().end()?;
        self.back(value)
    }

    /// The bytes of a span that the guest named as `what`.
    fn span(&mut self, what: &'static str, span: Span) -> wasmtime::Result<&[u8]> {
        let Span { address, length } = span;
        let memory = self.linear_memory().map(|memory| &*memory);
        let bytes = memory.and_then(|memory| memory.slice(address, length).ok());
        bytes.ok_or_else(|| wasmtime::Error::new(BadSpan::new(what, span)))
    }

    /// As `span`, to write.
    fn span_mut(&mut self, what: &'static str, span: Span) -> wasmtime::Result<&mut [u8]> {
        let Span { address, length } = span;
        let memory = self.linear_memory();
        let bytes = memory.and_then(|memory| memory.slice_mut(address, length).ok());
        bytes.ok_or_else(|| wasmtime::Error::new(BadSpan::new(what, span)))
    }
}

impl Host for State {}

impl HostFile for State {
    fn open(
        &mut self,
        path: String,
        access: Access,
    ) -> wasmtime::Result<Result<Resource<OpenFile>, String>> {
        self.call(CALL_FUEL)?;
        self.patience().begin();
        let opened = access::open(self.grants(), &path, access).and_then(|file| {
            let pushed = self.resources().push(file);
            pushed.map_err(|_| access::OpenError::TooMany)
        });
        let opened = opened.map_err(|error| error.to_string());
        self.done(opened)
    }

    fn identity(&mut self, file: Resource<OpenFile>) -> Answer<String> {
        let OpenFile { file, .. } = self.opened(&file)?;
        self.done(identity(&file).map_err(status))
    }

    fn size(&mut self, file: Resource<OpenFile>) -> Answer<u64> {
        let OpenFile { file, .. } = self.opened(&file)?;
        self.done(file.metadata().map(|m| m.len()).map_err(status))
    }

    fn grow(&mut self, file: Resource<OpenFile>, size: u64) -> Answer<()> {
        let file = self.opened(&file)?;
        self.done(file.writable().and_then(|file| {
            let before = file.metadata().map_err(status)?.len();
            if before > size || size > i64::MAX as u64 {
                return Err(Status::Invalid);
            }
            file.set_len(size).map_err(status)
        }))
    }

    fn read(&mut self, file: Resource<OpenFile>, offset: u64, room: Span) -> Answer<()> {
        let OpenFile { file, .. } = self.opened(&file)?;
        let done = match bounded(offset, room.length, MAX_BYTES) {
            Ok(()) => {
                let room = self.span_mut("room", room)?;
                file.read_exact_at(room, offset).map_err(status)
            }
            Err(error) => Err(error),
        };
        self.done(done)
    }

    fn write(&mut self, file: Resource<OpenFile>, offset: u64, data: Span) -> Answer<()> {
        let file = self.opened(&file)?;
        let done = match file.changeable(offset, data.length, MAX_BYTES) {
            Ok(file) => {
                let data = self.span("data", data)?;
                file.write_all_at(data, offset).map_err(status)
            }
            Err(error) => Err(error),
        };
        self.done(done)
    }

    fn sync(&mut self, file: Resource<OpenFile>) -> Answer<()> {
        let OpenFile { file, .. } = self.opened(&file)?;
        self.done(file.sync_data().map_err(status))
    }

    fn punch(&mut self, file: Resource<OpenFile>, offset: u64, length: u32) -> Answer<()> {
        let file = self.opened(&file)?;
        let allowed = file.changeable(offset, length, MAX_HOLE);
        self.done(allowed.and_then(|file| range::punch(file, offset, length).map_err(status)))
    }

    fn zero(&mut self, file: Resource<OpenFile>, offset: u64, length: u32) -> Answer<()> {
        let file = self.opened(&file)?;
        let allowed = file.changeable(offset, length, MAX_BYTES);
        self.done(allowed.and_then(|file| range::zero(file, offset, length).map_err(status)))
    }

    fn extents(
        &mut self,
        file: Resource<OpenFile>,
        offset: u64,
        length: u32,
        room: Span,
    ) -> Answer<u32> {
        let OpenFile { file, .. } = self.opened(&file)?;
        let room = self.span_mut("room", room)?;
        let told = bounded(offset, length, u32::MAX)
            .and_then(|()| range::extents(&file, offset, length, room).map_err(status));
        self.done(told)
    }

    fn drop(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<()> {
        self.call(0)?;
        self.patience().begin();
        self.resources().delete(file)?;
        self.done(())
    }
}

impl OpenFile {
    fn writable(&self) -> Result<&std::fs::File, Status> {
        self.writable
            .then_some(&*self.file)
            .ok_or(Status::NotPermitted)
    }

    /// The file, if this range of it exists and may be changed.
    fn changeable(&self, offset: u64, length: u32, most: u32) -> Result<&std::fs::File, Status> {
        bounded(offset, length, most)?;
        let file = self.writable()?;
        let size = file.metadata().map_err(status)?.len();
        let there = offset.saturating_add(u64::from(length)) <= size;
        there.then_some(file).ok_or(Status::IoError)
    }
}

/// The identity of a file: its device and its number there. That number goes to another file
/// when this one is gone, so its time of creation is part of it, where the file system knows
/// that.
fn identity(file: &std::fs::File) -> io::Result<String> {
    let found = file.metadata()?;
    let (device, number) = (found.dev(), found.ino());
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let made = found.created().ok();
    let made = made.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let made = made.map_or(0, |time| time.as_nanos());
    Ok(format!("file {major}:{minor} {number} {made}"))
}

/// Checks a range against what a file can have and a call may do.
fn bounded(offset: u64, length: u32, most: u32) -> Result<(), Status> {
    let end = offset.checked_add(u64::from(length));
    let fits = length <= most && end.is_some_and(|end| end <= i64::MAX as u64);
    fits.then_some(()).ok_or(Status::Invalid)
}

/// The status of a block request for an error of the operating system.
fn status(error: io::Error) -> Status {
    let Some(errno) = error.raw_os_error() else {
        // Such as a file that ends early.
        return Status::IoError;
    };
    match Errno::from_raw_os_error(errno) {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Status::NoSpace,
        Errno::PERM | Errno::ACCESS | Errno::ROFS | Errno::TXTBSY => Status::NotPermitted,
        Errno::NOMEM => Status::NoMemory,
        Errno::INVAL | Errno::OVERFLOW => Status::Invalid,
        Errno::OPNOTSUPP | Errno::NOSYS => Status::NotSupported,
        _ => Status::IoError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_operating_system_are_told_apart() {
        for (errno, expected) in [
            (Errno::NOSPC, Status::NoSpace),
            (Errno::DQUOT, Status::NoSpace),
            (Errno::FBIG, Status::NoSpace),
            (Errno::PERM, Status::NotPermitted),
            (Errno::ACCESS, Status::NotPermitted),
            (Errno::ROFS, Status::NotPermitted),
            (Errno::TXTBSY, Status::NotPermitted),
            (Errno::NOMEM, Status::NoMemory),
            (Errno::INVAL, Status::Invalid),
            (Errno::OVERFLOW, Status::Invalid),
            (Errno::OPNOTSUPP, Status::NotSupported),
            (Errno::NOSYS, Status::NotSupported),
            (Errno::IO, Status::IoError),
            (Errno::BADF, Status::IoError),
            (Errno::STALE, Status::IoError),
        ] {
            assert_eq!(status(errno.into()), expected, "{errno}");
        }
        let short = io::ErrorKind::UnexpectedEof.into();
        assert_eq!(status(short), Status::IoError);
    }

    #[test]
    fn ranges_are_bounded() {
        assert!(bounded(0, MAX_BYTES, MAX_BYTES).is_ok());
        assert!(bounded(i64::MAX as u64 - 1, 1, 1).is_ok());
        for (offset, length) in [
            (0, MAX_BYTES + 1),
            (i64::MAX as u64, 1),
            (u64::MAX, 1),
            (u64::MAX, u32::MAX),
        ] {
            assert_eq!(bounded(offset, length, MAX_BYTES), Err(Status::Invalid));
        }
    }
}

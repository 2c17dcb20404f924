//! The file as a disk, and the operations on it.

use alloc::format;
use alloc::string::String;

use vcp_sdk::block::{Geometry, Modifiers, Operation, Request, Status};
use vcp_sdk::types::Span;
use vcp_sdk::{Arena, log};

use crate::NOTHING;
use crate::backing::Backing;
use crate::options::Options;

/// The longest transfer of one request, in bytes.
pub(crate) const MAX_TRANSFER: u32 = 1 << 20;
/// The longest discard of one request, in bytes: other requests wait for the file system.
const MAX_DISCARD: u32 = 64 << 20;
/// The longest zeroing of one request, in bytes; the zeroes may have to be written.
const MAX_ZEROES: u32 = 16 << 20;

/// The advice to an operator who has repaired the file.
const RESTART: &str = "`vcp restart` takes what is there";

pub(crate) struct Disk {
    file: Backing,
    size: u64,
    /// The size that the operator wants, in bytes.
    wanted: Option<u64>,
    /// Whether an earlier instance has served clients with it.
    served: bool,
    read_only: bool,
    name: String,
    identity: String,
}

impl Disk {
    /// Opens the file. `served` is the device's identity as clients were told it, empty
    /// if they were not. No blank file may replace the data of clients who were told: the
    /// file is then neither created nor extended, and must be the same.
    pub(crate) fn open(options: &Options, served: &str) -> Result<Self, String> {
        let Options {
            path,
            size,
            read_only,
        } = options;
        let named = |what: &str| format!("config.path: {path}: {what}");
        let failed = |status: Status| named(describe(status));
        let fresh = served.is_empty();
        let create = fresh && !read_only && size.is_some();
        let file = Backing::open(path, !read_only, create).map_err(|error| match fresh {
            true => named(&error),
            false => named(&format!("{error}, and it was served; {RESTART}")),
        })?;
        let identity = file.identity().map_err(failed)?;
        if !fresh && identity != served {
            let other = format!("is another file than was served; {RESTART}");
            return Err(named(&other));
        }
        let length = file.size().map_err(failed)?;
        let mut disk = Self {
            file,
            size: length,
            wanted: *size,
            served: !fresh,
            read_only: *read_only,
            name: path.clone(),
            identity,
        };
        if let Some(size) = *size
            && create
            && length < size
        {
            disk.file.grow(size).map_err(failed)?;
            disk.size = size;
        }
        disk.sufficient()?;
        Ok(disk)
    }

    /// Checks the file again before it is first served: it may have been open for a long
    /// time.
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        self.look()?;
        self.sufficient()
    }

    /// Adopts the file's current length. The host, which knows the clients, judges
    /// whether it is shorter than they were told.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        let named = |what: &str| format!("config.path: {}: {what}", self.name);
        match self.file.size() {
            Ok(0) => Err(named("holds nothing any more")),
            Ok(length) => {
                self.size = length;
                Ok(())
            }
            Err(status) => Err(named(describe(status))),
        }
    }

    /// Checks that it has at least the size that the operator wants.
    fn sufficient(&self) -> Result<(), String> {
        let Self { name, size, .. } = self;
        if *size >= self.wanted.unwrap_or(1) {
            return Ok(());
        }
        let what = match (self.wanted, self.served) {
            (None, true) => "holds nothing any more".into(),
            (None, false) => "holds nothing; give a size".into(),
            (Some(_), true) => format!("holds {size} bytes, less than was served; {RESTART}"),
            (Some(_), false) if self.read_only => {
                format!("holds {size} bytes, less than config.size, and is read-only")
            }
            (Some(_), false) => format!("holds {size} bytes, less than config.size"),
        };
        Err(format!("config.path: {name}: {what}"))
    }

    /// The disk has the file's length in bytes: an incomplete last block is not left out.
    pub(crate) fn geometry(&self) -> Geometry {
        let writable = |most| if self.read_only { 0 } else { most };
        Geometry {
            size: self.size,
            block_size: 1,
            preferred_block_size: 4096,
            max_transfer: MAX_TRANSFER,
            max_discard: writable(MAX_DISCARD),
            max_write_zeroes: writable(MAX_ZEROES),
            extents: true,
            read_only: self.read_only,
            write_cache: true,
            identity: self.identity.clone(),
        }
    }

    /// Executes a request, and returns where the answer is if it is not in the request's
    /// own span.
    pub(crate) fn execute(&mut self, request: &Request, data: &mut Arena) -> Result<Span, Status> {
        self.attempt(request, data).inspect_err(|status| {
            let Request {
                operation,
                offset,
                length,
                ..
            } = request;
            let (operation, what) = (name(*operation), describe(*status));
            log!(
                Warn,
                "{}: {operation} of {length} bytes at {offset}: {what}",
                self.name
            );
        })
    }

    fn attempt(&self, request: &Request, data: &mut Arena) -> Result<Span, Status> {
        let &Request {
            operation,
            offset,
            length,
            ..
        } = request;
        let end = offset.checked_add(u64::from(length));
        if end.is_none_or(|end| end > self.size) {
            return Err(Status::Invalid);
        }
        let changes = matches!(
            operation,
            Operation::Write | Operation::Discard | Operation::WriteZeroes
        );
        if changes && self.read_only {
            return Err(Status::NotPermitted);
        }
        match operation {
            Operation::Read => self.file.read(offset, request.data, data)?,
            Operation::Write => self.file.write(offset, request.data, data)?,
            Operation::Flush => self.file.sync()?,
            Operation::Discard => self.discard(offset, length)?,
            Operation::WriteZeroes => {
                let keep = request.modifiers.contains(Modifiers::NO_UNMAP);
                self.zero(offset, length, keep)?;
            }
            Operation::Extents => {
                let room = request.data;
                let length = self.file.extents(offset, length, room, data)?;
                return Ok(Span { length, ..room });
            }
        }
        if changes && request.modifiers.contains(Modifiers::FUA) {
            self.file.sync()?;
        }
        Ok(NOTHING)
    }

    /// A discard is only advice, so a file system without holes succeeds too.
    fn discard(&self, offset: u64, length: u32) -> Result<(), Status> {
        match self.file.punch(offset, length) {
            Err(Status::NotSupported) => Ok(()),
            done => done,
        }
    }

    /// A hole reads as zeroes at no cost; zeroes are written if the space is to be kept,
    /// or there are no holes.
    fn zero(&self, offset: u64, length: u32, keep: bool) -> Result<(), Status> {
        let done = match keep {
            true => Err(Status::NotSupported),
            false => self.file.punch(offset, length),
        };
        match done {
            Err(Status::NotSupported) => self.file.zero(offset, length),
            done => done,
        }
    }
}

fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "read",
        Operation::Write => "write",
        Operation::Flush => "flush",
        Operation::Discard => "discard",
        Operation::WriteZeroes => "write-zeroes",
        Operation::Extents => "extents",
    }
}

fn describe(status: Status) -> &'static str {
    match status {
        Status::Ok => "done",
        Status::IoError => "an error of the medium, or the file ends before",
        Status::Invalid => "it makes no sense for this file",
        Status::NoSpace => {
            "the file system is full, a quota is used up, or a file may not be so long"
        }
        Status::NotPermitted => "the file must not be written",
        Status::NotSupported => "this file system can't do it",
        Status::ShuttingDown => "the host is going away",
        Status::NoMemory => "the host is out of memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(operation: Operation, offset: u64, data: Span) -> Request {
        Request {
            tag: 1,
            operation,
            modifiers: Modifiers::empty(),
            offset,
            length: data.length,
            data,
        }
    }

    #[test]
    fn a_new_file_is_made_and_keeps_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let options = Options {
            path: path.to_str().unwrap().to_owned(),
            size: Some(4096),
            read_only: false,
        };
        let mut disk = Disk::open(&options, "").unwrap();
        let mut data = Arena::new(4096, 0);
        let span = Span {
            address: 0,
            length: 512,
        };
        data.get_mut(span).unwrap().fill(7);
        disk.execute(&request(Operation::Write, 1024, span), &mut data)
            .unwrap();
        data.get_mut(span).unwrap().fill(0);
        disk.execute(&request(Operation::Read, 1024, span), &mut data)
            .unwrap();
        assert!(data.get(span).unwrap().iter().all(|byte| *byte == 7));
        let beyond = request(Operation::Read, 4096, span);
        let refused = disk.execute(&beyond, &mut data);
        assert_eq!(refused.unwrap_err(), Status::Invalid);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    }

    #[test]
    fn a_read_only_file_refuses_writes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1000).unwrap();
        let mut options = Options {
            path: file.path().to_str().unwrap().to_owned(),
            size: None,
            read_only: true,
        };
        let mut disk = Disk::open(&options, "").unwrap();
        let geometry = disk.geometry();
        assert_eq!((geometry.size, geometry.block_size), (1000, 1));
        assert!(geometry.read_only);
        assert_eq!((geometry.max_discard, geometry.max_write_zeroes), (0, 0));
        let span = Span {
            address: 0,
            length: 512,
        };
        let write = request(Operation::Write, 0, span);
        let refused = disk.execute(&write, &mut Arena::new(512, 0));
        assert_eq!(refused.unwrap_err(), Status::NotPermitted);
        for operation in [Operation::Discard, Operation::WriteZeroes] {
            let asked = request(operation, 0, span);
            let refused = disk.execute(&asked, &mut Arena::new(512, 0));
            assert_eq!(refused.unwrap_err(), Status::NotPermitted);
        }
        options.size = Some(4096);
        let short = Disk::open(&options, "").err().unwrap();
        assert!(
            short.ends_with("less than config.size, and is read-only"),
            "{short}"
        );
    }

    #[test]
    fn every_byte_of_a_file_is_served() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut options = Options {
            path: file.path().to_str().unwrap().to_owned(),
            size: None,
            read_only: false,
        };
        let empty = Disk::open(&options, "").err().unwrap();
        assert!(empty.ends_with("holds nothing; give a size"), "{empty}");
        options.size = Some(1001);
        let mut disk = Disk::open(&options, "").unwrap();
        let mut data = Arena::new(4096, 0);
        let span = Span {
            address: 0,
            length: 3,
        };
        data.get_mut(span).unwrap().copy_from_slice(b"end");
        disk.execute(&request(Operation::Write, 998, span), &mut data)
            .unwrap();
        assert!(std::fs::read(file.path()).unwrap().ends_with(b"\0end"));
        file.as_file().set_len(1003).unwrap();
        disk.look().unwrap();
        assert_eq!(disk.geometry().size, 1003);
    }

    #[test]
    fn what_was_served_is_neither_made_nor_grown_nor_taken_for_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let options = Options {
            path: path.to_str().unwrap().to_owned(),
            size: Some(4096),
            read_only: false,
        };
        let served = Disk::open(&options, "").unwrap().geometry().identity;
        let again = Disk::open(&options, &served).unwrap();
        assert_eq!(again.geometry().identity, served);
        let refused = |what: &str| {
            let why = Disk::open(&options, &served).err().unwrap();
            assert!(why.contains(what) && why.ends_with(RESTART), "{why}");
        };
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(512).unwrap();
        refused("disk.img: holds 512 bytes, less than was served; ");
        assert_eq!(file.metadata().unwrap().len(), 512);
        // While the file is open, no other gets its inode number.
        std::fs::remove_file(&path).unwrap();
        refused("and it was served; ");
        assert!(!path.exists());
        std::fs::write(&path, [0; 4096]).unwrap();
        refused("disk.img: is another file than was served; ");
        Disk::open(&options, "").unwrap();
    }

    #[test]
    fn one_that_waited_serves_the_file_as_it_is_by_then() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1000).unwrap();
        let mut options = Options {
            path: file.path().to_str().unwrap().to_owned(),
            size: None,
            read_only: false,
        };
        let mut disk = Disk::open(&options, "").unwrap();
        file.as_file().set_len(2000).unwrap();
        disk.begin().unwrap();
        assert_eq!(disk.geometry().size, 2000);
        options.size = Some(2000);
        let served = disk.geometry().identity;
        let mut disk = Disk::open(&options, &served).unwrap();
        file.as_file().set_len(1000).unwrap();
        let why = disk.begin().unwrap_err();
        assert!(
            why.contains("holds 1000 bytes, less than was served"),
            "{why}"
        );
        // A rescan reports its current size.
        disk.look().unwrap();
        assert_eq!(disk.geometry().size, 1000);
        file.as_file().set_len(0).unwrap();
        assert!(disk.look().unwrap_err().contains("holds nothing any more"));
    }

    #[test]
    fn zeroes_are_written_where_there_are_no_holes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 4096]).unwrap();
        let options = Options {
            path: file.path().to_str().unwrap().to_owned(),
            size: None,
            read_only: false,
        };
        let mut disk = Disk::open(&options, "").unwrap();
        let mut data = Arena::new(4096, 0);
        let mut ask = |operation, offset, length| {
            let span = Span { address: 0, length };
            disk.execute(&request(operation, offset, span), &mut data)
        };
        ask(Operation::Discard, 0, 512).unwrap();
        ask(Operation::WriteZeroes, 1000, 100).unwrap();
        assert_eq!(
            ask(Operation::Extents, 0, 4096).unwrap_err(),
            Status::NotSupported
        );
        let bytes = std::fs::read(file.path()).unwrap();
        let zeroes = bytes.iter().filter(|byte| **byte == 0).count();
        assert_eq!((zeroes, &bytes[1000..1100]), (100, &[0; 100][..]));
    }
}

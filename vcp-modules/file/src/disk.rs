//! The file as a disk, and the operations on it.

use alloc::format;
use alloc::string::String;

use vcp_sdk::block::{Geometry, Modifiers, Operation, Request, Status};
use vcp_sdk::types::Span;
use vcp_sdk::{Arena, log};

use crate::NOTHING;
use crate::backing::Backing;
use crate::options::Options;

/// Longest transfer of one request, in bytes.
pub(crate) const MAX_TRANSFER: u32 = 1 << 20;
/// Longest hole of one request, in bytes: the file system does it while others wait.
const MAX_DISCARD: u32 = 64 << 20;
/// Longest zeroing of one request, in bytes; they may have to be written.
const MAX_ZEROES: u32 = 16 << 20;

pub(crate) struct Disk {
    file: Backing,
    size: u64,
    read_only: bool,
    name: String,
}

impl Disk {
    pub(crate) fn open(options: &Options) -> Result<Self, String> {
        let Options {
            path,
            size,
            read_only,
        } = options;
        let named = |what: &str| format!("config.path: {path}: {what}");
        let failed = |status: Status| named(describe(status));
        let create = !read_only && size.is_some();
        let file = Backing::open(path, !read_only, create).map_err(|error| named(&error))?;
        let mut length = file.size().map_err(failed)?;
        if let Some(size) = *size
            && length < size
        {
            if *read_only {
                let less = format!("holds {length} bytes, less than config.size, and is read-only");
                return Err(named(&less));
            }
            file.grow(size).map_err(failed)?;
            length = size;
        }
        if length == 0 {
            return Err(named("holds nothing; give a size"));
        }
        Ok(Self {
            file,
            size: length,
            read_only: *read_only,
            name: path.clone(),
        })
    }

    /// Takes a file that has grown for as long as it is now. What one has lost is
    /// told by the requests for it.
    pub(crate) fn look(&mut self) {
        match self.file.size() {
            Ok(length) => self.size = self.size.max(length),
            Err(status) => log!(Warn, "{}: its size: {}", self.name, describe(status)),
        }
    }

    /// A file is made of bytes, and so is the disk: none of them is left out for being
    /// less than a block.
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
            identity: self.name.clone(),
        }
    }

    /// Does what a request asks, and returns where the answer lies if it is not in the
    /// request's own span.
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

    /// It is advice, so a file system without holes has taken it.
    fn discard(&self, offset: u64, length: u32) -> Result<(), Status> {
        match self.file.punch(offset, length) {
            Err(Status::NotSupported) => Ok(()),
            done => done,
        }
    }

    /// A hole reads as zeroes, and costs nothing; unless the space is to be kept, or there
    /// are no holes.
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
        let mut disk = Disk::open(&options).unwrap();
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
        let mut disk = Disk::open(&options).unwrap();
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
        let short = Disk::open(&options).err().unwrap();
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
        let empty = Disk::open(&options).err().unwrap();
        assert!(empty.ends_with("holds nothing; give a size"), "{empty}");
        options.size = Some(1001);
        let mut disk = Disk::open(&options).unwrap();
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
        disk.look();
        assert_eq!(disk.geometry().size, 1003);
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
        let mut disk = Disk::open(&options).unwrap();
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

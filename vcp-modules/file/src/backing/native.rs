//! A file of the operating system, without holes.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use vcp_sdk::Arena;
use vcp_sdk::block::Status;
use vcp_sdk::types::Span;

pub(crate) struct Backing(File);

impl Backing {
    pub(crate) fn open(path: &str, write: bool, create: bool) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        options.read(true).write(write).create(create);
        let opened = options.open(path);
        opened.map(Self).map_err(|error| error.to_string())
    }

    pub(crate) fn identity(&self) -> Result<String, Status> {
        let found = done(self.0.metadata())?;
        Ok(format!("file {} {}", found.dev(), found.ino()))
    }

    pub(crate) fn size(&self) -> Result<u64, Status> {
        done(self.0.metadata().map(|metadata| metadata.len()))
    }

    pub(crate) fn grow(&self, size: u64) -> Result<(), Status> {
        done(self.0.set_len(size))
    }

    pub(crate) fn read(&self, offset: u64, room: Span, data: &mut Arena) -> Result<(), Status> {
        let room = data.get_mut(room).ok_or(Status::Invalid)?;
        done(self.0.read_exact_at(room, offset))
    }

    pub(crate) fn write(&self, offset: u64, from: Span, data: &Arena) -> Result<(), Status> {
        let bytes = data.get(from).ok_or(Status::Invalid)?;
        done(self.0.write_all_at(bytes, offset))
    }

    pub(crate) fn sync(&self) -> Result<(), Status> {
        done(self.0.sync_data())
    }

    #[expect(clippy::unused_self, reason = "same shape as in a component")]
    pub(crate) fn punch(&self, _offset: u64, _length: u32) -> Result<(), Status> {
        Err(Status::NotSupported)
    }

    pub(crate) fn zero(&self, offset: u64, length: u32) -> Result<(), Status> {
        done(self.0.write_all_at(&vec![0; length as usize], offset))
    }

    #[expect(clippy::unused_self, reason = "same shape as in a component")]
    pub(crate) fn extents(
        &self,
        _offset: u64,
        _length: u32,
        _room: Span,
        _data: &mut Arena,
    ) -> Result<u32, Status> {
        Err(Status::NotSupported)
    }
}

/// Tests do not distinguish errors.
fn done<T>(result: io::Result<T>) -> Result<T, Status> {
    result.map_err(|_| Status::IoError)
}

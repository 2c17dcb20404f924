//! `vcp:file/files`: the host itself reads and writes the spans.

use alloc::string::String;

use vcp_sdk::Arena;
use vcp_sdk::block::Status;
use vcp_sdk::files::{Access, File};
use vcp_sdk::types::Span;

pub(crate) struct Backing(File);

impl Backing {
    pub(crate) fn open(path: &str, write: bool, create: bool) -> Result<Self, String> {
        let mut access = Access::empty();
        access.set(Access::WRITE, write);
        access.set(Access::CREATE, create);
        File::open(path, access).map(Self)
    }

    pub(crate) fn identity(&self) -> Result<String, Status> {
        self.0.identity()
    }

    pub(crate) fn size(&self) -> Result<u64, Status> {
        self.0.size()
    }

    pub(crate) fn grow(&self, size: u64) -> Result<(), Status> {
        self.0.grow(size)
    }

    pub(crate) fn read(&self, offset: u64, room: Span, _: &mut Arena) -> Result<(), Status> {
        self.0.read(offset, room)
    }

    pub(crate) fn write(&self, offset: u64, data: Span, _: &Arena) -> Result<(), Status> {
        self.0.write(offset, data)
    }

    pub(crate) fn sync(&self) -> Result<(), Status> {
        self.0.sync()
    }

    pub(crate) fn punch(&self, offset: u64, length: u32) -> Result<(), Status> {
        self.0.punch(offset, length)
    }

    pub(crate) fn zero(&self, offset: u64, length: u32) -> Result<(), Status> {
        self.0.zero(offset, length)
    }

    /// Returns how many bytes of `room` were used.
    pub(crate) fn extents(
        &self,
        offset: u64,
        length: u32,
        room: Span,
        _: &mut Arena,
    ) -> Result<u32, Status> {
        self.0.extents(offset, length, room)
    }
}

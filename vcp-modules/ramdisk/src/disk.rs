//! The disk itself: bytes, and the operations on them.

use alloc::format;
use alloc::string::{String, ToString};

use vcp_sdk::Arena;
use vcp_sdk::block::{Geometry, Operation, Request, Status};
use vcp_sdk::types::Span;

/// Longest transfer of one request, in bytes.
pub(crate) const MAX_TRANSFER: u32 = 1 << 20;

pub(crate) const BLOCK: u32 = 512;

pub(crate) struct Disk {
    bytes: Arena,
}

impl Disk {
    pub(crate) fn new(size: u64) -> Result<Self, String> {
        let size = u32::try_from(size)
            .map_err(|_| format!("config.size: {size} bytes are more than a component can hold"))?;
        let bytes = Arena::try_new(size, 0).ok_or_else(|| {
            format!("config.size: {size} bytes do not fit into this VCP's memory; raise `memory`")
        })?;
        Ok(Self { bytes })
    }

    /// The contents.
    pub(crate) fn bytes(&self) -> &[u8] {
        let all = self.bytes.span();
        self.bytes.get(all).expect("an arena holds its own span")
    }

    /// The contents, to change.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let all = self.bytes.span();
        self.bytes
            .get_mut(all)
            .expect("an arena holds its own span")
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            size: self.bytes().len() as u64,
            block_size: BLOCK,
            preferred_block_size: 4096,
            max_transfer: MAX_TRANSFER,
            max_discard: 1 << 30,
            max_write_zeroes: 1 << 30,
            read_only: false,
            write_cache: false,
            identity: "ramdisk".to_string(),
        }
    }

    /// Does what a request asks and returns where the data of a read lies: in
    /// place, the host reads it before the next call.
    pub(crate) fn execute(&mut self, request: &Request, data: &mut Arena) -> Result<Span, Status> {
        let range = self.range(request)?;
        match request.operation {
            Operation::Read => self.read(request, range, data),
            Operation::Write => {
                let payload = data.get(request.data).ok_or(Status::Invalid)?;
                if payload.len() != range.len() {
                    return Err(Status::Invalid);
                }
                self.bytes_mut()[range].copy_from_slice(payload);
                Ok(NOTHING)
            }
            Operation::Discard | Operation::WriteZeroes => {
                self.bytes_mut()[range].fill(0);
                Ok(NOTHING)
            }
            Operation::Flush => Ok(NOTHING),
        }
    }

    #[cfg(target_arch = "wasm32")]
    #[expect(clippy::unused_self, reason = "same shape as the native one")]
    fn read(
        &self,
        _request: &Request,
        range: core::ops::Range<usize>,
        _data: &mut Arena,
    ) -> Result<Span, Status> {
        Ok(Span {
            address: self.bytes.span().address + range.start as u32,
            length: range.len() as u32,
        })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn read(
        &self,
        request: &Request,
        range: core::ops::Range<usize>,
        data: &mut Arena,
    ) -> Result<Span, Status> {
        let room = data.get_mut(request.data).ok_or(Status::Invalid)?;
        if room.len() != range.len() {
            return Err(Status::Invalid);
        }
        room.copy_from_slice(&self.bytes()[range]);
        Ok(request.data)
    }

    fn range(&self, request: &Request) -> Result<core::ops::Range<usize>, Status> {
        let start = usize::try_from(request.offset).map_err(|_| Status::Invalid)?;
        let end = start
            .checked_add(request.length as usize)
            .ok_or(Status::Invalid)?;
        if end > self.bytes().len() {
            return Err(Status::Invalid);
        }
        Ok(start..end)
    }
}

const NOTHING: Span = Span {
    address: 0,
    length: 0,
};

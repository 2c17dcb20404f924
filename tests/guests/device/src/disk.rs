//! The part that works: 1 MiB in memory.

use alloc::vec;
use alloc::vec::Vec;

use vcp_sdk::block::{Operation, Request};
use vcp_sdk::types::Span;
use vcp_sdk::{Arena, Extent};

use crate::NOTHING;

pub(crate) const SIZE: usize = 1 << 20;

pub(crate) struct Disk {
    bytes: Vec<u8>,
    /// What was last told of how it is allocated.
    told: [u8; Extent::SIZE],
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; SIZE],
            told: [0; Extent::SIZE],
        }
    }

    /// The contents.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes over the contents of another.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        self.bytes.copy_from_slice(bytes);
    }

    /// Does what a request asks and returns where the data of a read lies. The
    /// host keeps requests inside the device.
    pub(crate) fn execute(&mut self, request: &Request, data: &Arena) -> Span {
        let start = request.offset as usize;
        let range = start..start + request.length as usize;
        match request.operation {
            Operation::Read => {
                return Span {
                    address: self.bytes[range].as_ptr().addr() as u32,
                    length: request.length,
                };
            }
            Operation::Write => {
                let payload = data.get(request.data).expect("a span in the data area");
                self.bytes[range].copy_from_slice(payload);
            }
            Operation::Discard | Operation::WriteZeroes => self.bytes[range].fill(0),
            Operation::Flush => {}
            Operation::Extents => return self.extents(request),
        }
        NOTHING
    }

    /// All data.
    fn extents(&mut self, request: &Request) -> Span {
        let all = Extent {
            length: request.length,
            hole: false,
            zero: false,
        };
        self.told = all.encode();
        Span {
            address: self.told.as_ptr().addr() as u32,
            length: self.told.len() as u32,
        }
    }
}

//! Requests: each slot has a place of its own on the disk and in the data area, and
//! performs one operation after the other there.

use alloc::vec;
use alloc::vec::Vec;

use vcp_sdk::Arena;
use vcp_sdk::block::{Completion, Modifiers, Operation, Request, Status};
use vcp_sdk::types::Span;

/// The number of requests at a time.
pub(crate) const SLOTS: usize = 32;
/// The number of bytes of the disk that belong to a slot.
const PLACE: usize = 128 << 10;
pub(crate) const DISK: u64 = (SLOTS * PLACE) as u64;

pub(crate) struct Load {
    /// The expected contents of the disk.
    model: Vec<u8>,
    under_way: Vec<Option<Request>>,
    random: u64,
    tag: u64,
    pub(crate) done: u64,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self {
            model: vec![0; DISK as usize],
            under_way: vec![None; SLOTS],
            random: 1,
            tag: 0,
            done: 0,
        }
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.under_way.iter().flatten().count()
    }

    /// Makes a request for every idle slot.
    pub(crate) fn submit(&mut self, data: &mut Arena) -> Vec<Request> {
        let free: Vec<_> = (0..SLOTS)
            .filter(|slot| self.under_way[*slot].is_none())
            .collect();
        free.into_iter()
            .map(|slot| self.request(slot, data))
            .collect()
    }

    fn request(&mut self, slot: usize, data: &mut Arena) -> Request {
        let blocks = 1 + self.random() % 128;
        let first = self.random() % (256 - blocks + 1);
        let (offset, length) = (slot * PLACE + first * 512, blocks * 512);
        let area = Span {
            address: data.span().address + (slot * PLACE) as u32,
            length: length as u32,
        };
        let (operation, offset, area) = match self.random() % 8 {
            0..4 => (Operation::Read, offset, area),
            4..7 => (Operation::Write, offset, area),
            _ => (Operation::Flush, 0, Span { length: 0, ..area }),
        };
        let fill = self.random() as u8;
        match operation {
            Operation::Write => {
                let bytes = &mut self.model[offset..offset + length];
                bytes.fill(fill);
                data.get_mut(area).unwrap().copy_from_slice(bytes);
            }
            // The buffer is filled with other bytes, so that read data must come from the
            // disk.
            _ => data.get_mut(area).unwrap().fill(!fill),
        }
        self.tag += 1;
        let request = Request {
            tag: self.tag,
            operation,
            modifiers: Modifiers::empty(),
            offset: offset as u64,
            length: area.length,
            data: area,
        };
        self.under_way[slot] = Some(request);
        request
    }

    /// Handles an answer, and checks the read data.
    pub(crate) fn complete(&mut self, completion: &Completion, data: &Arena) {
        let matching = |r: &Option<Request>| r.is_some_and(|r| r.tag == completion.tag);
        let slot = self.under_way.iter().position(matching);
        let request = slot.and_then(|slot| self.under_way[slot].take());
        let request = request.expect("an answer to a question");
        assert_eq!(completion.status, Status::Ok, "{request:?}");
        if request.operation == Operation::Read {
            let start = request.offset as usize;
            let expected = &self.model[start..start + request.length as usize];
            assert!(data.get(request.data).unwrap() == expected, "{request:?}");
        }
        self.done += 1;
    }

    fn random(&mut self) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize
    }
}

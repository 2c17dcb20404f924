//! A device in memory.

use std::ops::Range;

use vcp_queue::{ClientRequest, Geometry, Operation, Status};

pub(crate) struct Disk {
    pub(crate) geometry: Geometry,
    pub(crate) bytes: Vec<u8>,
    /// The range that fails, and the status.
    pub(crate) bad: Option<(Range<u64>, Status)>,
}

impl Disk {
    pub(crate) fn new(size: u64, block_size: u32) -> Self {
        Self {
            geometry: Geometry {
                size,
                block_size,
                preferred_block_size: 16384,
                max_transfer: 1 << 20,
                max_discard: 1 << 30,
                max_write_zeroes: 1 << 30,
                extents: false,
                read_only: false,
                write_cache: true,
                identity: "memory".into(),
            },
            bytes: vec![0; usize::try_from(size).unwrap()],
            bad: None,
        }
    }

    /// Checks what every client must have ensured, and changes the bytes.
    pub(crate) fn apply(&mut self, request: &ClientRequest) -> Status {
        let range = self.range(request);
        let writes = !matches!(request.operation, Operation::Read | Operation::Flush);
        assert!(!(writes && self.geometry.read_only), "{request:?}");
        assert_eq!(
            request.length == 0,
            request.operation == Operation::Flush,
            "{request:?}"
        );
        let wants = if request.operation == Operation::Write {
            range.len()
        } else {
            0
        };
        assert_eq!(request.payload.len(), wants, "{request:?}");
        if let Some((bad, status)) = &self.bad
            && (range.start as u64) < bad.end
            && bad.start < range.end as u64
        {
            return *status;
        }
        match request.operation {
            Operation::Read | Operation::Flush | Operation::Extents => {}
            Operation::Write => self.bytes[range].copy_from_slice(&request.payload),
            Operation::WriteZeroes => self.bytes[range].fill(0),
            // Discarded bytes, on which nobody may rely, are made visible.
            Operation::Discard => self.bytes[range].fill(0xdd),
        }
        Status::Ok
    }

    /// The byte range of a request; panics if it is not inside the disk.
    pub(crate) fn range(&self, request: &ClientRequest) -> Range<usize> {
        let start = usize::try_from(request.offset).unwrap();
        let end = start + request.length as usize;
        assert!(end <= self.bytes.len(), "{request:?}");
        start..end
    }
}

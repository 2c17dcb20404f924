//! What has to be done for one client request on a device with a given
//! geometry: whole blocks of bounded length, and blocks that are changed in part.
//!
//! Pure arithmetic; [`crate::table`] carries the plan out.

use crate::block::{Geometry, Operation};
use crate::extent;

/// A part of a request: either whole blocks, or some bytes of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where the bytes lie on the device.
    pub(crate) offset: u64,
    /// The number of bytes.
    pub(crate) length: u32,
    /// What is done to them.
    pub(crate) kind: Kind,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads whole blocks that contain the bytes.
    Read,
    /// Writes whole blocks: the payload, or zeroes.
    Write,
    /// Reads the block, changes these bytes of it, writes it. Nothing else may change
    /// the block meanwhile.
    Modify,
    /// Flush, discard, write-zeroes and extents as they are.
    Plain,
}

/// The steps of a request: at most a block changed in part, whole blocks, and another block
/// changed in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    steps: [Option<Step>; 3],
}

impl Plan {
    pub(crate) fn new(operation: Operation, offset: u64, length: u32, geometry: &Geometry) -> Self {
        let step = |offset, length, kind| {
            Some(Step {
                offset,
                length,
                kind,
            })
        };
        match operation {
            Operation::Flush => Self {
                steps: [step(0, 0, Kind::Plain), None, None],
            },
            Operation::Read => Self {
                steps: [step(offset, length, Kind::Read), None, None],
            },
            // A client asks again about what is beyond the range of one entry.
            Operation::Extents => {
                let length = length.min(extent::MOST);
                let asked = step(offset, length, Kind::Plain).filter(|_| geometry.extents);
                Self {
                    steps: [asked, None, None],
                }
            }
            Operation::Write => Self::changing(offset, length, Kind::Write, geometry),
            Operation::WriteZeroes if geometry.max_write_zeroes == 0 => {
                Self::changing(offset, length, Kind::Write, geometry)
            }
            Operation::WriteZeroes => Self::changing(offset, length, Kind::Plain, geometry),
            // A discard is advice, so parts of blocks are left alone.
            Operation::Discard => {
                let [_, middle, _] = Self::changing(offset, length, Kind::Plain, geometry).steps;
                Self {
                    steps: [None, middle.filter(|_| geometry.max_discard > 0), None],
                }
            }
        }
    }

    fn changing(offset: u64, length: u32, kind: Kind, geometry: &Geometry) -> Self {
        let block = u64::from(geometry.block_size);
        let end = offset + u64::from(length);
        let first_whole = offset.next_multiple_of(block).min(end);
        let end_whole = (end - end % block).max(first_whole);
        let step = |from: u64, to: u64, kind| {
            (to > from).then(|| Step {
                offset: from,
                length: (to - from) as u32,
                kind,
            })
        };
        let head = step(offset, first_whole, Kind::Modify);
        Self {
            steps: [
                head,
                step(first_whole, end_whole, kind),
                step(end_whole, end, Kind::Modify),
            ],
        }
    }

    /// The `n`th step, or `None` after the last.
    pub(crate) fn step(&self, n: usize) -> Option<Step> {
        self.steps.iter().flatten().nth(n).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::geometry;

    #[test]
    fn aligned_requests_are_one_step() {
        let plan = Plan::new(Operation::Write, 4096, 8192, &geometry());
        assert_eq!(
            plan.step(0),
            Some(Step {
                offset: 4096,
                length: 8192,
                kind: Kind::Write
            })
        );
        assert_eq!(plan.step(1), None);
        assert!(
            plan.steps
                .iter()
                .flatten()
                .all(|step| step.kind != Kind::Modify)
        );
    }

    #[test]
    fn a_few_bytes_in_one_block_are_one_modify() {
        let plan = Plan::new(Operation::Write, 10, 20, &geometry());
        assert_eq!(
            plan.step(0),
            Some(Step {
                offset: 10,
                length: 20,
                kind: Kind::Modify
            })
        );
        assert_eq!(plan.step(1), None);
    }

    #[test]
    fn a_discard_shrinks_to_whole_blocks() {
        let plan = Plan::new(Operation::Discard, 10, 1024, &geometry());
        assert_eq!(
            plan.step(0),
            Some(Step {
                offset: 512,
                length: 512,
                kind: Kind::Plain
            })
        );
        assert_eq!(plan.step(1), None);
        assert_eq!(
            Plan::new(Operation::Discard, 10, 20, &geometry()).step(0),
            None
        );
    }

    proptest! {
        /// The steps of a write cover its bytes exactly, in order, and only a
        /// modify is not made of whole blocks.
        #[test]
        fn steps_cover_the_range(offset in 0u64..100_000, length in 1u32..100_000) {
            let geometry = geometry();
            let plan = Plan::new(Operation::Write, offset, length, &geometry);
            let mut at = offset;
            for n in 0.. {
                let Some(step) = plan.step(n) else { break };
                prop_assert_eq!(step.offset, at);
                at += u64::from(step.length);
                let block = u64::from(geometry.block_size);
                if step.kind == Kind::Modify {
                    prop_assert_eq!(step.offset / block, (at - 1) / block);
                } else {
                    prop_assert_eq!((step.offset % block, at % block), (0, 0));
                }
            }
            prop_assert_eq!(at, offset + u64::from(length));
        }
    }
}

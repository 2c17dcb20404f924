//! What each block of a disk may hold, from what its client asked and what it was
//! answered.
//!
//! A block may hold what the last acknowledged write left; while writes are in
//! flight, what any of them leaves too; after a failed write, either. A write
//! that was acknowledged after another had been acknowledged and submitted leaves
//! nothing of that one. Whatever else a block holds is wrong.

use std::ops::Range;

use super::content::Version;

/// When something happened: counts calls.
pub type Time = u64;

/// Content that a block may have, and since when it was certain.
#[derive(Debug, Clone, Copy)]
struct Settled {
    version: Version,
    at: Time,
    /// Acknowledged while the code that answered was not to be trusted.
    doubtful: bool,
}

/// Content that a block may get.
#[derive(Debug, Clone, Copy)]
struct Flying {
    version: Version,
    since: Time,
}

#[derive(Debug, Clone)]
struct Block {
    settled: Vec<Settled>,
    flying: Vec<Flying>,
    /// What was settled, and till when; kept while reads are in flight.
    gone: Vec<(Version, Time)>,
    readers: u32,
}

/// A change in flight.
#[derive(Debug, Clone)]
pub struct Write {
    blocks: Range<u32>,
    version: Version,
    since: Time,
}

/// A read in flight.
#[derive(Debug, Clone)]
pub struct Read {
    blocks: Range<u32>,
    since: Time,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was acknowledged.
    Done,
    /// It may or may not have happened.
    Maybe,
}

/// The model of one disk.
#[derive(Debug, Clone)]
pub struct Model {
    blocks: Vec<Block>,
    time: Time,
    doubt: bool,
}

impl Model {
    /// A disk of zeroes.
    pub fn new(blocks: u32) -> Self {
        let zeroes = Settled {
            version: 0,
            at: 0,
            doubtful: false,
        };
        let block = Block {
            settled: vec![zeroes],
            flying: Vec::new(),
            gone: Vec::new(),
            readers: 0,
        };
        Self {
            blocks: vec![block; blocks as usize],
            time: 0,
            doubt: false,
        }
    }

    /// Blocks of the disk.
    pub fn len(&self) -> u32 {
        self.blocks.len() as u32
    }

    /// Whether it has no blocks.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// From now on acknowledgements are, or are not, of code that may lie.
    pub fn doubt(&mut self, doubt: bool) {
        self.doubt = doubt;
    }

    /// A change is submitted.
    pub fn write(&mut self, blocks: Range<u32>, version: Version) -> Write {
        self.time += 1;
        let since = self.time;
        for block in self.of(&blocks) {
            block.flying.push(Flying { version, since });
        }
        Write {
            blocks,
            version,
            since,
        }
    }

    /// A change was answered.
    pub fn written(&mut self, write: &Write, ended: Ended) {
        self.time += 1;
        let (now, doubtful) = (self.time, self.doubt);
        for block in self.of(&write.blocks) {
            let flight = |f: &Flying| f.version == write.version && f.since == write.since;
            if let Some(at) = block.flying.iter().position(flight) {
                block.flying.swap_remove(at);
            }
            if ended == Ended::Done {
                block.retire(now, |settled| settled.at < write.since);
            }
            block
                .settled
                .retain(|settled| settled.version != write.version);
            block.settled.push(Settled {
                version: write.version,
                at: now,
                doubtful,
            });
        }
    }

    /// A read is submitted.
    pub fn read(&mut self, blocks: Range<u32>) -> Read {
        self.time += 1;
        for block in self.of(&blocks) {
            block.readers += 1;
        }
        Read {
            blocks,
            since: self.time,
        }
    }

    /// A read was answered, with data or without. Returns how many blocks are
    /// wrong; `version` tells what was read, by the number of the block.
    pub fn has_read(
        &mut self,
        read: &Read,
        version: Option<&dyn Fn(u32) -> Option<Version>>,
    ) -> u32 {
        let mut wrong = 0;
        for (block, number) in self.of(&read.blocks).iter_mut().zip(read.blocks.clone()) {
            if let Some(version) = version {
                wrong += u32::from(!block.could_read(version(number), read.since));
            }
            block.readers -= 1;
            if block.readers == 0 {
                block.gone.clear();
            }
        }
        wrong
    }

    /// All of the disk's contents may have been replaced by zeroes.
    pub fn perhaps_zeroed(&mut self) {
        self.time += 1;
        for block in &mut self.blocks {
            if block.settled.iter().all(|settled| settled.version != 0) {
                block.settled.push(Settled {
                    version: 0,
                    at: self.time,
                    doubtful: true,
                });
            }
        }
    }

    /// Whether the block may hold this.
    pub fn may_hold(&self, block: u32, version: Option<Version>) -> bool {
        self.blocks
            .get(block as usize)
            .is_some_and(|block| block.may_hold(version))
    }

    /// Whether any of what the block should hold was acknowledged by code that
    /// may lie.
    pub fn is_doubtful(&self, block: u32) -> bool {
        self.blocks
            .get(block as usize)
            .is_some_and(|block| block.settled.iter().any(|settled| settled.doubtful))
    }

    /// The block was looked at, with nothing in flight, and holds this for
    /// certain.
    pub fn found(&mut self, block: u32, version: Version) {
        let at = self.time;
        if let Some(block) = self.blocks.get_mut(block as usize) {
            block.settled.clear();
            block.settled.push(Settled {
                version,
                at,
                doubtful: false,
            });
        }
    }

    fn of(&mut self, blocks: &Range<u32>) -> &mut [Block] {
        &mut self.blocks[blocks.start as usize..blocks.end as usize]
    }
}

impl Block {
    fn may_hold(&self, version: Option<Version>) -> bool {
        let Some(version) = version else { return false };
        self.settled
            .iter()
            .any(|settled| settled.version == version)
            || self.flying.iter().any(|flying| flying.version == version)
    }

    fn could_read(&self, version: Option<Version>, since: Time) -> bool {
        let held = |&(gone, until)| Some(gone) == version && until >= since;
        self.may_hold(version) || self.gone.iter().any(held)
    }

    fn retire(&mut self, now: Time, over: impl Fn(&Settled) -> bool) {
        if self.readers > 0 {
            let going = self.settled.iter().filter(|settled| over(settled));
            self.gone
                .extend(going.map(|settled| (settled.version, now)));
        }
        self.settled.retain(|settled| !over(settled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(model: &Model, versions: &[Version]) -> bool {
        (0..10).all(|v| model.may_hold(0, Some(v)) == versions.contains(&v))
    }

    #[test]
    fn a_write_in_flight_may_have_happened_and_an_acknowledged_one_has() {
        let mut model = Model::new(2);
        let write = model.write(0..1, 1);
        assert!(holds(&model, &[0, 1]));
        model.written(&write, Ended::Done);
        assert!(holds(&model, &[1]));
        assert!(!model.may_hold(0, None) && !model.may_hold(1, Some(1)));
    }

    #[test]
    fn of_two_writes_in_flight_at_once_either_may_be_last() {
        let mut model = Model::new(1);
        let (a, b) = (model.write(0..1, 1), model.write(0..1, 2));
        model.written(&a, Ended::Done);
        model.written(&b, Ended::Done);
        assert!(holds(&model, &[1, 2]));
        let c = model.write(0..1, 3);
        model.written(&c, Ended::Done);
        assert!(holds(&model, &[3]));
    }

    #[test]
    fn a_failed_write_may_have_happened_until_another_is_acknowledged() {
        let mut model = Model::new(1);
        let write = model.write(0..1, 1);
        model.written(&write, Ended::Maybe);
        assert!(holds(&model, &[0, 1]));
        let write = model.write(0..1, 2);
        model.written(&write, Ended::Done);
        assert!(holds(&model, &[2]));
    }

    #[test]
    fn a_read_sees_what_was_there_while_it_was_in_flight() {
        let mut model = Model::new(1);
        let read = model.read(0..1);
        let write = model.write(0..1, 1);
        model.written(&write, Ended::Done);
        let late = model.read(0..1);
        assert_eq!(model.has_read(&read, Some(&|_| Some(0))), 0);
        assert_eq!(model.has_read(&late, Some(&|_| Some(0))), 1);
        let read = model.read(0..1);
        assert_eq!(model.has_read(&read, Some(&|_| Some(1))), 0);
        let read = model.read(0..1);
        assert_eq!(model.has_read(&read, Some(&|_| None)), 1);
    }

    #[test]
    fn what_a_liar_acknowledged_is_doubtful() {
        let mut model = Model::new(2);
        model.doubt(true);
        let write = model.write(0..1, 1);
        model.written(&write, Ended::Done);
        model.doubt(false);
        assert!(model.is_doubtful(0) && !model.is_doubtful(1));
        model.found(0, 1);
        assert!(!model.is_doubtful(0));
    }
}

//! Whether a device serves again, and whether its disk holds what it should.

use std::time::{Duration, Instant};

use super::device::Device;
use super::world::World;
use crate::oracle::Tally;
use crate::oracle::content::{BLOCK, version_of};
use crate::oracle::load::Mode;

/// How long everything that was asked may take to be answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Blocks written that nobody had asked for, by code not to be trusted.
    pub(super) wrong_blocks: u64,
    /// Blocks that it acknowledged and that are not what they should be.
    pub(super) lost_blocks: u64,
    /// What can't be laid at its door.
    pub(super) failures: Vec<String>,
    /// Of all requests since the last time.
    pub(super) tally: Tally,
}

impl Found {
    /// What was answered wrongly is a failure.
    pub(super) fn blame(&mut self) {
        if self.tally.innocent() {
            return;
        }
        let tally = &self.tally;
        let first = tally.first.clone().unwrap_or_default();
        self.failures.push(format!(
            "with the good module: {} errors, {} wrong reads, {} answers to nothing; {first}",
            tally.trusted_errors, tally.trusted_wrong_reads, tally.unknown
        ));
    }
}

/// Waits until all that was asked is answered, compares the disk with what it
/// should hold, past the VCP and through it. The good module must be in charge.
pub(super) fn verify(world: &mut World, device: &mut Device) -> Found {
    let mut found = Found::default();
    device.client.set(Mode::Quiet);
    if !settle(world, device) {
        let left = device.client.lock().outstanding();
        let status = device.vcp.status();
        let what = format!("not serving: {left} requests unanswered, {status:?}");
        found.failures.push(what);
        return found;
    }
    compare(device, &mut found);
    if found.wrong_blocks + found.lost_blocks > 0 {
        device.client.lock().tally.excuse_reads();
    }
    device.client.scan();
    if !settle(world, device) {
        found.failures.push("not serving: a scan hangs".to_owned());
    }
    let mut state = device.client.lock();
    found.tally = std::mem::take(&mut state.tally);
    drop(state);
    found
}

/// Waits until everything is answered; the neighbour goes on meanwhile.
pub(super) fn settle(world: &mut World, device: &Device) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        world.pace();
        let slice = Duration::from_millis(1);
        if device.client.wait(slice, |state| state.outstanding() == 0) {
            return true;
        }
    }
    false
}

/// The disk itself against the model; what is wrong is set right in the model.
fn compare(device: &Device, found: &mut Found) {
    let Some(disk) = &device.disk else { return };
    let contents = disk.contents();
    let strays = disk.take_strays();
    let mut state = device.client.lock();
    let mut spoilt = false;
    for (block, bytes) in (0..).zip(contents.chunks_exact(BLOCK)) {
        let version = version_of(bytes, block);
        if !state.model.may_hold(block, version) {
            let stray = strays.iter().any(|s| s.block == block && s.doubtful);
            if stray {
                found.wrong_blocks += 1;
            } else if state.model.is_doubtful(block) {
                found.lost_blocks += 1;
            } else {
                let what = format!("block {block} holds {version:?}, which it should not");
                found.failures.push(what);
            }
        }
        match version {
            Some(version) => state.model.found(block, version),
            None => spoilt = true,
        }
    }
    let late = strays.iter().filter(|s| !s.doubtful).count();
    if late > 0 {
        let what = format!("{late} blocks written unasked while the good module was in charge");
        found.failures.push(what);
    }
    // Strays that were put right again by writes after them count as well.
    let strays = strays.iter().filter(|s| s.doubtful).count() as u64;
    found.wrong_blocks = found.wrong_blocks.max(strays);
    if spoilt {
        disk.reset();
        for block in 0..state.model.len() {
            state.model.found(block, 0);
        }
    }
}

//! What is loaded: components that nobody in their right mind would hand to a host. Those
//! made from nothing are `vcp-smith`'s, in files; here are those made of the modules that
//! are shipped. A seed makes the same one each time.

use std::path::Path;

use anyhow::{Context as _, Result};
use vcp_builtin::find;

use crate::mutate::{Mutator, strip};
use crate::random::Random;

/// The stream of a seed that makes the sample.
const STREAM: u64 = 11;
/// Changes to the bytes of a module that is shipped, at most.
const CHANGES: u64 = 24;

/// Makes samples.
pub struct Samples {
    shipped: Vec<Mutator>,
}

impl Samples {
    /// Of the modules that are built in.
    pub fn new() -> Result<Self> {
        let shipped = ["ramdisk", "iscsi"].map(|name| {
            let found = find(name).with_context(|| format!("no built-in module {name}"))?;
            Mutator::new(strip(found.bytes)?)
        });
        let shipped = shipped.into_iter().collect::<Result<_>>()?;
        Ok(Self { shipped })
    }

    /// The sample in a file, or else that of a seed; and how it was made.
    pub fn sample(&self, seed: u64, file: Option<&Path>) -> Result<(String, Vec<u8>)> {
        if let Some(file) = file {
            let kind = file.extension().unwrap_or_default().to_string_lossy();
            let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
            return Ok((kind.into_owned(), bytes));
        }
        let mut random = Random::of(seed, STREAM);
        // The smaller one mostly: it is loaded ten times as fast.
        let shipped = &self.shipped[usize::from(random.chance(1, 8))];
        Ok(if random.chance(1, 4) {
            ("operator".to_owned(), shipped.mutant(seed)?.bytes)
        } else {
            ("bytes".to_owned(), spoilt(shipped.original(), &mut random))
        })
    }
}

/// Some bytes changed, gone, or there twice.
fn spoilt(original: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(CHANGES) {
        let at = random.below(bytes.len() as u64) as usize;
        let end = bytes.len().min(at + random.below(64) as usize + 1);
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1..=5 => bytes[at] = random.bits() as u8,
            6 => _ = bytes.drain(at..end),
            _ => {
                let other = random.below(bytes.len() as u64) as usize;
                let piece = bytes[at..end].to_vec();
                bytes.splice(other..other, piece);
            }
        }
    }
    bytes
}

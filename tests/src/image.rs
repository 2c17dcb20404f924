//! Disk images with runs of random bytes and of zeros, the same for the same seed.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The SplitMix64 sequence: plenty for data that must not look like anything.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The next 64 bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless sequence needs no Option"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fills a buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// Writes an image of `size` bytes: runs of 4 KiB to 2 MiB, every other one
/// zero (and a hole in the file). The last sector is not zero, so that an image
/// cut short differs.
///
/// # Panics
/// When the file cannot be written.
pub fn write(path: &Path, size: u64, seed: u64) {
    let mut random = Random::new(seed);
    let file = File::create(path).expect("creating an image");
    file.set_len(size).expect("sizing an image");
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut at = 0;
    let mut buffer = vec![0; 2 << 20];
    let mut zero = false;
    while at < size {
        let run = (((random.next() % 512) + 1) << 12).min(size - at);
        if zero && at + run < size {
            file.seek(SeekFrom::Start(at + run))
                .expect("seeking in an image");
        } else {
            let run = &mut buffer[..usize::try_from(run).expect("at most 2 MiB")];
            random.fill(run);
            file.write_all(run).expect("writing an image");
        }
        zero = !zero;
        at += run;
    }
    file.flush().expect("writing an image");
}

/// Writes `size` random bytes, a multiple of 1 MiB, over an existing file.
///
/// # Panics
/// When the file cannot be written.
pub fn write_random(path: &Path, size: u64, seed: u64) {
    let mut random = Random::new(seed);
    let mut file = File::options()
        .write(true)
        .open(path)
        .expect("opening an image");
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..size >> 20 {
        random.fill(&mut buffer);
        file.write_all(&buffer).expect("writing an image");
    }
}

/// Compares two files byte by byte, as far as the shorter reaches, and says
/// where they first differ.
///
/// # Panics
/// When they differ or cannot be read.
pub fn assert_equal(left: &Path, right: &Path) {
    let mut files = [left, right].map(|path| File::open(path).expect("opening an image"));
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut at = 0;
    loop {
        let read: Vec<usize> = files
            .iter_mut()
            .zip(&mut buffers)
            .map(|(file, buffer)| read_full(file, buffer))
            .collect();
        let common = read[0].min(read[1]);
        let differs = (0..common).find(|&index| buffers[0][index] != buffers[1][index]);
        if let Some(index) = differs {
            panic!(
                "{} and {} differ first at byte {}",
                left.display(),
                right.display(),
                at + index
            );
        }
        if common < buffers[0].len() {
            return;
        }
        at += common;
    }
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]).expect("reading an image") {
            0 => break,
            count => filled += count,
        }
    }
    filled
}

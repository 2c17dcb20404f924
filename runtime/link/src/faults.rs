//! A link that misbehaves as networks do, from a seed: it loses, repeats, swaps and corrupts
//! frames, in both directions. It is for tests.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

use vcp_queue::link::MAX_FRAME;
use vcp_queue::{Checksum, Link, LinkProperties, Offload, Received};

use crate::frame::ETHERNET;

/// How often each fault happens, in frames of a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultRates {
    /// Frames lost.
    pub loss: u16,
    /// Frames that come twice.
    pub duplication: u16,
    /// Frames held back until the next has passed.
    pub reordering: u16,
    /// Frames with one bit flipped. A frame without a checksum that would reveal it is lost
    /// instead, as it would be behind a checksumming wire.
    pub corruption: u16,
}

/// A link with faults. A frame that waits here (the second of two, or one held
/// back) does not show on the descriptor; it goes with the next frame.
pub struct Faults {
    link: Box<dyn Link>,
    rates: FaultRates,
    random: u64,
    incoming: VecDeque<(Vec<u8>, Checksum)>,
    held_in: Option<(Vec<u8>, Checksum)>,
    held_out: Option<(Vec<u8>, Offload)>,
}

/// The fate of one frame.
enum Fate {
    Lost,
    Held,
    Delivered(u32),
}

impl Faults {
    /// Wraps `link`. The same seed and frames make the same faults.
    pub fn new(link: Box<dyn Link>, rates: FaultRates, seed: u64) -> Self {
        Faults {
            link,
            rates,
            // From 0 the generator would stay at 0 for ever.
            random: seed.max(1),
            incoming: VecDeque::new(),
            held_in: None,
            held_out: None,
        }
    }

    /// xorshift64.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn chance(&mut self, per_mille: u16) -> bool {
        self.random() % 1000 < u64::from(per_mille)
    }

    /// Decides about a frame, and corrupts it if that is its fate.
    fn decide(&mut self, frame: &mut [u8], checksummed: bool) -> Fate {
        if self.chance(self.rates.loss) {
            return Fate::Lost;
        }
        if self.chance(self.rates.corruption) {
            let ip = matches!(frame.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd]));
            if !checksummed || !ip || frame.len() <= ETHERNET {
                return Fate::Lost;
            }
            let at = ETHERNET + self.random() as usize % (frame.len() - ETHERNET);
            frame[at] ^= 1 << (self.random() % 8);
        }
        if self.chance(self.rates.reordering) {
            return Fate::Held;
        }
        Fate::Delivered(1 + u32::from(self.chance(self.rates.duplication)))
    }
}

impl Link for Faults {
    fn properties(&self) -> &LinkProperties {
        self.link.properties()
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            if let Some((frame, checksum)) = self.incoming.pop_front() {
                buffer[..frame.len()].copy_from_slice(&frame);
                return Ok(Some(Received {
                    length: frame.len(),
                    checksum,
                }));
            }
            let Some(Received { length, checksum }) = self.link.receive(buffer)? else {
                return Ok(None);
            };
            let mut frame = buffer[..length].to_vec();
            match self.decide(&mut frame, checksum == Checksum::Unverified) {
                Fate::Lost => {}
                Fate::Held if self.held_in.is_none() => self.held_in = Some((frame, checksum)),
                Fate::Held => self.incoming.push_back((frame, checksum)),
                Fate::Delivered(copies) => {
                    for _ in 0..copies {
                        self.incoming.push_back((frame.clone(), checksum));
                    }
                    self.incoming.extend(self.held_in.take());
                }
            }
        }
    }

    fn send(&mut self, frame: &[u8], offload: Offload) -> io::Result<bool> {
        let mut frame = frame[..frame.len().min(MAX_FRAME)].to_vec();
        match self.decide(&mut frame, offload.checksum_start == 0) {
            Fate::Lost => {}
            Fate::Held if self.held_out.is_none() => self.held_out = Some((frame, offload)),
            Fate::Held => return self.link.send(&frame, offload),
            Fate::Delivered(copies) => {
                if !self.link.send(&frame, offload)? {
                    return Ok(false);
                }
                if copies > 1 {
                    self.link.send(&frame, offload)?;
                }
                if let Some((held, offload)) = self.held_out.take() {
                    self.link.send(&held, offload)?;
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: FaultRates = FaultRates {
        loss: 50,
        duplication: 50,
        reordering: 50,
        corruption: 50,
    };

    /// Sends numbered frames through a pipe with faults on one side; what arrives.
    fn arrivals(seed: u64, faulty_sender: bool) -> Vec<Vec<u8>> {
        let properties = LinkProperties {
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            checksum_offload: false,
            segmentation_offload: false,
        };
        let (a, b) = crate::pipe(properties, [2, 0, 0, 0, 0, 2]).unwrap();
        let (mut a, mut b): (Box<dyn Link>, Box<dyn Link>) = (Box::new(a), Box::new(b));
        if faulty_sender {
            a = Box::new(Faults::new(a, RATES, seed));
        } else {
            b = Box::new(Faults::new(b, RATES, seed));
        }
        let mut buffer = vec![0; MAX_FRAME];
        let mut found = Vec::new();
        for number in 0..1000u32 {
            let mut frame = [0; 100];
            frame[12..14].copy_from_slice(&[8, 0]);
            frame[20..24].copy_from_slice(&number.to_be_bytes());
            assert!(a.send(&frame, Offload::default()).unwrap());
            while let Some(received) = b.receive(&mut buffer).unwrap() {
                found.push(buffer[..received.length].to_vec());
            }
        }
        found
    }

    #[test]
    fn every_kind_happens_and_the_same_seed_repeats_it() {
        for faulty_sender in [false, true] {
            let found = arrivals(5, faulty_sender);
            assert_eq!(found, arrivals(5, faulty_sender));
            assert_ne!(found, arrivals(6, faulty_sender));
            let intact = |frame: &&Vec<u8>| frame[24..] == [0; 76] && frame[14..20] == [0; 6];
            let numbers: Vec<u32> = found
                .iter()
                .filter(intact)
                .map(|frame| u32::from_be_bytes(frame[20..24].try_into().unwrap()))
                .collect();
            let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
            let swapped = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
            let mut distinct = numbers.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let corrupt = found.len() - numbers.len();
            for count in [twice, swapped, corrupt, 1000 - distinct.len()] {
                assert!(
                    (10..150).contains(&count),
                    "{twice} {swapped} {corrupt} {}",
                    distinct.len()
                );
            }
        }
    }
}

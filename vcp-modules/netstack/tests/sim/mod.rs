//! Two stacks on a simulated wire, in virtual time. The wire delays, loses and duplicates
//! frames by a seed, and does the work of an offloading link: it cuts super-frames and
//! completes checksums, or passes them on as they are.

use std::collections::BinaryHeap;
use std::net::IpAddr;

use vcp_netstack::{Checksum, Config, Frame, Handle, Stack};

pub(crate) const MICROSECOND: u64 = 1_000;

/// A small, repeatable source of randomness.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }
}

/// The way in which frames cross.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crossing {
    /// As on a real wire: segments of the MTU, with complete checksums.
    Wire,
    /// As between two offloading links of one host: unsegmented, with partial sums.
    Memory,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    // The heap yields the greatest, so times are negated.
    arrives: std::cmp::Reverse<(u64, u64)>,
    to: usize,
    frame: Vec<u8>,
    partial: bool,
}

pub(crate) struct Wire {
    pub(crate) ends: [Stack; 2],
    pub(crate) now: u64,
    pub(crate) crossing: Crossing,
    pub(crate) latency: u64,
    /// The largest additional delay, which lets frames overtake one another.
    pub(crate) jitter: u64,
    pub(crate) loss_per_mille: u64,
    pub(crate) duplicate_per_mille: u64,
    /// Connections whose data is taken directly from the frame when it arrives in order.
    pub(crate) direct: [Option<Handle>; 2],
    /// Whether transfers take data directly at both ends. (Not every test transfers.)
    #[allow(dead_code, reason = "one file for several tests")]
    pub(crate) prefers_direct: bool,
    /// Data that was taken directly and not checked yet.
    pub(crate) taken: [Vec<u8>; 2],
    /// How often data was taken directly.
    pub(crate) directly: u64,
    /// The number of frames that crossed.
    pub(crate) frames: u64,
    pub(crate) largest: usize,
    /// Whether every frame is kept here.
    pub(crate) keep: bool,
    pub(crate) kept: Vec<Vec<u8>>,
    mtu: usize,
    random: Random,
    sequence: u64,
    flights: BinaryHeap<Flight>,
}

pub(crate) const ADDRESSES: [[&str; 2]; 2] = [["10.7.0.1", "fd07::1"], ["10.7.0.2", "fd07::2"]];

pub(crate) fn config(end: usize, segmenting: bool) -> Config {
    let mut config = Config::new([2, 0, 0, 0, 0, end as u8 + 1], 1500, 7 + end as u64);
    for (address, prefix) in ADDRESSES[end].iter().zip([24, 64]) {
        config.addresses.push((address.parse().unwrap(), prefix));
    }
    config.checksum_offload = segmenting;
    config.segmentation_offload = segmenting;
    config
}

pub(crate) fn address(end: usize, ipv6: bool) -> IpAddr {
    ADDRESSES[end][usize::from(ipv6)].parse().unwrap()
}

impl Wire {
    pub(crate) fn new(configs: [Config; 2], crossing: Crossing, seed: u64) -> Self {
        let mtu = configs[0].mtu;
        Wire {
            ends: configs.map(|config| Stack::new(config, 0).unwrap()),
            now: 0,
            crossing,
            latency: 50 * MICROSECOND,
            jitter: 0,
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            direct: [None; 2],
            prefers_direct: false,
            taken: Default::default(),
            directly: 0,
            frames: 0,
            largest: 0,
            keep: false,
            kept: Vec::new(),
            mtu,
            random: Random(seed | 1),
            sequence: 0,
            flights: BinaryHeap::new(),
        }
    }

    /// Advances time to the next event, delivers what is due and lets both ends send.
    /// `false` when nothing will ever happen again.
    pub(crate) fn step(&mut self) -> bool {
        let deadlines = (0..2).filter_map(|end| self.ends[end].next_deadline(self.now));
        let earliest = deadlines.min();
        let arrival = self.flights.peek().map(|flight| flight.arrives.0.0);
        let Some(next) = earliest.into_iter().chain(arrival).min() else {
            return false;
        };
        self.now = next.max(self.now + MICROSECOND);
        while self
            .flights
            .peek()
            .is_some_and(|flight| flight.arrives.0.0 <= self.now)
        {
            let flight = self.flights.pop().unwrap();
            let checksum = if flight.partial {
                Checksum::Partial
            } else {
                Checksum::Unverified
            };
            self.deliver(flight.to, &flight.frame, checksum);
        }
        for end in 0..2 {
            self.ends[end].poll(self.now);
            self.launch(end);
        }
        true
    }

    fn deliver(&mut self, to: usize, frame: &[u8], checksum: Checksum) {
        let (stack, taken) = (&mut self.ends[to], &mut self.taken[to]);
        let Some(handle) = self.direct[to] else {
            return stack.receive(self.now, frame, checksum);
        };
        let take = |bytes: &[u8]| taken.extend_from_slice(bytes);
        self.directly += u64::from(stack.receive_direct(self.now, frame, checksum, handle, take));
    }

    fn launch(&mut self, from: usize) {
        let (arena, frames) = self.ends[from].outgoing();
        let mut cut = Vec::new();
        for frame in frames {
            let bytes = &arena[frame.offset..frame.offset + frame.length];
            match self.crossing {
                Crossing::Wire => segment(bytes, frame, self.mtu, &mut cut),
                Crossing::Memory => cut.push(bytes.to_vec()),
            }
        }
        let partial =
            self.crossing == Crossing::Memory && frames.iter().any(|f| f.checksum_start > 0);
        self.ends[from].clear_outgoing();
        for frame in cut {
            self.frames += 1;
            self.largest = self.largest.max(frame.len());
            if self.keep {
                self.kept.push(frame.clone());
            }
            if self.random.chance(self.loss_per_mille) {
                continue;
            }
            let copies = 1 + u64::from(self.random.chance(self.duplicate_per_mille));
            for _ in 0..copies {
                self.sequence += 1;
                let late = self.random.next() % (self.jitter + 1);
                self.flights.push(Flight {
                    arrives: std::cmp::Reverse((self.now + self.latency + late, self.sequence)),
                    to: 1 - from,
                    frame: frame.clone(),
                    partial,
                });
            }
        }
    }
}

fn put16(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The plain one's complement sum of RFC 1071 §4.1.
pub(crate) fn sum16(data: &[u8]) -> u16 {
    let mut total = 0u32;
    for pair in data.chunks(2) {
        total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// Does a link's work on a frame in software: completes the checksum from the partial sum
/// in its field, and cuts the frame into segments.
pub(crate) fn segment(bytes: &[u8], frame: &Frame, mtu: usize, out: &mut Vec<Vec<u8>>) {
    if frame.checksum_start == 0 {
        assert_eq!(
            frame.segment_size, 0,
            "segmentation without checksum offload"
        );
        assert!(bytes.len() <= mtu + 14, "a frame over the MTU");
        out.push(bytes.to_vec());
        return;
    }
    let tcp = usize::from(frame.checksum_start);
    let payload = tcp + usize::from(bytes[tcp + 12] >> 4) * 4;
    let size = match frame.segment_size {
        0 => bytes.len() - payload,
        size => usize::from(size),
    };
    assert!(payload - 14 + size <= mtu, "segments over the MTU");
    let pieces = bytes[payload..].chunks(size.max(1)).collect::<Vec<_>>();
    let pieces = if pieces.is_empty() {
        vec![&[][..]]
    } else {
        pieces
    };
    for (index, piece) in pieces.iter().enumerate() {
        let mut cut = bytes[..payload].to_vec();
        cut.extend_from_slice(piece);
        if bytes[14] >> 4 == 4 {
            put16(&mut cut, 16, (payload - 14 + piece.len()) as u16);
            put16(&mut cut, 24, 0);
            let check = !sum16(&cut[14..34]);
            put16(&mut cut, 24, check);
        } else {
            put16(&mut cut, 18, (payload - 54 + piece.len()) as u16);
        }
        let sequence = u32::from_be_bytes(cut[tcp + 4..tcp + 8].try_into().unwrap());
        let sequence = sequence.wrapping_add((index * size) as u32);
        cut[tcp + 4..tcp + 8].copy_from_slice(&sequence.to_be_bytes());
        if index + 1 < pieces.len() {
            cut[tcp + 13] &= !0x09;
        }
        // The field holds the sum with the length of the whole; correct it for the piece.
        let whole = (bytes.len() - tcp) as u16;
        let own = (cut.len() - tcp) as u16;
        let field = u16::from_be_bytes([bytes[tcp + 16], bytes[tcp + 17]]);
        let fixed = [
            field.to_be_bytes(),
            (!whole).to_be_bytes(),
            own.to_be_bytes(),
        ]
        .concat();
        put16(&mut cut, tcp + 16, sum16(&fixed));
        let check = !sum16(&cut[tcp..]);
        put16(&mut cut, tcp + 16, check);
        out.push(cut);
    }
}

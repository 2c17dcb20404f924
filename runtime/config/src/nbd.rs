//! `nbd` of `[host]`: the limits of the process's NBD servers, all together or each.

use std::ops::RangeInclusive;

use crate::check;
use crate::error::Invalid;
use crate::value::{ByteSize, Interval, Timeout};

/// The limits of the NBD servers. A server is an address: each has its own count of
/// clients, and the memory is that of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NbdOptions {
    /// `connections`: the most clients that one address serves at a time, 1 to 65536.
    pub connections: u32,
    /// `negotiations`: the most clients that negotiate at one address at a time, 1 to
    /// 65536.
    pub negotiations: u32,
    /// `handshake`: how long a client may negotiate, 100 ms to 10 minutes.
    pub handshake: Interval,
    /// `keep-alive`: how long a TCP peer may acknowledge nothing before it counts as
    /// gone, 2 s to 12 hours, or never.
    pub keep_alive: Timeout,
    /// `half-request`: how long a client may take to send the next 64 KiB of a request
    /// that it has begun, or the rest of it; 100 ms to an hour.
    pub half_request: Interval,
    /// `memory`: the bytes that the requests of all clients may hold, 33 MiB to 1 TiB.
    pub memory: ByteSize,
}

impl NbdOptions {
    pub(crate) const KEYS: [&str; 6] = [
        "connections",
        "negotiations",
        "handshake",
        "keep-alive",
        "half-request",
        "memory",
    ];

    /// The allowed values of `connections` and `negotiations`.
    pub(crate) const COUNTS: RangeInclusive<u32> = 1..=65_536;

    pub(crate) fn check_handshake(time: Interval) -> Result<Interval, Invalid> {
        check::between(time, Interval::millis(100), Interval::millis(600_000))
    }

    pub(crate) fn check_half_request(time: Interval) -> Result<Interval, Invalid> {
        check::between(time, Interval::millis(100), Interval::hours(1))
    }

    /// Checks `keep-alive`: the kernel probes once a second at most, and for at most
    /// about 18 hours.
    pub(crate) fn check_keep_alive(time: Timeout) -> Result<Timeout, Invalid> {
        let (least, most) = (Interval::millis(2000), Interval::hours(12));
        match time {
            Timeout::After(time) if !(least..=most).contains(&time) => {
                let expected = format!("a time from {least} to {most}, or \"never\"");
                Err(Invalid::new(expected, &time.to_string()))
            }
            _ => Ok(time),
        }
    }

    pub(crate) fn check_memory(size: ByteSize) -> Result<ByteSize, Invalid> {
        check::size_between(size, check::LEAST_NBD_MEMORY, ByteSize::mib(1 << 20))
    }
}

impl Default for NbdOptions {
    fn default() -> Self {
        Self {
            connections: 128,
            negotiations: 128,
            handshake: Interval::millis(30_000),
            keep_alive: Timeout::After(Interval::millis(120_000)),
            half_request: Interval::millis(30_000),
            memory: ByteSize::mib(1024),
        }
    }
}

//! Bounds on the memory that the host keeps for clients, all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limit::Limit;

/// Bytes that each client may hold without asking a pool: enough for small requests, so that
/// a client that finds the pools taken still gets on.
pub const FREE: usize = 256 << 10;

/// Bytes that several clients share. A request for more than all of them passes while no
/// client holds any.
///
/// There is one for each export, and one for all that an [`Engine`](crate::Engine)
/// runs. What a client holds beyond [`FREE`] is taken from both.
#[derive(Debug)]
pub struct Pool {
    most: AtomicUsize,
    held: AtomicUsize,
    /// When it last had too little for someone, in nanoseconds of the monotonic clock.
    wanted: AtomicU64,
}

/// How long the pool counts as wanted after bytes were asked for in vain, in nanoseconds: a
/// client that waits asks again sooner.
const WANTED: u64 = 2_000_000_000;

impl Pool {
    /// A pool of `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            most: AtomicUsize::new(most),
            held: AtomicUsize::new(0),
            wanted: AtomicU64::new(0),
        }
    }

    /// The bytes that it may give.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Sets the bytes that it may give. What is held beyond that stays until it comes back.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Bytes that are held of it.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes so many bytes, or none.
    pub(crate) fn take(&self, bytes: usize, now: u64) -> bool {
        let most = self.most();
        let fits = |held: usize| {
            let after = held.saturating_add(bytes);
            (held == 0 || after <= most).then_some(after)
        };
        let order = Ordering::Relaxed;
        let taken = self.held.fetch_update(order, order, fits).is_ok();
        if !taken {
            self.wanted.store(now, order);
        }
        taken
    }

    /// Whether so many bytes are to be had; if not, they are noted as wanted.
    pub(crate) fn fits(&self, bytes: usize, now: u64) -> bool {
        let held = self.held();
        let fits = held == 0 || held.saturating_add(bytes) <= self.most();
        if !fits {
            self.wanted.store(now, Ordering::Relaxed);
        }
        fits
    }

    /// Takes so many bytes even if there are not enough: they are held already.
    pub(crate) fn owe(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether a client waits for what others hold.
    pub(crate) fn is_wanted(&self, now: u64) -> bool {
        let wanted = self.wanted.load(Ordering::Relaxed);
        wanted > 0 && now.saturating_sub(wanted) < WANTED
    }
}

/// Memory that a client will bring along from another process. The pools of its export and
/// of the process count it as held until this is dropped.
#[derive(Debug)]
pub struct Claim {
    limit: Arc<Limit>,
    process: Arc<Pool>,
    bytes: usize,
}

impl Claim {
    pub(crate) fn new(limit: Arc<Limit>, process: Arc<Pool>, held: usize) -> Self {
        let bytes = held.saturating_sub(FREE);
        limit.pool().owe(bytes);
        process.owe(bytes);
        Self {
            limit,
            process,
            bytes,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.limit.pool().give_back(self.bytes);
        self.process.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_it_has_and_no_more() {
        let pool = Pool::new(100);
        assert!(pool.take(60, 1) && !pool.take(41, 1) && pool.take(40, 1));
        assert_eq!(pool.held(), 100);
        pool.give_back(60);
        assert!(pool.take(41, 1));
        pool.set_most(10);
        assert!(!pool.take(1, 1));
        pool.give_back(81);
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn what_is_larger_than_all_of_it_passes_alone() {
        let pool = Pool::new(100);
        assert!(pool.take(1000, 1));
        assert!(!pool.take(1, 1));
    }

    #[test]
    fn who_asked_in_vain_is_remembered_for_a_while() {
        let pool = Pool::new(100);
        assert!(!pool.is_wanted(5));
        assert!(pool.take(100, 5));
        assert!(!pool.is_wanted(5));
        assert!(!pool.take(1, 7));
        assert!(pool.is_wanted(8));
        assert!(!pool.is_wanted(8 + WANTED));
    }
}

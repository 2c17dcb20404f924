//! What a client has outstanding with the queue, and what its answers will cost.

use slab::Slab;
use vcp_queue::Operation;

/// A request under way, as much of it as its answer needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    /// The peer's name for it. The peer may use one twice; our own keys are
    /// unique.
    pub(super) cookie: u64,
    pub(super) operation: Operation,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// One extent is wanted, and no more.
    pub(super) one: bool,
    /// Bytes its answer takes at most.
    pub(super) due: usize,
}

/// Requests under way by key, which is the cookie given to the queue.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pending: Slab<Pending>,
    owed: usize,
}

impl Flight {
    pub(super) fn insert(&mut self, pending: Pending) -> usize {
        self.owed += pending.due;
        self.pending.insert(pending)
    }

    /// Ends a request; `None` if there is none of this key.
    pub(super) fn remove(&mut self, key: u64) -> Option<Pending> {
        let pending = self.pending.try_remove(usize::try_from(key).ok()?)?;
        self.owed -= pending.due;
        Some(pending)
    }

    /// Bytes that all answers will take at most.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

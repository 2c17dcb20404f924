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
    /// Bytes that its payload and its answer take at most.
    pub(super) cost: usize,
}

/// Requests under way by key, which is the cookie given to the queue.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pending: Slab<Pending>,
    held: usize,
}

impl Flight {
    pub(super) fn insert(&mut self, pending: Pending) -> usize {
        self.held += pending.cost;
        self.pending.insert(pending)
    }

    /// Ends a request; `None` if there is none of this key.
    pub(super) fn remove(&mut self, key: u64) -> Option<Pending> {
        let pending = self.pending.try_remove(usize::try_from(key).ok()?)?;
        self.held -= pending.cost;
        Some(pending)
    }

    /// Bytes that all payloads and answers take at most.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Requests under way.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

//! A client's requests that are outstanding with the queue, and the cost of their
//! answers.

use slab::Slab;
use vcp_queue::Operation;

/// A request under way, reduced to what its answer needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    /// The peer's cookie for the request. The peer may use a cookie twice; our own keys
    /// are unique.
    pub(super) cookie: u64,
    pub(super) operation: Operation,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// Whether the client asked for one extent only.
    pub(super) one: bool,
    /// The most bytes that its payload and its answer take.
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

    /// The most bytes that all payloads and answers take.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// The number of requests under way.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

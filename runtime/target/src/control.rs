//! Orders to a connection from other threads: a queue and a waker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use vcp_iscsi_proto::Lun;

/// An order to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Send a NOP-In that requests an answer.
    Ping,
    /// Ask for a logout within this many seconds.
    RequestLogout { within: u16 },
    /// Announce that the session is dropped, and drop it.
    DropSession,
    /// End the connection without a message.
    Drop,
    /// Another login took the session's place.
    Reinstated,
    /// The tasks of a unit were aborted by another initiator; `None` for all units.
    AbortTasks(Option<Lun>),
}

/// Wakes the thread that drives a connection. Called from any thread; must not block.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// The part of a connection that other threads reach.
#[derive(Default)]
pub(crate) struct Control {
    pending: AtomicBool,
    orders: Mutex<Vec<Order>>,
    waker: Mutex<Option<Waker>>,
}

impl Control {
    pub(crate) fn set_waker(&self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    pub(crate) fn tell(&self, order: Order) {
        self.orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(order);
        self.pending.store(true, Ordering::Release);
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker();
        }
    }

    /// The orders since the last call.
    pub(crate) fn take(&self) -> Vec<Order> {
        if !self.pending.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! Running a call to its end on this thread, within its time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// A call that took too long. What it ran in is of no use any more.
#[derive(Debug)]
pub(super) struct Late;

/// Wakes the thread that runs a guest.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    static UNPARK: Arc<Unpark> =
        Arc::new(Unpark { thread: std::thread::current(), woken: AtomicBool::new(false) });
}

/// Runs a call. It is pending when it yields for fuel, which wakes it at once, or
/// waits for a granted WASI operation: both are where the clock is looked at, so
/// the limit is kept to within one yield interval. (An epoch would be looked at
/// in every loop of the guest, and would cost as much as the fuel does.)
pub(super) fn run<F: Future>(future: F, limit: Duration) -> Result<F::Output, Late> {
    let unpark = UNPARK.with(Arc::clone);
    let waker = Waker::from(Arc::clone(&unpark));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    // Most calls end without a yield, and need no clock.
    let mut began = None;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        let began: Instant = *began.get_or_insert_with(Instant::now);
        loop {
            let left = limit.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Late);
            }
            if unpark.woken.swap(false, Ordering::Acquire) {
                break;
            }
            std::thread::park_timeout(left);
        }
    }
}

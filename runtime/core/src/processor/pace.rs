//! What a future that is polled and the thread that polls it tell each other.
//!
//! A VCP is a future: it is polled by its channel processor, and an instance that
//! is made aside by a helping thread. When it is left pending it says here whether
//! it could go on at once or waits; when it is polled again it finds here whether it
//! may sleep on this thread.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use crate::clock::{now, thread_time};

/// How a future was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// In the middle of something: it could go on at once.
    Yield,
    /// In the middle of a call that waits for the host, until it is woken or this
    /// time has come.
    Call(u64),
    /// Between two turns, until its descriptors are ready or this time has come.
    Rest(Option<u64>),
    /// Between two turns; it has heard the processor's bell.
    Called,
}

/// What the future that is polled now may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leave {
    /// It may sleep in its poll: no other future needs this thread.
    pub(crate) sleep: bool,
    /// It need not come back between turns before this time.
    pub(crate) back_at: u64,
}

/// The leave of a future that may not sleep.
pub(crate) const NO_LEAVE: Leave = Leave {
    sleep: false,
    back_at: 0,
};

thread_local! {
    static PAUSE: Cell<Pause> = const { Cell::new(Pause::Yield) };
    static LEAVE: Cell<Leave> = const { Cell::new(NO_LEAVE) };
    static ALARM: RefCell<Option<Arc<Alarm>>> = const { RefCell::new(None) };
}

/// Wakes a future: the waker of the standard library's kind.
pub(crate) struct Alarm {
    rung: AtomicBool,
    /// When it last began to ring.
    rung_at: AtomicU64,
    /// The thread that polls it, so that a future that wakes itself costs no system call.
    thread: Thread,
    /// The bell of a processor that waits for descriptors.
    bell: Option<Arc<OwnedFd>>,
}

impl Alarm {
    /// Makes an alarm for futures that this thread polls.
    pub(crate) fn new(bell: Option<Arc<OwnedFd>>) -> Arc<Self> {
        Arc::new(Self {
            rung: AtomicBool::new(false),
            rung_at: AtomicU64::new(0),
            thread: std::thread::current(),
            bell,
        })
    }

    /// Whether it rang since this was last asked.
    pub(crate) fn take(&self) -> bool {
        self.rung.swap(false, Ordering::Acquire)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.load(Ordering::Relaxed) {
            self.rung_at.store(now(), Ordering::Relaxed);
        }
        self.rung.store(true, Ordering::Release);
        if std::thread::current().id() == self.thread.id() {
            return;
        }
        match &self.bell {
            // A full counter means that it is awake already.
            Some(bell) => _ = rustix::io::write(bell.as_fd(), &1u64.to_ne_bytes()),
            None => self.thread.unpark(),
        }
    }
}

/// Polls a future. `Err` is how it was left.
pub(crate) fn poll<F: Future + ?Sized>(
    future: std::pin::Pin<&mut F>,
    alarm: &Arc<Alarm>,
    leave: Leave,
) -> Result<F::Output, Pause> {
    let waker = Waker::from(Arc::clone(alarm));
    alarm.take();
    LEAVE.set(leave);
    PAUSE.set(Pause::Yield);
    let before = ALARM.replace(Some(Arc::clone(alarm)));
    let polled = future.poll(&mut Context::from_waker(&waker));
    ALARM.replace(before);
    match polled {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err(PAUSE.get()),
    }
}

/// Runs a future to its end on this thread, which has nothing else to do.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    drive(future, &Alarm::new(None))
}

/// As [`block_on`], with an alarm of this thread that is used again.
pub(crate) fn drive<F: Future>(future: F, alarm: &Arc<Alarm>) -> F::Output {
    let mut future = pin!(future);
    loop {
        let until = match poll(future.as_mut(), alarm, NO_LEAVE) {
            Ok(output) => return output,
            Err(Pause::Yield | Pause::Called) => continue,
            Err(Pause::Call(until)) => Some(until),
            Err(Pause::Rest(until)) => until,
        };
        while !alarm.rung.load(Ordering::Acquire) {
            match until.map(|until| until.saturating_sub(now())) {
                Some(0) => break,
                Some(left) => std::thread::park_timeout(Duration::from_nanos(left)),
                None => std::thread::park(),
            }
        }
    }
}

/// Gives the thread back, and says how.
pub(crate) async fn pause(how: Pause) {
    let mut given = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        PAUSE.set(how);
        Poll::Pending
    })
    .await;
}

/// The leave that the thread gives the future that it polls now.
pub(crate) fn leave() -> Leave {
    LEAVE.get()
}

/// A call took too long. The instance that it ran in is of no use any more.
#[derive(Debug)]
pub(crate) struct Late;

/// Runs a call within its time: that for which it was on the CPU, or waited for the host.
/// Time in between is not its own: the machine ran others, or it was woken and not yet
/// polled, for its budget or for others' sake. It is pending when it yields for fuel, which
/// wakes it at once, or waits for a granted WASI operation: both are where the clock is
/// looked at, so the limit is kept to within one yield interval. (An epoch would be looked
/// at in every loop of the guest, and would cost as much as the fuel does.)
pub(crate) async fn within<F: Future>(future: F, limit: Duration) -> Result<F::Output, Late> {
    let mut future = pin!(future);
    let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let mut used = 0_u64;
    // Most calls end without a yield, and need no clock.
    let mut first = true;
    let mut waits_since: Option<u64> = None;
    std::future::poll_fn(|context| {
        if let Some(since) = waits_since.take() {
            used += woken_at(since).saturating_sub(since);
        }
        let began = (!first).then(thread_time);
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        used += began.map_or(0, |began| thread_time().saturating_sub(began));
        first = false;
        if used >= limit {
            return Poll::Ready(Err(Late));
        }
        let rung = ALARM.with_borrow(|alarm| {
            let rung = alarm.as_ref().map(|alarm| &alarm.rung);
            rung.is_none_or(|rung| rung.load(Ordering::Acquire))
        });
        if rung {
            PAUSE.set(Pause::Yield);
        } else {
            let left_at = now();
            waits_since = Some(left_at);
            PAUSE.set(Pause::Call(left_at.saturating_add(limit - used)));
        }
        Poll::Pending
    })
    .await
}

/// When a call that waited since `since` could go on: when it was woken, or else now.
fn woken_at(since: u64) -> u64 {
    let rung_at = ALARM.with_borrow(|alarm| {
        let alarm = alarm.as_ref()?;
        Some(alarm.rung_at.load(Ordering::Relaxed))
    });
    rung_at.filter(|at| *at >= since).unwrap_or_else(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_waits_is_woken_by_another_thread() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            sender.send(7).unwrap();
        });
        let got = block_on(within(receiver, Duration::from_secs(10)));
        assert!(matches!(got, Ok(Ok(7))));
        thread.join().unwrap();
    }

    #[test]
    fn a_future_that_waits_for_ever_is_late() {
        let began = now();
        let wait = std::future::pending::<()>();
        assert!(block_on(within(wait, Duration::from_millis(30))).is_err());
        assert!(now() - began >= 30_000_000);
    }

    /// Uses so much time of the CPU, and wakes itself.
    fn spin(context: &Context<'_>, time: Duration) {
        let until = thread_time() + u64::try_from(time.as_nanos()).unwrap();
        while thread_time() < until {}
        context.waker().wake_by_ref();
    }

    #[test]
    fn one_that_yields_for_ever_is_late_by_the_time_it_ran() {
        const LIMIT: Duration = Duration::from_millis(10);
        let mut polls = 0;
        let spinning = std::future::poll_fn(|context| {
            polls += 1;
            spin(context, Duration::from_millis(2));
            Poll::<()>::Pending
        });
        assert!(block_on(within(spinning, LIMIT)).is_err());
        // The first poll is not timed, and each may take a little longer.
        assert!((2..=6).contains(&polls), "{polls} polls");
    }

    #[test]
    fn time_that_others_have_the_cpu_is_not_its_own() {
        const LIMIT: Duration = Duration::from_millis(30);
        let mut left = 8;
        // It is off the CPU in the middle of each poll, as if it were preempted.
        let preempted = std::future::poll_fn(|context| {
            left -= 1;
            std::thread::sleep(Duration::from_millis(10));
            spin(context, Duration::from_micros(100));
            if left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let mut call = pin!(within(preempted, LIMIT));
        let alarm = Alarm::new(None);
        let ended = loop {
            match poll(call.as_mut(), &alarm, NO_LEAVE) {
                Ok(ended) => break ended,
                // And it is off the CPU between two polls, as if it were throttled.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        assert!(ended.is_ok());
    }

    #[test]
    fn a_wait_is_over_when_it_is_woken_and_not_when_it_gets_its_turn() {
        let mut polls = 0;
        let waits = std::future::poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                let waker = context.waker().clone();
                std::thread::spawn(move || waker.wake());
                return Poll::Pending;
            }
            spin(context, Duration::from_micros(100));
            if polls == 3 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let mut call = pin!(within(waits, Duration::from_secs(1)));
        let alarm = Alarm::new(None);
        let ended = loop {
            match poll(call.as_mut(), &alarm, NO_LEAVE) {
                Ok(ended) => break ended,
                Err(_) => std::thread::sleep(Duration::from_millis(1200)),
            }
        };
        assert!(ended.is_ok());
    }
}

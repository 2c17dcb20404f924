//! A client that always has so many reads under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vcp_tests::nbd::Connection;

/// A running one; ends when dropped.
pub(crate) struct Flood {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    answered: AtomicU64,
    over: AtomicBool,
}

impl Flood {
    /// Keeps `depth` reads of `length` bytes under way at an export.
    pub(crate) fn start(uri: &str, depth: u64, length: usize) -> Self {
        let state = Arc::<State>::default();
        let (mut connection, shared) = (Connection::of(uri), Arc::clone(&state));
        let thread = std::thread::spawn(move || {
            for cookie in 0..depth {
                connection
                    .begin_read(cookie, 0, length)
                    .expect("it takes requests");
            }
            while !shared.over.load(Ordering::Relaxed) {
                let (cookie, error) = connection.reply().expect("it answers");
                assert_eq!(error, 0);
                connection.skip(length).expect("with data");
                shared.answered.fetch_add(1, Ordering::Relaxed);
                connection
                    .begin_read(cookie, 0, length)
                    .expect("it takes requests");
            }
        });
        Self {
            state,
            thread: Some(thread),
        }
    }

    /// Reads answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.state.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(panic)) = ended
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// How much each had answered in the same `time`.
pub(crate) fn counted<const N: usize>(floods: [&Flood; N], time: Duration) -> [u64; N] {
    let before = floods.map(Flood::answered);
    std::thread::sleep(time);
    let after = floods.map(Flood::answered);
    std::array::from_fn(|at| after[at] - before[at])
}

/// How long `count` single reads take, the shortest first, with a rest between them.
pub(crate) fn single_reads(uri: &str, count: usize, rest: Duration) -> Vec<Duration> {
    let mut connection = Connection::of(uri);
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            let began = Instant::now();
            connection.read(0, 4096).expect("it answers");
            let took = began.elapsed();
            std::thread::sleep(rest);
            took
        })
        .collect();
    times.sort_unstable();
    times
}

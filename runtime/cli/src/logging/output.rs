//! Standard error and standard output of a process that must not wait for a reader: a
//! separate thread writes, from a bounded queue.
//!
//! Text that does not fit is counted and lost. When there is room again, one line gives
//! the number of lost lines.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};

/// The most bytes and lines that may wait to be written.
const MOST_BYTES: usize = 8 << 20;
const MOST_LINES: usize = 16 << 10;
/// The most bytes written at a time, unless one line is longer: a pipe takes this many as
/// a whole, so that the output of other processes does not come between.
const PIECE: usize = 4096;
/// The stack size of the thread that writes.
const STACK: usize = 128 << 10;
/// How often due notices are looked for, while there are any.
const LOOK: Duration = Duration::from_secs(1);

/// Notices that are written besides other text.
pub(super) trait Notices: Send + 'static {
    /// The lines that are due; all remaining ones if this is the `last` call.
    fn due(&mut self, last: bool) -> Vec<String>;
    /// Whether some lines will be due later.
    fn owes(&self) -> bool;
    /// The line about `count` lost lines.
    fn lost(&self, count: u64) -> String;
}

/// Standard error or standard output.
pub(super) struct Output {
    queue: SyncSender<Vec<u8>>,
    /// The queue's end, until the thread takes it.
    waiting: Mutex<Option<Receiver<Vec<u8>>>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    /// The bytes and lines that wait.
    bytes: AtomicUsize,
    lines: AtomicU64,
    lost: AtomicU64,
    /// Whether the process is ending, so that all notices are due.
    ending: AtomicBool,
}

impl Output {
    pub(super) fn new() -> Self {
        let (queue, waiting) = sync_channel(MOST_LINES);
        Self {
            queue,
            waiting: Mutex::new(Some(waiting)),
            counts: Counts::default(),
        }
    }

    /// Queues `line`, which includes its newline. Never waits.
    pub(super) fn say(&self, line: Vec<u8>) {
        if !self.put(line) {
            self.counts.lost(1);
        }
    }

    /// Makes the thread look for due notices. If the queue is full, it is at work anyway.
    pub(super) fn nudge(&self) {
        self.put(Vec::new());
    }

    fn put(&self, line: Vec<u8>) -> bool {
        let length = line.len();
        let waiting = self.counts.bytes.fetch_add(length, Ordering::Relaxed);
        self.counts.lines.fetch_add(1, Ordering::Release);
        let fits = waiting + length <= MOST_BYTES && self.queue.try_send(line).is_ok();
        if !fits {
            self.counts.done(length, 1);
        }
        fits
    }

    /// The number of lines lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Starts the thread that writes to `to`, unless it exists. The thread inherits
    /// properties, such as its CPUs, from the calling thread.
    pub(super) fn start(&'static self, to: BorrowedFd<'static>, notices: impl Notices) {
        let waiting = self.waiting.lock();
        let Some(queue) = waiting.unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let mut writer = Writer {
            queue,
            counts: &self.counts,
            to,
            notices,
            held: None,
            told: 0,
            looked: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("log".to_owned());
        // Without the thread all text is lost, and counted.
        let _ = thread.stack_size(STACK).spawn(move || writer.run());
    }

    /// Waits at most `patience` until everything is written.
    pub(super) fn finish(&self, patience: Duration) {
        let waiting = self.waiting.lock();
        if waiting.unwrap_or_else(PoisonError::into_inner).is_some() {
            // There is no thread to wait for.
            return;
        }
        self.counts.ending.store(true, Ordering::Relaxed);
        self.nudge();
        let begun = Instant::now();
        while self.counts.lines.load(Ordering::Acquire) > 0 && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Counts {
    fn lost(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }

    /// Subtracts text that no longer waits.
    fn done(&self, bytes: usize, lines: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.lines.fetch_sub(lines, Ordering::Release);
    }
}

/// The thread that writes.
struct Writer<N> {
    queue: Receiver<Vec<u8>>,
    counts: &'static Counts,
    to: BorrowedFd<'static>,
    notices: N,
    /// The line that did not fit in the last piece.
    held: Option<Vec<u8>>,
    /// The number of lost lines already reported.
    told: u64,
    /// When due notices were last looked for.
    looked: Instant,
}

/// The text of one write.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// The number of entries taken from the queue; not all of them are lines.
    taken: u64,
    lines: u64,
}

impl<N: Notices> Writer<N> {
    fn run(&mut self) {
        while let Ok(first) = self.next() {
            let piece = self.gather(first);
            if self.write(&piece.bytes).is_err() {
                self.counts.lost(piece.lines);
            }
            // Notices come after all other text, unless that goes on for too long.
            if self.held.is_none() || self.looked.elapsed() >= LOOK {
                self.tell();
            }
            self.counts.done(piece.bytes.len(), piece.taken);
        }
    }

    /// The next line; `None` when it is time to look for notices.
    fn next(&mut self) -> Result<Option<Vec<u8>>, RecvError> {
        if let Some(line) = self.held.take() {
            return Ok(Some(line));
        }
        if !self.notices.owes() {
            return self.queue.recv().map(Some);
        }
        match self.queue.recv_timeout(LOOK) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvError),
        }
    }

    /// Gathers the lines that are waiting, up to the size of one write.
    fn gather(&mut self, first: Option<Vec<u8>>) -> Piece {
        let mut piece = Piece::default();
        let mut next = first;
        while let Some(line) = next {
            if piece.lines > 0 && piece.bytes.len() + line.len() > PIECE {
                self.held = Some(line);
                break;
            }
            piece.taken += 1;
            piece.lines += u64::from(!line.is_empty());
            piece.bytes.extend_from_slice(&line);
            next = self.queue.try_recv().ok();
        }
        piece
    }

    /// Writes due notices, now that all other text is written.
    fn tell(&mut self) {
        self.looked = Instant::now();
        let last = self.counts.ending.load(Ordering::Relaxed);
        for line in self.notices.due(last) {
            if self.write(line.as_bytes()).is_err() {
                self.counts.lost(1);
            }
        }
        let lost = self.counts.lost.load(Ordering::Relaxed);
        if lost > self.told {
            let line = self.notices.lost(lost - self.told);
            if self.write(line.as_bytes()).is_ok() {
                self.told = lost;
            }
        }
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match write(self.to, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                // Another process has made the shared file non-blocking.
                Err(Errno::AGAIN) => {
                    let mut room = [PollFd::new(&self.to, PollFlags::OUT)];
                    let _ = poll(&mut room, None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    use std::os::fd::OwnedFd;

    use super::*;

    struct Quiet;

    impl Notices for Quiet {
        fn due(&mut self, _: bool) -> Vec<String> {
            Vec::new()
        }

        fn owes(&self) -> bool {
            false
        }

        fn lost(&self, count: u64) -> String {
            format!("{count} lost\n")
        }
    }

    /// An output to a pipe that nobody reads yet.
    fn piped() -> (&'static Output, std::fs::File) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let output: &'static Output = Box::leak(Box::new(Output::new()));
        let write: &'static OwnedFd = Box::leak(Box::new(write));
        output.start(write.as_fd(), Quiet);
        (output, read.into())
    }

    fn line(n: usize) -> Vec<u8> {
        format!("line {n:<90}\n").into_bytes()
    }

    #[test]
    fn a_burst_is_written_whole_and_in_order() {
        let (output, mut read) = piped();
        let reader = std::thread::spawn(move || {
            let mut text = vec![0; 10_000 * line(0).len()];
            read.read_exact(&mut text).unwrap();
            text
        });
        (0..10_000).for_each(|n| output.say(line(n)));
        let expected: Vec<u8> = (0..10_000).flat_map(line).collect();
        assert!(reader.join().unwrap() == expected);
        assert_eq!(output.lost(), 0);
    }

    #[test]
    fn nobody_who_reads_is_waited_for_and_what_is_lost_is_told() {
        let (output, mut read) = piped();
        let begun = Instant::now();
        (0..50_000).for_each(|n| output.say(line(n)));
        output.finish(Duration::from_millis(200));
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        let lost = output.lost();
        assert!((30_000..50_000).contains(&lost), "{lost}");
        // There is room again.
        let mut text = String::new();
        let mut piece = [0; 65536];
        while !text.ends_with("lost\n") {
            let count = read.read(&mut piece).unwrap();
            text += std::str::from_utf8(&piece[..count]).unwrap();
        }
        let mut lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.pop(), Some(format!("{lost} lost").as_str()));
        assert_eq!(lines.len() as u64, 50_000 - lost);
    }

    #[test]
    fn who_is_gone_is_no_reason_to_stop() {
        let (output, read) = piped();
        drop(read);
        (0..100).for_each(|n| output.say(line(n)));
        output.finish(Duration::from_secs(5));
        assert_eq!(output.lost(), 100);
    }
}

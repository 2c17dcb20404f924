//! The loop: figures each second, keys meanwhile, and a terminal that is as
//! before when it ends, however that is.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};

use crate::history::History;
use crate::snapshot::Snapshot;
use crate::top::keyboard::{Happened, Key, Keyboard};
use crate::top::{View, draw, plain};

/// The time between two snapshots.
const SECOND: Duration = Duration::from_secs(1);

/// How the host is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Lines instead of a screen, a table each second; always so where standard
    /// output is no terminal.
    pub plain: bool,
    /// One table, of one second, as lines.
    pub once: bool,
    /// The view to begin with.
    pub view: View,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum TopError<E> {
    /// There are no figures any more.
    #[error(transparent)]
    Fetch(E),
    /// The terminal failed.
    #[error("terminal: {0}")]
    Terminal(io::Error),
}

/// The message contains the error, so the error is no source: a chain would say it twice.
impl<E> From<io::Error> for TopError<E> {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

/// Shows the snapshots of `fetch` until the operator ends it. Blocks its thread.
///
/// A screen takes SIGTERM, SIGHUP and SIGINT for the operator's wish to end, and they stay
/// without their usual effect afterwards: the process is to end then. A terminal that goes
/// away is no error.
pub fn run<E>(
    fetch: impl FnMut() -> Result<Snapshot, E>,
    options: Options,
) -> Result<(), TopError<E>> {
    if options.plain || options.once || !io::stdout().is_terminal() {
        return match lines(fetch, options, &mut io::stdout().lock(), SECOND) {
            // The reader has closed the pipe, and has seen enough.
            Err(TopError::Terminal(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            ended => ended,
        };
    }
    let mut screen = Screen::open()?;
    match screen.show(fetch, options.view) {
        Err(TopError::Terminal(_)) if screen.keyboard.is_gone() => Ok(()),
        ended => ended,
    }
}

/// Writes a table each `pause`, or only the first.
fn lines<E>(
    mut fetch: impl FnMut() -> Result<Snapshot, E>,
    options: Options,
    out: &mut impl io::Write,
    pause: Duration,
) -> Result<(), TopError<E>> {
    let mut history = History::default();
    history.push(fetch().map_err(TopError::Fetch)?);
    loop {
        sleep(pause);
        history.push(fetch().map_err(TopError::Fetch)?);
        out.write_all(plain(&history, options.view).as_bytes())?;
        out.flush()?;
        if options.once {
            return Ok(());
        }
        out.write_all(b"\n")?;
    }
}

/// A terminal in raw mode on its other screen; when it is dropped, all is as before.
struct Screen {
    terminal: DefaultTerminal,
    keyboard: Keyboard,
    ending: Ending,
}

impl Drop for Screen {
    fn drop(&mut self) {
        // At a panic it was done already, before the message was written.
        if !std::thread::panicking() {
            // A terminal that is gone need not be restored.
            let _ = ratatui::try_restore();
        }
    }
}

/// Whether the process was asked to end, while this lives; the signal alone would end it
/// with the terminal as it is.
struct Ending {
    asked: Arc<AtomicBool>,
    signals: Vec<SigId>,
}

impl Ending {
    fn new() -> io::Result<Self> {
        let mut ending = Self {
            asked: Arc::default(),
            signals: Vec::new(),
        };
        for signal in [SIGTERM, SIGHUP, SIGINT] {
            let id = signal_hook::flag::register(signal, Arc::clone(&ending.asked))?;
            ending.signals.push(id);
        }
        // Another size of the terminal ends a wait for keys, and means nothing else.
        let resized = signal_hook::flag::register(SIGWINCH, Arc::default())?;
        ending.signals.push(resized);
        Ok(ending)
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        for signal in self.signals.drain(..) {
            signal_hook::low_level::unregister(signal);
        }
    }
}

impl Screen {
    fn open() -> io::Result<Self> {
        let ending = Ending::new()?;
        let keyboard = Keyboard::open()?;
        let terminal = ratatui::try_init().inspect_err(|_| {
            // It may be half done.
            let _ = ratatui::try_restore();
        })?;
        Ok(Self {
            terminal,
            keyboard,
            ending,
        })
    }

    fn show<E>(
        &mut self,
        mut fetch: impl FnMut() -> Result<Snapshot, E>,
        mut view: View,
    ) -> Result<(), TopError<E>> {
        let mut history = History::default();
        loop {
            let due = Instant::now() + SECOND;
            history.push(fetch().map_err(TopError::Fetch)?);
            loop {
                self.terminal.draw(|frame| draw(frame, &history, view))?;
                if self.ending.is_asked() {
                    return Ok(());
                }
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                // Anything else that happens, such as a new size, is drawn anew.
                match self.keyboard.wait(left)? {
                    Happened::Nothing => {}
                    Happened::Gone => return Ok(()),
                    Happened::Keys(keys) => {
                        if keys.into_iter().any(|key| press(key, &mut view)) {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

/// Applies a key to the view. Returns whether the key ends the loop.
fn press(key: Key, view: &mut View) -> bool {
    match key {
        Key::Interrupt | Key::Escape | Key::Letter('q') => return true,
        Key::Letter('s') => view.sort = view.sort.next(),
        Key::Letter('g') => view.graph_cpu = !view.graph_cpu,
        Key::Letter(_) => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::Sort;

    #[test]
    fn keys_do_what_they_say() {
        let mut view = View::default();
        assert!(press(Key::Letter('q'), &mut view));
        assert!(press(Key::Escape, &mut view));
        assert!(press(Key::Interrupt, &mut view));
        assert!(!press(Key::Letter('c'), &mut view));
        let mut seen = Vec::new();
        for _ in 0..6 {
            assert!(!press(Key::Letter('s'), &mut view));
            assert!(!seen.contains(&view.sort), "{seen:?}");
            seen.push(view.sort);
        }
        assert_eq!(view.sort, Sort::default());
        assert!(!press(Key::Letter('g'), &mut view));
        assert!(view.graph_cpu);
    }

    /// Counts the calls, and fails after so many.
    fn figures(most: u64) -> impl FnMut() -> Result<Snapshot, String> {
        let mut seconds = 0;
        move || {
            seconds += 1;
            let snapshot = Snapshot {
                pid: 7,
                monotonic_ns: seconds * 1_000_000_000,
                ..Snapshot::default()
            };
            (seconds <= most)
                .then_some(snapshot)
                .ok_or_else(|| "gone".to_owned())
        }
    }

    #[test]
    fn lines_come_until_the_host_is_gone() {
        let mut out = Vec::new();
        let pause = Duration::ZERO;
        let ended = lines(figures(4), Options::default(), &mut out, pause);
        assert_eq!(ended.unwrap_err().to_string(), "gone");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("pid 7").count(), 3);
        let once = Options {
            once: true,
            ..Options::default()
        };
        let mut out = Vec::new();
        lines(figures(4), once, &mut out, pause).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("pid 7").count(), 1);
        assert_eq!(text.matches("NAME").count(), 1);
    }

    #[test]
    fn a_reader_that_left_is_an_error_of_the_terminal() {
        struct Gone;
        impl io::Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let ended = lines(figures(9), Options::default(), &mut Gone, Duration::ZERO);
        assert!(matches!(ended, Err(TopError::Terminal(_))), "{ended:?}");
    }
}

//! The screen that an operator sees.

mod common;

use common::snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use vcp_meter::History;
use vcp_meter::top::{self, Sort, View};

fn history(seconds: u64) -> History {
    let mut history = History::default();
    (0..seconds).for_each(|second| history.push(snapshot(second)));
    history
}

/// The screen as lines, and as it was drawn.
fn screen(history: &History, view: View, width: u16, height: u16) -> (Vec<String>, TestBackend) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| top::draw(frame, history, view))
        .unwrap();
    let backend = terminal.backend().clone();
    let cells = backend.buffer().content();
    let lines = cells.chunks(usize::from(width.max(1)));
    let lines = lines.map(|cells| cells.iter().map(|cell| cell.symbol()).collect());
    (lines.collect(), backend)
}

const DISK: &str = "disk0            ready       29.8/33.33       950      3.5    27    2.5     42 throttled   48.0 MiB        3";

#[test]
fn the_screen_has_the_host_and_a_line_for_each() {
    let (lines, backend) = screen(&history(70), View::default(), 180, 6);
    assert_eq!(
        lines[0].trim_end(),
        "vcp 1.2.3 pid 4711  CPU 45.2%  memory 120.0 MiB  threads 9  fds 34  VCPs 2  exports 1  by CPU%, graph IOPS"
    );
    assert_eq!(
        lines[1].trim_end(),
        "NAME             STATE             CPU%      IOPS     MB/s    QD  BATCH           STALL%        MEM RESTARTS LAST MINUTE"
    );
    assert_eq!(lines[2].trim_end(), format!("{DISK} {}", "█".repeat(60)));
    assert!(
        lines[3].starts_with("back\\slash \"quot held"),
        "{}",
        lines[3]
    );
    assert_eq!(lines[5].trim_end(), "q quit   s sort   g graph");
    let colour = |line| backend.buffer()[(0, line)].fg;
    assert_eq!(colour(2), Color::Yellow, "it is stalled");
    assert_eq!(colour(3), Color::Red, "it does not serve");
}

#[test]
fn a_view_sorts() {
    let history = history(3);
    let by = |sort| {
        let view = View {
            sort,
            graph_cpu: true,
        };
        let (lines, _) = screen(&history, view, 120, 6);
        lines[2].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(by(Sort::Iops), "disk0");
    assert_eq!(by(Sort::Stall), "disk0");
    assert_eq!(by(Sort::Bandwidth), "disk0");
    // VCPs with equal values are in the order of their names.
    assert_eq!(by(Sort::Memory), "back\\slash");
    assert_eq!(by(Sort::Name), "back\\slash");
}

#[test]
fn lines_say_the_same() {
    let text = top::plain(&history(3), View::default());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("vcp 1.2.3 pid 4711  CPU 45.2%"));
    assert!(lines[1].starts_with("NAME             STATE"));
    assert_eq!(lines[2], DISK);
    assert!(
        lines[3].starts_with("back\\slash \"quoted\"?line held"),
        "{}",
        lines[3]
    );
}

#[test]
fn every_size_of_a_screen_will_do() {
    for seconds in [0, 1, 2, 70] {
        let history = history(seconds);
        for width in [0, 1, 20, 104, 105, 106, 107, 400] {
            for height in [0, 1, 2, 3, 50] {
                screen(&history, View::default(), width, height);
            }
        }
    }
}

/// With less room than a minute takes, the newest part of the graph is shown.
#[test]
fn a_graph_ends_with_now() {
    let mut history = History::default();
    for second in 0..61 {
        let mut snapshot = snapshot(second);
        // Only the last second has any requests.
        snapshot.vcps[0].counters.completed = if second == 60 { 500 } else { 0 };
        history.push(snapshot);
    }
    let (lines, _) = screen(&history, View::default(), 130, 6);
    assert!(lines[2].trim_end().ends_with(" █"), "{}", lines[2]);
}

//! The table as a screen and as lines.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use crate::history::History;
use crate::top::View;
use crate::top::rows::{self, COLUMNS};

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, history: &History, view: View) {
    let [top, table, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(rows::host(history, view)), top);
    let widths = COLUMNS
        .iter()
        .map(|(_, width, _)| Constraint::Length(*width as u16))
        .chain([Constraint::Fill(1)]);
    let graph = usize::from(table.width).saturating_sub(plain_width() + 1);
    let lines = rows::rows(history, view);
    let lines = lines.iter().map(|row| line(row, graph));
    let head = COLUMNS
        .iter()
        .map(|(name, _, text)| cell((*name).to_owned(), *text))
        .chain([Cell::from("LAST MINUTE")]);
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_widget(Table::new(lines, widths).header(head), table);
    let keys = "q quit   s sort   g graph";
    let keys = Paragraph::new(keys).style(Style::new().add_modifier(Modifier::DIM));
    frame.render_widget(keys, foot);
}

/// The width of the table without the graph.
fn plain_width() -> usize {
    let widths = COLUMNS.iter().map(|(_, width, _)| *width);
    widths.sum::<usize>() + COLUMNS.len() - 1
}

fn line(row: &rows::Row, graph: usize) -> Row<'static> {
    let style = match (row.ready, row.stalled) {
        (false, _) => Style::new().fg(Color::Red),
        (true, true) => Style::new().fg(Color::Yellow),
        (true, false) => Style::new(),
    };
    // Where there is no room for all, the newest part is shown.
    let skipped = row.graph.chars().count().saturating_sub(graph);
    let shown: String = row.graph.chars().skip(skipped).collect();
    let cells = row.cells.iter().zip(&COLUMNS);
    let cells = cells.map(|(text, (_, _, is_text))| cell(text.clone(), *is_text));
    Row::new(cells.chain([Cell::from(shown)])).style(style)
}

fn cell(text: String, is_text: bool) -> Cell<'static> {
    let alignment = if is_text {
        Alignment::Left
    } else {
        Alignment::Right
    };
    Cell::from(Text::from(Line::from(text).alignment(alignment)))
}

/// The table as lines, without graphs: the host, the heads, and one for each VCP.
pub fn plain(history: &History, view: View) -> String {
    let mut out = rows::host(history, view) + "\n";
    let heads = COLUMNS.map(|(name, _, _)| name.to_owned());
    let lines = rows::rows(history, view).into_iter().map(|row| row.cells);
    for cells in std::iter::once(heads).chain(lines) {
        let mut line = String::new();
        for (text, (_, width, is_text)) in cells.iter().zip(&COLUMNS) {
            let written = match is_text {
                true => write!(line, "{text:<width$} "),
                false => write!(line, "{text:>width$} "),
            };
            written.expect("a String takes everything");
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

//! Conversion of the book's Markdown to a manual page: headings, paragraphs, lists,
//! tables and blocks of code, with code in bold and links as their text.

use roff::{Inline, Roff, bold, roman};

use crate::page::{item_of, verbatim};

/// The book's page on the configuration.
const CONFIGURATION: &str = "configuration.md";

/// A part of a page of the book: its heading, without marks, and what is below it.
pub(crate) struct Part<'a> {
    pub(crate) level: usize,
    pub(crate) heading: &'a str,
    pub(crate) body: &'a str,
}

/// Splits a page at its headings; text before the first is dropped.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut headings = Vec::new();
    let (mut at, mut code) = (0, false);
    for line in text.split_inclusive('\n') {
        code ^= line.starts_with("```");
        if line.starts_with('#') && !code {
            headings.push((at, line.len()));
        }
        at += line.len();
    }
    let ends = headings.iter().skip(1).map(|(start, _)| *start);
    let ends = ends.chain([text.len()]);
    let part = |((start, length), end): (&(usize, usize), usize)| {
        let heading = &text[*start..start + length];
        let words = heading.trim_start_matches('#');
        Part {
            level: heading.len() - words.len(),
            heading: words.trim(),
            body: &text[start + length..end],
        }
    };
    headings.iter().zip(ends).map(part).collect()
}

/// Writes the text below a heading. `wanted` selects tables by their first cell.
pub(crate) fn body(roff: &mut Roff, text: &str, wanted: impl Fn(&str) -> bool) {
    let mut lines = text.lines().peekable();
    // A paragraph needs no mark below a heading.
    let mut first = true;
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            verbatim(roff, code);
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            if wanted(&rows[0][0]) {
                table(roff, &rows);
            }
        } else {
            let mut words = line.trim().to_owned();
            let starts_another = |line: &str| {
                line.trim().is_empty()
                    || ["```", "|", "* ", "- "].iter().any(|s| line.starts_with(s))
            };
            while let Some(more) = lines.next_if(|line| !starts_another(line)) {
                words = format!("{words} {}", more.trim());
            }
            match words.strip_prefix("* ").or(words.strip_prefix("- ")) {
                Some(point) => {
                    roff.control("IP", ["*", "2"]);
                    roff.text(inlines(point));
                }
                None => {
                    if !first {
                        roff.control("PP", []);
                    }
                    roff.text(inlines(&words));
                }
            }
        }
        first = false;
    }
}

/// Splits a row at the bars that are not in a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').replace("\\|", "\0");
    let cells = row.trim_end_matches('|').split('|');
    cells.map(|cell| cell.trim().replace('\0', "|")).collect()
}

/// Writes a table: the first cell of each row is an item, and the others are its text,
/// each after its column's heading unless that is obvious.
fn table(roff: &mut Roff, rows: &[Vec<String>]) {
    let [head, _rule, rows @ ..] = rows else {
        return;
    };
    for row in rows {
        let mut about = String::new();
        for (column, cell) in row.iter().enumerate().skip(1) {
            let head = head.get(column).map_or("", String::as_str);
            match (head, cell.as_str()) {
                (_, "") => {}
                ("" | "value", cell) => about += &format!("{cell}. "),
                ("default", "required") => about += "Required. ",
                (head, cell) => about += &format!("{}: {cell}. ", capitalized(head)),
            }
        }
        item_of(roff, inlines(&row[0]), inlines(about.trim()));
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The text without marks.
pub(crate) fn plain(text: &str) -> String {
    let text_of = |inline| match inline {
        Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text,
        Inline::LineBreak => String::new(),
    };
    inlines(text).into_iter().map(text_of).collect()
}

/// Converts a text of one line. Bare links to other pages of the book are left out.
fn inlines(text: &str) -> Vec<Inline> {
    let text = without_bare_links(text);
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some(mark) = rest.find(['`', '*', '[']) {
        let (before, after) = rest.split_at(mark);
        plain += before;
        let marked = match after.as_bytes()[0] {
            b'`' => between(after, "`", "`").map(|(code, rest)| (vec![bold(code)], rest)),
            b'*' => between(after, "**", "**").map(|(text, rest)| (vec![bold(text)], rest)),
            _ => between(after, "[", "](").and_then(|(text, rest)| {
                let (to, rest) = rest.split_once(')')?;
                let mut marked = inlines(text);
                // This is the one page of the book that is a manual page as well.
                if to.starts_with(CONFIGURATION) {
                    marked.extend([roman(" ("), bold("vcp-host.toml"), roman("(5))")]);
                }
                Some((marked, rest))
            }),
        };
        let Some((marked, after)) = marked else {
            plain.push_str(&after[..1]);
            rest = &after[1..];
            continue;
        };
        if !plain.is_empty() {
            found.push(roman(std::mem::take(&mut plain)));
        }
        found.extend(marked);
        rest = after;
    }
    plain += rest;
    if !plain.is_empty() {
        found.push(roman(plain));
    }
    found
}

/// The text between two marks, the first of which begins the text, and the rest.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once(close)
}

/// The text without links that are a whole sentence, or all that follows a colon.
fn without_bare_links(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once(" [") {
        kept += before;
        let bare = link.split_once(").").filter(|(link, _)| {
            let to = link.split_once("](").map_or("", |(_, to)| to);
            kept.ends_with(['.', ':']) && !link.contains(')') && !to.starts_with(CONFIGURATION)
        });
        match bare {
            Some((_, after)) => {
                kept.pop();
                kept.push('.');
                rest = after;
            }
            None => {
                kept += " [";
                rest = link;
            }
        }
    }
    kept + rest
}

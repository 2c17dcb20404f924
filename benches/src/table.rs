//! Lines of a table, as Markdown has it and as a terminal shows it: the bars are
//! below each other.

/// A column: its title, how wide it is at least, and whether it holds numbers.
#[derive(Debug, Clone, Copy)]
pub struct Title {
    text: &'static str,
    width: usize,
    numbers: bool,
}

impl Title {
    /// Of words.
    #[must_use]
    pub const fn words(text: &'static str, width: usize) -> Self {
        Self {
            text,
            width,
            numbers: false,
        }
    }

    /// Of numbers, which stand to the right.
    #[must_use]
    pub const fn numbers(text: &'static str, width: usize) -> Self {
        Self {
            text,
            width,
            numbers: true,
        }
    }

    fn pad(self, cell: &str) -> String {
        let width = self.width;
        if self.numbers {
            format!(" {cell:>width$} |")
        } else {
            format!(" {cell:<width$} |")
        }
    }

    fn rule(self) -> String {
        let width = self.width;
        if self.numbers {
            format!("{:->width$}:|", "", width = width + 1)
        } else {
            format!("{:-<width$}|", "", width = width + 2)
        }
    }
}

/// The two lines above the others.
#[must_use]
pub fn heading(titles: &[Title]) -> String {
    let texts: String = titles.iter().map(|title| title.pad(title.text)).collect();
    let rules: String = titles.iter().map(|title| title.rule()).collect();
    format!("|{texts}\n|{rules}")
}

/// A line, of as many cells as there are titles.
#[must_use]
pub fn line(titles: &[Title], cells: &[String]) -> String {
    assert_eq!(titles.len(), cells.len(), "a cell for each column");
    let cells = titles
        .iter()
        .zip(cells)
        .map(|(title, cell)| title.pad(cell));
    format!("|{}", cells.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_below_each_other() {
        let titles = [Title::words("what", 6), Title::numbers("µs", 5)];
        let heading = heading(&titles);
        assert_eq!(heading, "| what   |    µs |\n|--------|------:|");
        let line = line(&titles, &["x".to_owned(), "1.5".to_owned()]);
        assert_eq!(line, "| x      |   1.5 |");
    }
}

//! The parts that all pages have: a header with the version, and sections that list
//! things.

use roff::{Inline, Roff, bold, roman};

/// One manual page.
pub(crate) struct Page {
    /// The page's name, such as `vcp-run`.
    pub(crate) name: String,
    /// The manual's section, such as `1`.
    pub(crate) section: &'static str,
    /// Everything below the header.
    pub(crate) text: Roff,
}

impl Page {
    /// Begins a page with its name and its subject, in one line.
    pub(crate) fn new(name: &str, section: &'static str, about: &str) -> Self {
        let mut text = Roff::new();
        text.control("SH", ["NAME"]);
        text.text([roman(format!("{name} - {about}"))]);
        Self {
            name: name.to_owned(),
            section,
            text,
        }
    }

    /// The name of the page's file.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }

    /// The page as man(1) reads it; the date is `YYYY-MM-DD`.
    pub(crate) fn render(self, date: &str) -> String {
        let title = escaped(&self.name.to_uppercase());
        // An empty argument has to be quoted, or the next one takes its place.
        let date = if date.is_empty() { "\"\"" } else { date };
        let version = concat!("vcp ", env!("CARGO_PKG_VERSION"));
        let header = [&title, self.section, date, version, "vcp manual"];
        let mut page = Roff::new();
        page.control("TH", header);
        page.extend([self.text]);
        page.render()
    }

    /// Adds a heading.
    pub(crate) fn section(&mut self, heading: &str) {
        self.text.control("SH", [escaped(heading).as_str()]);
    }

    /// Adds an item of a list with its description.
    pub(crate) fn item(&mut self, item: impl Into<Vec<Inline>>, about: impl Into<Vec<Inline>>) {
        item_of(&mut self.text, item, about);
    }

    /// Adds FILES.
    pub(crate) fn files<'a>(&mut self, files: impl Iterator<Item = (&'a str, &'a str)>) {
        self.section("FILES");
        for (path, about) in files {
            self.item([bold(path)], [roman(about)]);
        }
    }

    /// Adds SEE ALSO; each page is given as `name(section)`.
    pub(crate) fn see_also<'a>(&mut self, pages: impl Iterator<Item = &'a str>) {
        self.section("SEE ALSO");
        let mut line = Vec::new();
        for page in pages {
            if !line.is_empty() {
                line.push(roman(", "));
            }
            let (name, section) = page.split_once('(').unwrap_or((page, ""));
            line.extend([bold(name), roman(format!("({section}"))]);
        }
        self.text.text(line);
    }
}

/// Adds a heading within a section.
pub(crate) fn subsection(roff: &mut Roff, heading: &str) {
    roff.control("SS", [escaped(heading).as_str()]);
}

/// Escapes a heading as a macro's argument, for which the rules differ from text.
fn escaped(heading: &str) -> String {
    heading.replace('-', "\\-").replace('"', "\\(dq")
}

/// Adds an item of a list with its description.
pub(crate) fn item_of(
    roff: &mut Roff,
    item: impl Into<Vec<Inline>>,
    about: impl Into<Vec<Inline>>,
) {
    roff.control("TP", []);
    roff.text(item);
    let about = about.into();
    if !about.is_empty() {
        roff.text(about);
    }
}

/// Adds lines that are shown as they are.
pub(crate) fn verbatim<'a>(roff: &mut Roff, lines: impl Iterator<Item = &'a str>) {
    roff.control("sp", []);
    roff.control("RS", ["4"]);
    roff.control("EX", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("EE", []);
    roff.control("RE", []);
}

//! Checks that files are short and begin by naming their subject.

use std::path::Path;

use anyhow::{Result, bail};

use super::files;

/// The most lines of one source file.
const MOST_LINES: usize = 600;

/// Files with tables, which may be longer.
const TABLES: &[&str] = &[];

pub(super) fn check() -> Result<()> {
    let mut findings = Vec::new();
    for path in files::ending_in(&["rs"])? {
        let text = files::read(&path)?;
        let lines = text.lines().count();
        if lines > MOST_LINES && !TABLES.iter().any(|table| Path::new(table) == path) {
            findings.push(format!(
                "{}: {lines} lines, at most {MOST_LINES}",
                path.display()
            ));
        }
        if needs_header(&path) && !text.starts_with("//!") {
            findings.push(format!(
                "{}: does not begin by saying what it is for (//!)",
                path.display()
            ));
        }
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(())
}

/// Whether a file needs a header; a module's header also covers its tests.
fn needs_header(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "src") && !path.ends_with("tests.rs")
}

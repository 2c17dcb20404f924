//! What a run leaves behind: the figures for programs, and a page for the book.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

/// The command that prints what this program prints, as somebody else gives it.
#[must_use]
pub fn command(name: &str) -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let command = format!("cargo xtask bench {name} {}", arguments.join(" "));
    command.trim_end().to_owned()
}

/// Writes JSON as a person can read it.
///
/// # Errors
/// Of the file system.
pub fn json(path: &Path, value: &Value) -> io::Result<()> {
    write(path, &(serde_json::to_string_pretty(value)? + "\n"))
}

/// Writes a page: each `{name}` of the template becomes its text.
///
/// # Errors
/// Of the file system.
pub fn page(path: &Path, template: &str, texts: &[(&str, &str)]) -> io::Result<()> {
    let fill =
        |page: String, (name, text): &(&str, &str)| page.replace(&format!("{{{name}}}"), text);
    write(path, &texts.iter().fold(template.to_owned(), fill))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text)
}

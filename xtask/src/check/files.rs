//! Finds the files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::shell;

/// Every file under version control, or about to be, that ends in one of
/// `extensions` (without the dot); paths relative to the workspace.
pub(super) fn ending_in(extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let listing = shell::output(Command::new("git").current_dir(shell::root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    Ok(listing
        .lines()
        .map(PathBuf::from)
        .filter(|path| {
            path.extension()
                .is_some_and(|ext| extensions.iter().any(|wanted| ext == *wanted))
        })
        .filter(|path| shell::root().join(path).is_file())
        .collect())
}

/// The text of a file of the repository.
pub(super) fn read(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(shell::root().join(path))?).into_owned())
}

//! Checks documentation: rustdoc has no warnings, and links lead somewhere.

use std::path::Path;

use anyhow::{Result, bail};

use super::files;
use crate::shell;

pub(super) fn rustdoc() -> Result<()> {
    shell::run(shell::cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--keep-going",
        "--workspace",
        "--no-deps",
    ]))
}

/// Checks that every relative link of every Markdown file names a file, and an existing
/// heading if it names one. Links to other sites are not followed.
pub(super) fn links() -> Result<()> {
    let mut findings = Vec::new();
    for path in files::ending_in(&["md"])? {
        let text = files::read(&path)?;
        for link in targets(&text) {
            if let Err(what) = follow(&path, link) {
                findings.push(format!("{}: {link}: {what}", path.display()));
            }
        }
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(())
}

/// The targets of links `[text](target)`, outside code blocks.
fn targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for after in line.split("](").skip(1) {
            let target = after.split([')', ' ']).next().unwrap_or_default();
            if !target.is_empty() {
                found.push(target);
            }
        }
    }
    found
}

fn follow(from: &Path, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        from.with_file_name("").join(file)
    };
    let path = shell::root().join(path);
    if !path.exists() {
        return Err("no such file".into());
    }
    if heading.is_empty() || path.extension().is_none_or(|ext| ext != "md") {
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let found = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .any(|known| known == heading);
    if found {
        Ok(())
    } else {
        Err("no such heading".into())
    }
}

/// A heading's name in a link, as Markdown renderers make it.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_outside_code() {
        let text = "see [a](b.md) and [c](d/e.md#f \"title\")\n```\n[x](y)\n```\n";
        assert_eq!(targets(text), ["b.md", "d/e.md#f"]);
    }

    #[test]
    fn headings_become_anchors() {
        assert_eq!(
            anchor(" What `vcp run` does, and why"),
            "what-vcp-run-does-and-why"
        );
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        assert!(follow(Path::new("README.md"), "docs/no-such-file.md").is_err());
        assert!(follow(Path::new("README.md"), "https://example.org/x").is_ok());
    }
}

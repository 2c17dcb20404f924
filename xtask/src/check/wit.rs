//! Checks that guests and host have the same interfaces, by being generated from the same
//! files: the workspace's `wit/` and no copy of it.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use super::files;

pub(super) fn check() -> Result<()> {
    let mut findings = Vec::new();
    for path in files::ending_in(&["wit"])? {
        if !path.starts_with("wit") {
            findings.push(format!("{}: interfaces belong in wit/", path.display()));
        }
    }
    let mut generated = 0;
    for path in files::ending_in(&["rs"])? {
        let text = files::read(&path)?;
        for invocation in invocations(&text) {
            generated += 1;
            if let Err(what) = check_invocation(&path, invocation) {
                findings.push(format!("{}: {what}", path.display()));
            }
        }
    }
    if generated < 2 {
        findings.push(format!(
            "{generated} generators found; host and guest must each have one"
        ));
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(())
}

/// The argument text of every `bindgen!` and `generate!` at the beginning of a line, and
/// so not in comments or strings.
fn invocations(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (start, line) in line_starts(text) {
        let line = line.trim_start();
        let is_macro = [
            "wit_bindgen::generate!",
            "generate!",
            "wasmtime::component::bindgen!",
            "bindgen!",
        ]
        .iter()
        .any(|name| line.starts_with(name));
        if is_macro {
            let rest = &text[start..];
            found.push(&rest[..rest.find("});").unwrap_or(rest.len())]);
        }
    }
    found
}

fn line_starts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .map(move |line| (line.as_ptr() as usize - text.as_ptr() as usize, line))
}

fn check_invocation(file: &Path, invocation: &str) -> Result<(), String> {
    if invocation.contains("inline:") {
        return Err("interfaces written inline; they belong in wit/".into());
    }
    let Some((_, after)) = invocation.split_once("path:") else {
        return Err("a generator without `path:`, so not of the workspace's wit/".into());
    };
    let paths: Vec<&str> = after
        .split('"')
        .skip(1)
        .step_by(2)
        .take_while(|path| path.contains("wit"))
        .collect();
    let crate_dir = crate_dir(file);
    match paths
        .iter()
        .find(|path| !normal(&crate_dir.join(path)).starts_with("wit"))
    {
        Some(other) => Err(format!(
            "generated from {other}, which is not the workspace's wit/"
        )),
        None if paths.is_empty() => Err("`path:` names no directory".into()),
        None => Ok(()),
    }
}

/// The directory of a file's package, above the outermost `src` or `tests`.
fn crate_dir(file: &Path) -> PathBuf {
    file.iter()
        .take_while(|part| *part != "src" && *part != "tests")
        .collect()
}

/// Shortens `a/b/../c` to `a/c`, without looking at the file system.
fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir => {}
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_workspaces_directory_will_do() {
        let file = Path::new("runtime/core/src/generated.rs");
        assert_eq!(
            check_invocation(file, r#"bindgen!({ path: "../../wit", world: "x" "#),
            Ok(())
        );
        assert!(check_invocation(file, r#"bindgen!({ path: "wit" "#).is_err());
        assert!(check_invocation(file, r#"bindgen!({ world: "x" "#).is_err());
        assert!(check_invocation(file, r#"bindgen!({ inline: "package a:b;" "#).is_err());
    }

    #[test]
    fn finds_invocations_but_not_their_mention() {
        let text = "// bindgen!({ no })\nmod generated {\n    bindgen!({ path: \"a\" });\n}\n";
        assert_eq!(invocations(text).len(), 1);
    }
}

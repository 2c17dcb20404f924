//! The flagship component can reach nothing but its queues: among its imports
//! is only what `vcp:*` packages define. What the compiler's runtime library
//! would import unnoticed (a clock, standard error) is found here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wasmparser::{Parser, Payload};

use crate::{build, shell};

/// The built-in component that must be clean.
const FLAGSHIP: &str = "iscsi";

pub(super) fn check() -> Result<()> {
    build::host(true)?;
    let file = newest_component(FLAGSHIP)?;
    let imports = imports(&fs::read(&file)?).with_context(|| format!("in {}", file.display()))?;
    if imports.is_empty() {
        bail!(
            "{}: imports nothing at all; a processor logs at least",
            file.display()
        );
    }
    let foreign: Vec<&str> = imports
        .iter()
        .map(String::as_str)
        .filter(|name| !is_granted(name))
        .collect();
    if !foreign.is_empty() {
        bail!("{}: imports {}", file.display(), foreign.join(", "));
    }
    println!("{FLAGSHIP} imports {}", imports.join(", "));
    Ok(())
}

fn is_granted(import: &str) -> bool {
    import.starts_with("vcp:")
}

/// The component that the last build of `vcp-builtin` left behind.
fn newest_component(name: &str) -> Result<PathBuf> {
    let mut candidates = Vec::new();
    let build = shell::target_dir().join("release/build");
    for entry in fs::read_dir(&build).with_context(|| format!("reading {}", build.display()))? {
        let dir = entry?.path();
        if dir
            .file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with("vcp-builtin-"))
        {
            components(&dir.join("out"), name, &mut candidates)?;
        }
    }
    candidates.sort();
    let (_, newest) = candidates
        .pop()
        .with_context(|| format!("no component of {name} under {}", build.display()))?;
    Ok(newest)
}

fn components(
    dir: &Path,
    name: &str,
    into: &mut Vec<(std::time::SystemTime, PathBuf)>,
) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "wasm")
            && path
                .file_stem()
                .is_some_and(|stem| stem.to_string_lossy().contains(name))
        {
            into.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    Ok(())
}

/// The names that a component imports at its outermost level.
fn imports(wasm: &[u8]) -> Result<Vec<String>> {
    if !Parser::is_component(wasm) {
        bail!("not a component");
    }
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.push(import?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

//! Checks that the built-in components can reach nothing but their queues: they import
//! only what `vcp:*` packages define. This finds imports that the compiler's runtime
//! library would add unnoticed (a clock, standard error).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use wasmparser::{Parser, Payload};

use crate::shell;

/// The packages of the built-in components.
const BUILT_IN: &[&str] = &["vcp-module-iscsi", "vcp-module-ramdisk"];

pub(super) fn check() -> Result<()> {
    // Its build script builds the guests, and it does not need the engine.
    shell::run(shell::cargo().args(["build", "--package", "vcp-builtin"]))?;
    let mut findings = Vec::new();
    for package in BUILT_IN {
        let file = component(package);
        let wasm = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let imports = imports(&wasm).with_context(|| format!("in {}", file.display()))?;
        println!("{package} imports {}", imports.join(", "));
        // Every world has a log: a component without imports is not one of ours.
        if imports.is_empty() {
            findings.push(format!("{package} imports nothing, not even its log"));
        }
        let foreign = imports.iter().filter(|name| !is_granted(name));
        findings.extend(foreign.map(|name| format!("{package} imports {name}")));
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(())
}

fn is_granted(import: &str) -> bool {
    import.starts_with("vcp:")
}

/// The path where the build script leaves a guest.
fn component(package: &str) -> PathBuf {
    let name = format!("{}.wasm", package.replace('-', "_"));
    shell::target_dir()
        .join("guests/wasm32-wasip2/guest")
        .join(name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_components_have_imports() {
        assert!(imports(b"\0asm\x01\0\0\0").is_err());
        assert_eq!(
            imports(b"\0asm\x0d\0\x01\0").expect("the smallest component"),
            [""; 0]
        );
    }

    #[test]
    fn an_import_is_found() {
        // A component type section with an empty instance type, and an import of it.
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        wasm.extend([7, 3, 1, 0x42, 0]);
        let name = b"wasi:cli/stderr@0.2.0";
        let import_size = u8::try_from(1 + 1 + 1 + name.len() + 2).expect("short");
        wasm.extend([
            10,
            import_size,
            1,
            0,
            u8::try_from(name.len()).expect("short"),
        ]);
        wasm.extend(name);
        wasm.extend([5, 0]);
        let found = imports(&wasm).expect("a component");
        assert_eq!(found, ["wasi:cli/stderr@0.2.0"]);
        assert!(!is_granted(&found[0]) && is_granted("vcp:io/log@0.1.0"));
    }
}

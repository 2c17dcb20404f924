//! Checks that `docs/rfc7143.md` is true as far as a machine can tell: its files and
//! tests exist, and every row names a test, or says why there is none, or that it is a
//! gap. Also checks that the page of settings lists the existing keys.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(root: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            out.push(path);
        }
    }
}

/// The texts in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_row_is_covered() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let doc = fs::read_to_string(here.join("../../../docs/rfc7143.md")).unwrap();
    let mut files = Vec::new();
    sources(&here.join("src"), &mut files);
    sources(&here.join("tests"), &mut files);
    sources(&here.join("../proto/src"), &mut files);
    let code: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let is_test = |name: &str| {
        let definition = format!("fn {name}(");
        code.match_indices(&definition).any(|(at, _)| {
            // The attribute comes before it, or the macro around it.
            let before = &code[at.saturating_sub(80)..at];
            before.contains("#[test]")
        })
    };
    let mut rows = 0;
    for line in doc.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if matches!(cells[0], "§" | "test") {
            continue;
        }
        rows += 1;
        let &[_, _, places, shown] = &cells[..] else {
            panic!("four cells: {line}")
        };
        assert!(!quoted(places).is_empty(), "no place: {line}");
        for file in quoted(places) {
            let path = match file.strip_prefix("proto/") {
                Some(file) => here.join("../proto/src").join(file),
                None => here.join("src").join(file),
            };
            assert!(path.is_file(), "{file} does not exist: {line}");
        }
        let excused = ["not applicable because ", "gap: "];
        if !excused.iter().any(|excuse| shown.starts_with(excuse)) {
            assert!(!quoted(shown).is_empty(), "no test: {line}");
            for name in quoted(shown) {
                assert!(is_test(name), "no test is called {name}: {line}");
            }
        }
    }
    assert!(rows > 140, "{rows} rows");
}

/// The keys of `docs/src/reference/iscsi.md` are exactly the existing ones.
#[test]
fn every_setting_is_documented() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("../../../docs/src/reference/iscsi.md")).unwrap();
    let documented: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| quoted(line.split('|').nth(1).unwrap()))
        .collect();
    let code = fs::read_to_string(here.join("src/config/parse.rs")).unwrap();
    // The component handles this key before the initiator sees the others.
    let known: BTreeSet<&str> = ["discover"]
        .into_iter()
        .chain(code.lines().filter_map(|line| {
            let (key, _) = line.trim_start().strip_prefix('"')?.split_once("\" =>")?;
            Some(key)
        }))
        .collect();
    assert!(known.len() > 20, "{known:?}");
    assert_eq!(documented, known);
}

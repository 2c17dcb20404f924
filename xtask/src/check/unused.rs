//! Finds public items that nothing uses. The compiler does not see these: a crate's
//! public items might be used by other crates. Here all users are in this repository.
//!
//! It goes by names: an item counts as unused if its name occurs only in its definition
//! and in unit tests of the same crate. Two items of one name hide each other, so not
//! everything is found; what is found is unused.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::files;

/// The product's directories; all others only use it.
const PRODUCT: [&str; 3] = ["runtime", "host-nbd", "vcp-modules"];

/// The keywords of items, after `pub`.
const KINDS: [&str; 7] = ["fn", "struct", "enum", "const", "trait", "type", "static"];

pub(super) fn check() -> Result<()> {
    let mut uses: HashMap<String, usize> = HashMap::new();
    let mut defined: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files::ending_in(&["rs"])? {
        let code = code(&files::read(&path)?, is_product(&path));
        for word in words(&code) {
            *uses.entry(word.to_owned()).or_default() += 1;
        }
        if is_product(&path) {
            for name in definitions(&code) {
                defined.entry(name).or_default().push(path.clone());
            }
        }
    }
    let unused = defined
        .iter()
        .filter(|(name, places)| uses.get(*name).copied().unwrap_or(0) <= places.len());
    let lines: Vec<String> = unused
        .flat_map(|(name, places)| places.iter().map(move |at| (name, at)))
        .map(|(name, at)| format!("{}: {name} is used by nobody", at.display()))
        .collect();
    if !lines.is_empty() {
        bail!("{}", lines.join("\n"));
    }
    Ok(())
}

/// A file of the product that is not a test.
fn is_product(path: &Path) -> bool {
    let mut parts = path.components().map(|part| part.as_os_str());
    let first = parts.next().unwrap_or_default();
    let product = PRODUCT.iter().any(|name| first == *name);
    let tests = path.ends_with("tests.rs") || path.components().any(|p| p.as_os_str() == "tests");
    product && !tests
}

/// A file's text without its comments and, in the product, without its unit tests.
fn code(text: &str, product: bool) -> String {
    let lines = text.lines();
    let lines = lines.take_while(|line| !product || line.trim_end() != "#[cfg(test)]");
    let mut code = String::new();
    for line in lines {
        code += line.split("//").next().unwrap_or_default();
        code.push('\n');
    }
    code
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

/// The names of public items, in the order of the file.
fn definitions(code: &str) -> impl Iterator<Item = String> + '_ {
    code.lines().filter_map(|line| {
        let mut rest = words(line.trim_start().strip_prefix("pub ")?)
            .skip_while(|word| ["async", "unsafe", "extern"].contains(word))
            .peekable();
        let mut kind = rest.next()?;
        // `pub const fn` is a function.
        if kind == "const" && rest.peek() == Some(&"fn") {
            kind = rest.next()?;
        }
        KINDS
            .contains(&kind)
            .then(|| rest.next().map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_what_they_begin_with() {
        let text = "pub const fn a() {}\n    pub async fn b() {}\npub(crate) fn c() {}\n\
                    pub struct D;\n// pub fn e\npub const F: u8 = 1;\nfn g() {}\n\
                    #[cfg(test)]\nmod tests { pub fn h() {} }\n";
        let code = code(text, true);
        let found: Vec<_> = definitions(&code).collect();
        assert_eq!(found, ["a", "b", "D", "F"]);
    }

    #[test]
    fn tests_are_no_part_of_the_product() {
        assert!(is_product(Path::new("runtime/core/src/lib.rs")));
        assert!(!is_product(Path::new("runtime/core/src/limit/tests.rs")));
        assert!(!is_product(Path::new("runtime/core/tests/load.rs")));
        assert!(!is_product(Path::new("benches/src/lib.rs")));
    }
}

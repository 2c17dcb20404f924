//! Manual pages and completions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use vcp_tests::lab::Scratch;
use vcp_tests::process::{command, must, run};
use vcp_tests::requires;
use vcp_tests::vcp::binary;

use crate::{package, unpacked};

/// What every page has.
const SECTIONS: &[&str] = &[
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "FILES",
    "EXAMPLES",
    "SEE ALSO",
];

/// The verbs that `vcp --help` lists.
fn verbs() -> BTreeSet<String> {
    let help = must(&binary().display().to_string(), &["--help"]);
    let (_, list) = help.split_once("Commands:\n").expect("it has commands");
    let list = list.split("\n\n").next().unwrap_or_default();
    let verbs = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    verbs.map(str::to_owned).collect()
}

/// All pages by the names of their files, without `.gz`, as man(1) reads them.
fn pages(root: &Path) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for section in ["man1", "man5"] {
        let dir = fs::read_dir(root.join("usr/share/man").join(section)).expect("it is there");
        for entry in dir {
            let path = entry.expect("it can be read").path();
            let text = must("gzip", &["-dc", &path.display().to_string()]);
            let name = path.file_stem().expect("it has a name");
            pages.insert(name.to_string_lossy().into_owned(), text);
        }
    }
    pages
}

/// The pages of the package by their names, its program, and where that lies.
fn shipped() -> Option<(BTreeMap<String, String>, String, Scratch)> {
    let package = package()?;
    let scratch = Scratch::new();
    let root = unpacked(&package, &scratch);
    let installed = root.join("usr/bin/vcp").display().to_string();
    Some((pages(&root), installed, scratch))
}

#[test]
fn manual_pages_have_the_version_and_all_sections() {
    requires!("dpkg-deb", "gzip");
    let Some((pages, installed, _scratch)) = shipped() else {
        return;
    };
    let version = must(&installed, &["--version"]);
    let verbs = verbs();
    assert!(verbs.contains("host") && verbs.contains("run"), "{verbs:?}");
    let verbs = verbs.iter().filter(|verb| *verb != "help");
    let expected: BTreeSet<String> = verbs.map(|verb| format!("vcp-{verb}.1")).collect();
    for name in &expected {
        assert!(pages.contains_key(name), "no {name}");
    }
    assert_eq!(
        pages.len(),
        expected.len() + 2,
        "and vcp(1), vcp-host.toml(5)"
    );
    for (name, text) in &pages {
        let (page, section) = name.rsplit_once('.').expect("it has a section");
        let header = text.lines().find(|line| line.starts_with(".TH "));
        let header = header.unwrap_or_else(|| panic!("{name} has no header"));
        let title = page.to_uppercase().replace('-', "\\-");
        assert!(
            header.starts_with(&format!(".TH {title} {section} ")),
            "{header}"
        );
        assert!(
            header.contains(&format!("\"{}\"", version.trim())),
            "{header}"
        );
        let has = |section: &str| {
            let quoted = format!(".SH \"{section}\"");
            text.lines()
                .any(|line| line == quoted || line == format!(".SH {section}"))
        };
        for section in SECTIONS {
            assert!(has(section), "{name} has no {section}");
        }
    }
}

/// What `--help` lists with a value has one in the synopsis.
#[test]
fn the_synopsis_has_every_option_and_its_value() {
    requires!("dpkg-deb", "gzip");
    let Some((pages, installed, _scratch)) = shipped() else {
        return;
    };
    let mut seen = 0;
    for verb in verbs().iter().filter(|verb| *verb != "help") {
        let page = &pages[&format!("vcp-{verb}.1")];
        let (_, after) = page.split_once("\n.SH SYNOPSIS\n").expect("it has one");
        let (synopsis, _) = after.split_once("\n.SH ").expect("more follows");
        let help = must(&installed, &[verb, "--help"]);
        let lines = help.lines().map(str::trim_start);
        for line in lines.filter(|line| line.starts_with('-') && !line.starts_with("- ")) {
            let (_, long) = line.split_once("--").expect("all have a long one");
            let end = long.find(|c: char| c != '-' && !c.is_ascii_alphanumeric());
            let (long, rest) = long.split_at(end.unwrap_or(long.len()));
            if long == "help" {
                continue;
            }
            let value = if rest.starts_with(" <") { " \\fI" } else { "" };
            let option = format!("\\fB\\-\\-{}\\fR{value}", long.replace('-', "\\-"));
            assert!(
                synopsis.contains(&option),
                "{verb}: no {option} in {synopsis}"
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

/// The page of the configuration has every key that the book's reference has.
#[test]
fn the_configurations_page_has_every_key() {
    requires!("dpkg-deb", "gzip");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let pages = pages(&unpacked(&package, &scratch));
    let page = &pages["vcp-host.toml.5"];
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference");
    let book = fs::read_to_string(book.join("configuration.md")).expect("it is there");
    let keys = book
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut seen = 0;
    for (key, _) in keys {
        let item = format!(".TP\n\\fB{}\\fR\n", key.replace('-', "\\-"));
        assert!(page.contains(&item), "{key}");
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
    let links = page
        .lines()
        .find(|line| line.contains("](") || line.contains('`'));
    assert_eq!(links, None, "this is no Markdown");
}

#[test]
fn man_and_mandoc_find_nothing_wrong_with_the_pages() {
    requires!("dpkg-deb", "gzip", "man", "mandoc");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let limit = Duration::from_secs(30);
    for (name, text) in pages(&unpacked(&package, &scratch)) {
        let path = scratch.path().join(&name);
        fs::write(&path, text).expect("writing a page");
        let mut man = command("man");
        // As lintian has them formatted.
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]);
        man.arg(&path)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80");
        let outcome = run(man, scratch.path(), limit);
        assert_eq!((outcome.code(), outcome.stderr.as_str()), (0, ""), "{name}");
        let mut mandoc = command("mandoc");
        mandoc.args(["-T", "lint", "-W", "warning"]).arg(&path);
        let outcome = run(mandoc, scratch.path(), limit);
        assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, ""), "{name}");
    }
}

#[test]
fn completions_know_every_verb() {
    requires!("dpkg-deb");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let root = unpacked(&package, &scratch);
    let verbs = verbs();
    for file in [
        "bash-completion/completions/vcp",
        "zsh/vendor-completions/_vcp",
        "fish/vendor_completions.d/vcp.fish",
    ] {
        let path = root.join("usr/share").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        for verb in &verbs {
            assert!(text.contains(verb.as_str()), "{file} knows no {verb}");
        }
    }
}

//! Modules that can't be run: `vcp check` and `vcp run` refuse them with the same words,
//! and what `check` has compiled is not compiled again.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use vcp_tests::process::run;
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::assert_one_line;

/// A component of the world `device` by its export, and what is in it by `text`.
fn device(text: &str) -> String {
    format!(
        "(component {text} (instance $none) (export \"vcp:block/device@0.1.0\" (instance $none)))"
    )
}

fn module(user: &User, name: &str, text: &str) -> PathBuf {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let path = user.dir().join(format!("{name}.wasm"));
    fs::write(&path, bytes).expect("writing a module");
    path
}

#[test]
fn check_refuses_what_run_refuses_in_the_same_words() {
    let user = User::new();
    let memory = "(core module $m (memory 1)) (core instance (instantiate $m))";
    let cases = [
        ("nothing", "(component)".to_owned(), "exports nothing"),
        (
            "another-world",
            "(component (instance $none) (export \"some:other/thing@1.0.0\" (instance $none)))"
                .to_owned(),
            "exports only some:other/thing@1.0.0",
        ),
        (
            "newer",
            "(component (instance $none) (export \"vcp:block/device@0.9.0\" (instance $none)))"
                .to_owned(),
            "of version 0.9.0; this host runs",
        ),
        (
            "no-memory",
            device(""),
            "has no linear memory, a VCP has one",
        ),
        (
            "two-memories",
            device("(core module $m (memory 1) (memory 1)) (core instance (instantiate $m))"),
            "has 2 linear memories, a VCP has one",
        ),
        (
            "two-modules",
            device(&format!("{memory} (core instance (instantiate $m))")),
            "has 2 linear memories, a VCP has one",
        ),
        (
            "unknown-import",
            device("(import \"some:other/thing@1.0.0\" (instance))"),
            "imports some:other/thing@1.0.0, which no world of VCPs has",
        ),
        (
            "wasi-of-another-version",
            device(&format!(
                "{memory} (import \"wasi:cli/environment@0.3.0\" \
                 (instance (export \"get-arguments\" (func (result (list string))))))"
            )),
            "wasi:cli/environment@0.3.0",
        ),
        (
            "missing-function",
            device(&format!(
                "{memory} (import \"vcp:io/log@0.1.0\" (instance (export \"shout\" (func))))"
            )),
            "shout",
        ),
        ("not-whole", device(memory), "is not whole: "),
    ];
    for (name, text, why) in cases {
        let path = module(&user, name, &text).display().to_string();
        let checked = user.ask(&["check", &path]);
        assert_one_line(&checked, 1, &[&path, why]);
        let refused = user.ask(&["run", &path, "--nbd", "unix:x.sock"]);
        assert_one_line(&refused, 1, &[&path, why]);
        // The same, after the name of the VCP that it was meant for.
        let words = checked.stderr.trim_start_matches("vcp: ");
        assert!(refused.stderr.ends_with(words), "{refused:?}\n{checked:?}");
        assert!(!user.dir().join("x.sock").exists());
    }
}

/// The negative control, with the cache that both use.
#[test]
fn what_check_compiled_is_there_for_run() {
    let user = User::new();
    let cache = user.dir().join("cache");
    let ramdisk = vcp_builtin::find("ramdisk").expect("it ships inside");
    let path = user.dir().join("good.wasm");
    fs::write(&path, ramdisk.bytes).expect("writing a module");
    let path = path.display().to_string();
    let timed = |arguments: &[&str]| {
        let mut command = user.command(arguments);
        command.env("XDG_CACHE_HOME", &cache);
        let begun = Instant::now();
        let outcome = run(command, user.dir(), LIMIT);
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        begun.elapsed()
    };
    let compiled = || {
        let files = fs::read_dir(cache.join("vcp")).expect("a cache");
        let stamp = |entry: fs::DirEntry| entry.metadata().and_then(|found| found.modified());
        let stamps = files.map(|entry| entry.and_then(stamp).expect("a file"));
        stamps.collect::<Vec<_>>()
    };
    timed(&["check", &path]);
    let first = compiled();
    assert_eq!(first.len(), 1, "check leaves what it compiled");
    let again = timed(&["check", &path]);
    assert!(again < Duration::from_secs(1), "{again:?}");
    timed(&["run", &path, "size=1MiB", "--run", "true"]);
    assert_eq!(compiled(), first, "it was compiled again");
}

//! `tree write DIR FILES SEED [RATE]`, `tree check DIR FILES SEED`: writes files that
//! follow from a seed, at RATE a second at most, or compares them. Prints how many
//! there are and their digest; anything else is one line and exit code 1.

use std::path::Path;
use std::process::ExitCode;

use vcp_tests::tree::Tree;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((act, root, tree, rate)) = parse(&words) else {
        eprintln!("tree write DIR FILES SEED [RATE] | tree check DIR FILES SEED");
        return ExitCode::from(2);
    };
    let outcome = match act {
        Act::Write => tree.write(root, rate),
        Act::Check => tree.check(root),
    };
    match outcome {
        Ok(sum) => {
            println!("{sum}");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

enum Act {
    Write,
    Check,
}

fn parse<'a>(words: &[&'a str]) -> Option<(Act, &'a Path, Tree, Option<u32>)> {
    let (act, root, files, seed, rate) = match *words {
        ["write", root, files, seed] => (Act::Write, root, files, seed, None),
        ["write", root, files, seed, rate] => {
            let rate = rate.parse().ok().filter(|&rate| rate > 0)?;
            (Act::Write, root, files, seed, Some(rate))
        }
        ["check", root, files, seed] => (Act::Check, root, files, seed, None),
        _ => return None,
    };
    let tree = Tree {
        files: files.parse().ok()?,
        seed: seed.parse().ok()?,
    };
    Some((act, Path::new(root), tree, rate))
}

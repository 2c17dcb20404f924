//! Manual pages and completions, made from the command line that `vcp` reads itself:
//! `manuals DIRECTORY` writes `man/*.1` and `completions/`.

#[path = "../src/args/mod.rs"]
#[expect(
    dead_code,
    reason = "only the shape of the command line is of interest"
)]
mod args;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

/// As in the command itself.
const USAGE: u8 = 2;

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).context("expected a directory")?;
    let directory = PathBuf::from(directory);
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    for new in [&man, &completions] {
        fs::create_dir_all(new).with_context(|| new.display().to_string())?;
    }
    let mut command = args::Arguments::command();
    clap_mangen::generate_to(command.clone(), &man).context("manual pages")?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "vcp", &completions)
            .with_context(|| format!("completions for {shell}"))?;
    }
    Ok(())
}

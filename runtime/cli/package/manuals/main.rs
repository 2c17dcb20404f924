//! Manual pages and completions, made from the command line that `vcp` reads itself and
//! from the reference in the book: `manuals DIRECTORY [DATE]` writes `man/*.1`,
//! `man/*.5` and `completions/`.

#[path = "../../src/args/mod.rs"]
#[expect(
    dead_code,
    reason = "only the shape of the command line is of interest"
)]
mod args;
mod command;
mod configuration;
mod entries;
mod markdown;
mod page;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

/// The exit status of wrong usage, as in the command itself.
const USAGE: u8 = 2;

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let directory = PathBuf::from(words.next().context("expected a directory")?);
    let date = words.next().unwrap_or_default();
    let date = date.to_str().context("the date is no text")?;
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    for new in [&man, &completions] {
        fs::create_dir_all(new).with_context(|| new.display().to_string())?;
    }
    let mut command = args::Arguments::command();
    let pages = command::pages(command.clone())?;
    for page in pages.into_iter().chain([configuration::page()?]) {
        let path = man.join(page.file_name());
        fs::write(&path, page.render(date)).with_context(|| path.display().to_string())?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "vcp", &completions)
            .with_context(|| format!("completions for {shell}"))?;
    }
    Ok(())
}

//! The `vcp` command: reads what the operator wants, starts VCPs and serves
//! their devices. Policy and words live here; the work is done by the crates
//! below.
//!
//! Results go to stdout, logs and errors to stderr; a failure is one line that
//! says what and where, and exit status 1; wrong usage exits with 2.

mod args;
mod check;
mod demo;
mod discover;
mod exports;
mod host;
mod link;
mod logging;
mod module;
mod run;
mod sources;

use std::process::ExitCode;

use args::Command;

/// Exit status of a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match args::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    // The demo kills its VCP itself and says so in its own words.
    let quiet = matches!(arguments.command, Command::Demo(_));
    logging::start(if quiet { "error" } else { "warn" });
    let result = match arguments.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Discover(arguments) => discover::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let usage = error.is::<args::Usage>();
            args::complain(&format!("{error:#}"));
            ExitCode::from(if usage { USAGE } else { 1 })
        }
    }
}

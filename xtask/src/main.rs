//! Build, set-up, test and demo commands of this repository, one file each.
//!
//! It depends on next to nothing, so that a newcomer's first command compiles in seconds;
//! a command that needs more than cargo runs other programs.

mod bench;
mod build;
mod check;
mod deb;
mod demo;
mod faults;
mod fuzz;
mod machine;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup [--check]              install what tests and demo need; --check only says what is missing
  build [--dev]                guests and host, in release
  deb [--fast]                 the Debian package, in target/debian
  demo [ARG…]                  build, then `vcp demo ARG…`
  test [--quick] [--only light|host|e2e] [FILTER]
                               unit tests, then the end-to-end tests against real peers
  machine [--quick] [FILTER]   the package on an emulated machine with systemd, over reboots
  check [NAME…]                format, lints, docs, layout and boundary checks
  fuzz [--seconds N] [TARGET]  every fuzz target, or one
  faults [--mutants N] [--seed S] [--module iscsi|ramdisk|both] [--only SEED]
                               mutants of the modules, cut calls and bad links, under load
  bench [initiators] [--quick] [--only WORKLOADS] [--arms ARMS] [--out DIR]
        [--at-least RATIO] [--strict] [--precedence]
                               side by side with qemu-nbd's libiscsi on the same target;
                               a whole run writes docs/bench
  bench devices [--quick] [--strict] [--precedence] [--out DIR]
                               RAM disks, the VCP beside nbdkit's plugins; a whole run
                               writes docs/bench
  bench sandbox [--quick] [--strict] [--out DIR]
                               the same VCP in its box and as native code, by frame size
                               and offload; a whole run writes docs/bench
  bench calls [--quick] [--precedence] [--out DIR]
                               what a call costs in its box and without, by what it has to
                               do; a whole run writes docs/bench
  bench clients [--quick] [--strict] [--precedence] [--only CROWD] [--out DIR]
                               a client that behaves beside crowds that do not; a whole run
                               writes docs/bench
  bench recovery [--quick] [--json FILE] [--markdown FILE]
                               what crashes and reloads cost those who use a disk
  bench sched [--quick] [--precedence] [--only ARM] [--out DIR]
                               shares, latency beside an endless loop, metering, many VCPs;
                               a whole run writes docs/bench
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!(Usage("no command".into()));
    };
    match command.as_str() {
        "setup" => setup::command(rest),
        "build" => build::command(rest),
        "deb" => deb::command(rest),
        "demo" => demo::command(rest),
        "test" => test::command(rest),
        "check" => check::command(rest),
        "fuzz" => fuzz::command(rest),
        "faults" => faults::command(rest),
        "machine" => machine::command(rest),
        "bench" => bench::command(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!(Usage(format!("unknown command `{other}`"))),
    }
}

/// The command line was wrong: exit code 2 and the usage text.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

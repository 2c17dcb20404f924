//! The `vcp` command: reads what the operator wants, starts VCPs and serves their
//! devices, or asks a running host. Policy and messages live here; the work is done by
//! the crates below.
//!
//! Results go to stdout, logs and errors to stderr; a failure is one line that
//! says what and where, and exit status 1; wrong usage exits with 2.

mod args;
mod ask;
mod attach;
mod budget;
mod check;
mod conceal;
mod control;
mod demo;
mod descriptors;
mod discover;
mod doctor;
mod exports;
mod follow;
mod host;
mod identity;
mod judge;
mod link;
mod logging;
mod module;
mod mount;
mod reclaim;
mod run;
mod sandbox;
mod service;
mod sources;
mod watch;

use std::process::ExitCode;

use args::Command;

/// Exit status of a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let code = obey();
    logging::finish();
    code
}

fn obey() -> ExitCode {
    let arguments = match args::parse(logging::complain) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    logging::start(match &arguments.command {
        // The demo kills its VCP itself and reports that in its own words.
        Command::Demo(_) => "error",
        // An operator who watches a file wants to know when it was reloaded.
        Command::Run(run) if run.watch => "warn,vcp::follow::outage=info,vcp::watch=info",
        Command::Run(_) => "warn,vcp::follow::outage=info",
        // Its log is the service's, which reports starts, ends and changes.
        Command::Host(_) => {
            "warn,vcp::service=info,vcp::follow=info,vcp::attach=info,vcp::control=info"
        }
        _ => "warn",
    });
    conceal::passwords();
    // A host starts it later, with the properties that its threads are to have.
    if !matches!(
        arguments.command,
        Command::Run(_) | Command::Host(_) | Command::Demo(_)
    ) {
        logging::begin();
    }
    let result = match arguments.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Host(arguments) => service::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Discover(arguments) => discover::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Ps(arguments) => ask::ps(&arguments),
        Command::Inspect(arguments) => ask::inspect(&arguments),
        Command::Logs(arguments) => ask::logs(&arguments),
        Command::Reload(arguments) => ask::reload(&arguments),
        Command::Restart(arguments) => ask::restart(&arguments),
        Command::Rescan(arguments) => ask::rescan(&arguments),
        Command::Clients(arguments) => ask::clients(&arguments),
        Command::Stop(arguments) => ask::stop(&arguments),
        Command::Inject(arguments) => ask::inject(&arguments),
        Command::Set(arguments) => ask::set(&arguments),
        Command::Attach(arguments) => ask::attach(&arguments),
        Command::Detach(arguments) => ask::detach(&arguments),
        Command::Top(arguments) => ask::top(&arguments),
        Command::Metrics(arguments) => ask::metrics(&arguments),
        Command::Mount(arguments) => mount::mount(&arguments),
        Command::Umount(arguments) => mount::umount(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let usage = error.is::<args::Usage>();
            logging::complain(&format!("{error:#}"));
            ExitCode::from(if usage { USAGE } else { 1 })
        }
    }
}

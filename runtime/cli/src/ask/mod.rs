//! The commands that ask a running host: `vcp ps`, `inspect`, `logs`, `reload`,
//! `restart`, `rescan`, `clients`, `stop`, `inject`, `set`, `attach`, `detach`, `top` and
//! `metrics`.

mod attach;
mod clients;
mod crash;
mod disk;
mod rescan;
mod table;
mod text;

pub(crate) use attach::{attach, detach};

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use vcp_control::{Client, Hosts, Request, report};

use crate::args::{
    HostArguments, InjectArguments, InspectArguments, LogsArguments, PsArguments, ReloadArguments,
    SetArguments, TargetArguments, TopArguments, Usage, WholeHostArguments,
};
use crate::run::runtime;
pub(crate) use clients::clients;
pub(crate) use disk::{Disk, detach_device, disk};
pub(crate) use rescan::rescan;

/// Runs `vcp ps`.
pub(crate) fn ps(arguments: &PsArguments) -> Result<ExitCode> {
    let hosts = runtime()?.block_on(hosts(&arguments.host))?;
    let running: Vec<_> = hosts.found.into_iter().map(|found| found.host).collect();
    if arguments.json {
        print_json(&running)?;
    } else {
        print(&table::of_vcps(&running))?;
    }
    complain_of(&hosts.silent);
    Ok(ExitCode::from(u8::from(!hosts.silent.is_empty())))
}

/// Runs `vcp inspect`.
pub(crate) fn inspect(arguments: &InspectArguments) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let mut client = find(&arguments.target).await?;
        let vcp = arguments.target.vcp.name.clone();
        let inspection: report::Inspection = client.ask(&Request::Inspect { vcp }).await?;
        if arguments.json {
            print_json(&inspection)?;
        } else {
            print(&text::of_inspection(&inspection))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs `vcp logs`.
pub(crate) fn logs(arguments: &LogsArguments) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let mut client = find(&arguments.target).await?;
        let vcp = arguments.target.vcp.name.clone();
        if let Some(crash) = arguments.crash {
            crash::show(&mut client, vcp, crash, arguments).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let logs: report::Logs = client.ask(&Request::Logs { vcp }).await?;
        if arguments.json {
            print_json(&logs)?;
        } else {
            print(&table::of_crashes(&logs))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs `vcp reload`. Fails when the old version goes on.
pub(crate) fn reload(arguments: &ReloadArguments) -> Result<ExitCode> {
    let Some(address) = &arguments.vcp else {
        return reload_all(arguments);
    };
    let module = arguments.module.as_deref().map(absolute).transpose()?;
    runtime()?.block_on(async {
        let hosts = hosts(&arguments.host).await?;
        complain_of(&hosts.silent);
        let mut client = hosts.with(address)?.client;
        let vcp = address.name.clone();
        let request = Request::Reload { vcp, module };
        let reload: report::Reload = client.ask(&request).await?;
        if arguments.json {
            print_json(&reload)?;
            return Ok(ExitCode::from(u8::from(!reload.replaced)));
        }
        if !reload.replaced {
            let why = reload.reason.as_deref().unwrap_or("no reason given");
            bail!("VCP {}: not reloaded: {}", plain(&reload.vcp), plain(why));
        }
        print(&text::of_reload(&reload))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs `vcp reload --all`. Fails when a part of it failed.
fn reload_all(arguments: &ReloadArguments) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let mut client = only_host(hosts(&arguments.host).await?, "--control PATH says which")?;
        let outcome: report::Reconfigured = client.ask(&Request::ReloadAll {}).await?;
        if arguments.json {
            print_json(&outcome)?;
        } else if !arguments.quiet {
            let done = outcome.done.iter().chain(&outcome.left);
            let lines: String = done.map(|line| plain(line) + "\n").collect();
            print(&lines)?;
            for line in &outcome.failed {
                crate::logging::complain(&plain(line));
            }
        }
        Ok(ExitCode::from(u8::from(!outcome.failed.is_empty())))
    })
}

/// Runs `vcp restart`.
pub(crate) fn restart(arguments: &TargetArguments) -> Result<ExitCode> {
    let vcp = arguments.vcp.name.clone();
    done(arguments, Request::Restart { vcp }, |done| {
        format!("generation {}, {}", done.generation, done.state)
    })
}

/// Runs `vcp stop`.
pub(crate) fn stop(arguments: &TargetArguments) -> Result<ExitCode> {
    let vcp = arguments.vcp.name.clone();
    done(arguments, Request::Stop { vcp }, |done| done.state.clone())
}

/// Runs `vcp inject`.
pub(crate) fn inject(arguments: &InjectArguments) -> Result<ExitCode> {
    let vcp = arguments.target.vcp.name.clone();
    let fault = arguments.fault.to_string();
    let request = Request::Inject {
        vcp,
        fault: fault.clone(),
    };
    let cut = matches!(arguments.fault, vcp_core::Injection::Cut(_));
    done(&arguments.target, request, |done| match cut {
        true => format!("{fault} ended generation {} in a call", done.generation),
        false => format!("{fault} injected into generation {}", done.generation),
    })
}

/// Runs `vcp set`.
pub(crate) fn set(arguments: &SetArguments) -> Result<ExitCode> {
    // Invalid changes are refused without asking the host.
    let changes = vcp_config::Change::read(&arguments.changes);
    let changes = changes.map_err(|error| Usage(error.to_string()))?;
    let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let name = arguments.target.vcp.name.clone();
    let said = words.join(" ");
    runtime()?.block_on(async {
        let target = &arguments.target;
        let hosts = hosts(&target.host).await?;
        complain_of(&hosts.silent);
        let mut client = hosts.with_vcp_or_export(&target.vcp)?.client;
        let request = Request::Set {
            name: name.clone(),
            changes: words,
        };
        let _: report::Done = client.ask(&request).await?;
        print(&format!("{}: {said}\n", plain(&name)))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs `vcp top`.
pub(crate) fn top(arguments: &TopArguments) -> Result<ExitCode> {
    let runtime = runtime()?;
    let mut client = runtime.block_on(the_host(&arguments.which))?;
    let fetch = || runtime.block_on(client.ask::<vcp_meter::Snapshot>(&Request::Stats {}));
    let options = vcp_meter::top::Options {
        plain: arguments.plain,
        once: arguments.once,
        ..Default::default()
    };
    vcp_meter::top::run(fetch, options)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `vcp metrics`.
pub(crate) fn metrics(arguments: &WholeHostArguments) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let mut client = the_host(arguments).await?;
        let snapshot = client
            .ask::<vcp_meter::Snapshot>(&Request::Stats {})
            .await?;
        print(&vcp_meter::prometheus(&snapshot))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Connects to the host of a VCP, or to the only host there is.
async fn the_host(which: &WholeHostArguments) -> Result<Client> {
    let hosts = hosts(&which.host).await?;
    if let Some(vcp) = &which.vcp {
        complain_of(&hosts.silent);
        return Ok(hosts.with(vcp)?.client);
    }
    only_host(hosts, "name a VCP of the one meant")
}

/// Connects to the only host there is; `hint` says what to do where there are several.
fn only_host(mut hosts: Hosts, hint: &str) -> Result<Client> {
    complain_of(&hosts.silent);
    match (hosts.found.pop(), hosts.found.is_empty()) {
        (Some(found), true) => Ok(found.client),
        (None, _) => bail!("no host is running"),
        (Some(_), false) => bail!("several hosts are running: {hint}"),
    }
}

/// Asks for an action, and reports it in one line.
fn done(
    target: &TargetArguments,
    request: Request,
    words: impl FnOnce(&report::Done) -> String,
) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let mut client = find(target).await?;
        let done: report::Done = client.ask(&request).await?;
        print(&format!("{}: {}\n", plain(&done.vcp), plain(&words(&done))))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Finds the hosts that are meant: all of this user's, or the one that was named.
async fn hosts(host: &HostArguments) -> Result<Hosts> {
    match &host.control {
        Some(path) => Ok(Hosts::only(path)
            .await
            .with_context(|| format!("control socket {}", path.display()))?),
        None => {
            let directory = vcp_control::place::directory();
            Hosts::in_directory(&directory)
                .await
                .with_context(|| format!("control sockets in {}", directory.display()))
        }
    }
}

/// Connects to the host that runs the VCP.
async fn find(target: &TargetArguments) -> Result<Client> {
    let hosts = hosts(&target.host).await?;
    complain_of(&hosts.silent);
    Ok(hosts.with(&target.vcp)?.client)
}

fn complain_of(silent: &[(PathBuf, vcp_control::ClientError)]) {
    for (path, error) in silent {
        let line = format!("control socket {}: {error}", path.display());
        crate::logging::complain(&plain(&line));
    }
}

/// Makes a module's path absolute, as the host has another working directory.
fn absolute(module: &str) -> Result<String> {
    let named: vcp_config::Module = module
        .parse()
        .map_err(|error: vcp_config::Invalid| Usage(format!("MODULE: {error}")))?;
    let vcp_config::Module::File(path) = named else {
        return Ok(module.to_owned());
    };
    let path = std::path::absolute(&path).with_context(|| path.display().to_string())?;
    utf8(&path)
}

fn utf8(path: &Path) -> Result<String> {
    let text = path.to_str();
    Ok(text
        .with_context(|| format!("{}: not a name in UTF-8", path.display()))?
        .to_owned())
}

fn print_json(report: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(report).context("writing JSON")?;
    print(&(text + "\n"))
}

pub(crate) fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("writing to stdout")
}

/// Makes text that a guest may have influenced safe for a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

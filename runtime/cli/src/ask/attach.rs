//! `vcp attach` and `vcp detach`.

use std::process::ExitCode;

use anyhow::Result;
use vcp_attach::DeviceName;
use vcp_config::{Attach, ByteSize};
use vcp_control::{Address, Found, Request, report};

use super::{complain_of, hosts, plain, print, print_json};
use crate::args::{AttachArguments, DetachArguments, Usage};
use crate::attach::orphan;
use crate::run::runtime;

/// Runs `vcp attach`, which prints the device.
pub(crate) fn attach(arguments: &AttachArguments) -> Result<ExitCode> {
    check(arguments).map_err(Usage)?;
    runtime()?.block_on(async {
        let hosts = hosts(&arguments.host).await?;
        complain_of(&hosts.silent);
        let mut found = hosts.with_vcp_or_export(&arguments.name)?;
        let request = Request::Attach {
            name: arguments.name.name.clone(),
            device: arguments.device.map(|device| device.to_string()),
            connections: arguments.connections,
            read_only: arguments.read_only,
            timeout: arguments.timeout.clone(),
            dead_timeout: arguments.dead_timeout.clone(),
        };
        let device: report::Device = found.client.ask(&request).await?;
        match arguments.json {
            true => print_json(&device)?,
            false => print(&format!("{}\n", plain(&device.device)))?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Refuses invalid options without asking the host.
fn check(arguments: &AttachArguments) -> Result<(), String> {
    let wrong = |option: &str, error: vcp_config::Invalid| format!("{option}: {error}");
    if let Some(count) = arguments.connections {
        Attach::check_connections(count).map_err(|error| wrong("--connections", error))?;
    }
    if let Some(timeout) = &arguments.timeout {
        Attach::parse_timeout(timeout).map_err(|error| wrong("--timeout", error))?;
    }
    if let Some(timeout) = &arguments.dead_timeout {
        Attach::parse_dead_timeout(timeout).map_err(|error| wrong("--dead-timeout", error))?;
    }
    Ok(())
}

/// Runs `vcp detach`.
pub(crate) fn detach(arguments: &DetachArguments) -> Result<ExitCode> {
    let Some(name) = &arguments.name else {
        return left(arguments);
    };
    runtime()?.block_on(async {
        let hosts = hosts(&arguments.host).await?;
        complain_of(&hosts.silent);
        let force = arguments.force;
        let detached = if name.starts_with("/dev/") {
            let device: DeviceName = name.parse()?;
            match hosts.with_device(&device.to_string()) {
                Ok(found) => ask(found, device.to_string(), force).await?,
                Err(_) => orphan::detach(device, force).await?,
            }
        } else {
            let name: Address = name.parse().map_err(Usage)?;
            ask(hosts.with_vcp_or_export(&name)?, name.name, force).await?
        };
        if arguments.json {
            print_json(&detached)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&outcome(&detached))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs `vcp detach --left`.
fn left(arguments: &DetachArguments) -> Result<ExitCode> {
    let detached = runtime()?.block_on(orphan::detach_all())?;
    match arguments.json {
        true => print_json(&detached)?,
        false => print(&detached.iter().map(outcome).collect::<String>())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The outcome for a device, in one line.
fn outcome(detached: &report::Detached) -> String {
    let rest = match detached.still_open {
        true => {
            ", and still open: what is asked of it fails, and its number is free once it is closed"
        }
        false => "",
    };
    format!("{}: detached{rest}\n", plain(&detached.device))
}

async fn ask(mut host: Found, device: String, force: bool) -> Result<report::Detached> {
    let request = Request::Detach { device, force };
    Ok(host.client.ask(&request).await?)
}

/// A device in one line, for `vcp inspect`.
pub(super) fn described(device: &report::Device) -> String {
    let mut text = format!(
        "{} {}{}, {} of {} connections",
        device.device,
        ByteSize(device.size),
        if device.read_only { ", read-only" } else { "" },
        device.connected,
        device.connections
    );
    for used in &device.uses {
        text += &format!(", {used}");
    }
    text
}

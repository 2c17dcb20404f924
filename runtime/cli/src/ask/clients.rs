//! `vcp clients`.

use std::process::ExitCode;

use anyhow::Result;
use vcp_control::{Request, report};

use super::{complain_of, hosts, plain, print, print_json, table};
use crate::args::ClientsArguments;
use crate::run::runtime;

/// Runs `vcp clients`.
pub(crate) fn clients(arguments: &ClientsArguments) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let hosts = hosts(&arguments.host).await?;
        complain_of(&hosts.silent);
        let mut host = hosts.with_vcp_or_export(&arguments.name)?.client;
        let name = arguments.name.name.clone();
        if let Some(client) = arguments.end {
            let said = format!("{}: client {client} ended\n", plain(&name));
            let done: report::Done = host.ask(&Request::EndClient { name, client }).await?;
            if arguments.json {
                print_json(&done)?;
            } else {
                print(&said)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let clients: report::Clients = host.ask(&Request::Clients { name }).await?;
        if arguments.json {
            print_json(&clients)?;
        } else {
            print(&table::of_clients(&clients))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

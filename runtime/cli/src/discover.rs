//! `vcp discover`: asks a portal for its targets. The iSCSI VCP does so, in its box, over
//! the link that a disk of that portal would use.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::sync::mpsc::UnboundedReceiver;
use vcp_config::{
    DiscoveryUri, Module as Named, Net, Settings as Given, Sources, Vcp as Description,
};
use vcp_core::{Cache, Engine, Event, Settings, Vcp};

use crate::args::{DiscoverArguments, Usage};
use crate::ask::print;
use crate::link::Pipes;
use crate::sources::System;
use crate::{host, module};

const NAME: &str = "discover";

pub(crate) fn run(arguments: &DiscoverArguments) -> Result<ExitCode> {
    let usage = |option: &str, why: String| anyhow!(Usage(format!("{option}: {why}")));
    let uri: DiscoveryUri = arguments
        .uri
        .parse()
        .map_err(|e: vcp_config::UriError| usage("URI", e.to_string()))?;
    let net: Net = arguments.link.parse().map_err(|why| usage("--link", why))?;
    net.leads_to(&uri.portal).map_err(|why| usage("URI", why))?;
    let lines = crate::run::runtime()?.block_on(ask(&uri, net))?;
    if arguments.json {
        let targets: Vec<_> = lines.iter().map(|line| json(line)).collect();
        print(&format!("{}\n", serde_json::Value::Array(targets)))?;
    } else {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Converts a line `name portal,group …` to an object.
fn json(line: &str) -> serde_json::Value {
    let mut words = line.split(' ');
    let name = words.next();
    let portals: Vec<_> = words
        .map(|word| match word.rsplit_once(',') {
            Some((address, group)) => {
                serde_json::json!({ "address": address, "group": group.parse::<u16>().ok() })
            }
            None => serde_json::json!({ "address": word, "group": null }),
        })
        .collect();
    serde_json::json!({ "target": name, "portals": portals })
}

async fn ask(uri: &DiscoveryUri, net: Net) -> Result<Vec<String>> {
    let named = Named::Builtin("iscsi".to_owned());
    let portal = module::resolve(&uri.portal)?;
    let zone = uri.portal.zone.clone();
    let mut description = Description::new(named.clone());
    description.net = Some(net);
    let config = settings(uri, portal, &named)?;
    let engine = Engine::new(true)?;
    let module = module::load(&engine, &Cache::of_user(), &named)?;
    let settings = Settings {
        network: host::network(&description, &config, zone, &mut Pipes::default(), false)?,
        config,
        memory: None,
        queue_depth: 1,
        ..Settings::new(NAME, module)
    };
    let (_vcp, mut events) = Vcp::start(&engine, settings)?;
    gather(&mut events).await
}

fn settings(
    uri: &DiscoveryUri,
    portal: SocketAddr,
    named: &Named,
) -> Result<Vec<(String, String)>> {
    let given = Given::default().resolve(named, &Login(uri.login.as_ref()));
    let mut pairs = given.map_err(|error| anyhow!("{error}"))?.into_pairs();
    pairs.push(("discover".to_owned(), "true".to_owned()));
    pairs.push(("portal".to_owned(), portal.to_string()));
    pairs.push(("initiator-name".to_owned(), module::initiator_name()));
    Ok(pairs)
}

/// The URI's login, used in place of the environment's; the environment gives what the
/// URI does not.
struct Login<'a>(Option<&'a vcp_config::Login>);

impl Sources for Login<'_> {
    fn env(&self, variable: &str) -> Option<String> {
        let given = match (variable, self.0) {
            ("LIBISCSI_CHAP_USERNAME", Some(login)) => Some(login.user.clone()),
            ("LIBISCSI_CHAP_PASSWORD", Some(login)) => login
                .password
                .as_ref()
                .map(|secret| secret.expose().to_owned()),
            _ => None,
        };
        given.or_else(|| System.env(variable))
    }

    fn read(&self, path: &Path) -> std::io::Result<String> {
        System.read(path)
    }
}

async fn gather(events: &mut UnboundedReceiver<Event>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    loop {
        match events
            .recv()
            .await
            .context("the VCP ended without an answer")?
        {
            Event::Found(line) => found.push(line),
            Event::Failed(why) => bail!("{why}"),
            Event::Stopped => return Ok(found),
            Event::Ready(_)
            | Event::Suspended(_)
            | Event::LowSpace(_)
            | Event::Fault { .. }
            | Event::Expired { .. }
            | Event::Poison { .. }
            | Event::Reloaded(_)
            | Event::RolledBack(_) => {}
        }
    }
}

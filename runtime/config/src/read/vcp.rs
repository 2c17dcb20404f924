//! Parses `[vcp.NAME]`.

use super::table::{Node, Table};
use super::{cpu, recovery};
use crate::check;
use crate::error::ConfigError;
use crate::model::{DirectoryGrant, Vcp};
use crate::net::{self, Net};
use crate::settings::Settings;

const KEYS: [&str; 12] = [
    "module",
    "cpu",
    "memory",
    "restart",
    "replacement-timeout",
    "watchdog",
    "reload",
    "crash-reports",
    "config",
    "net",
    "files",
    "queue-depth",
];

pub(super) fn read(node: &Node<'_>) -> Result<Vcp, ConfigError> {
    let table = node.table()?;
    table.only(&KEYS)?;
    let module = table.require(
        "module",
        "what runs in the VCP, such as \"iscsi\" or a path",
    )?;
    let mut vcp = Vcp::new(module.parse()?);
    if let Some(node) = table.get("cpu") {
        vcp.cpu = cpu::read(node)?;
    }
    if let Some(node) = table.get("memory") {
        let size = check::memory(node.size()?).map_err(|message| node.error(message))?;
        vcp.memory = Some(size);
    }
    recovery::read(&table, &mut vcp)?;
    if let Some(node) = table.get("config") {
        vcp.settings = settings(node)?;
    }
    if let Some(node) = table.get("net") {
        vcp.net = Some(net(node)?);
    }
    if let Some(node) = table.get("files") {
        vcp.files = files(node)?;
    }
    if let Some(node) = table.get("queue-depth") {
        vcp.queue_depth = node.number(1..=check::DEEPEST_QUEUE)?;
    }
    check::vcp(&mut vcp).map_err(|fault| place(&table, &fault))?;
    Ok(vcp)
}

/// An error of several parts together, at the most specific place.
fn place(table: &Table<'_>, fault: &check::Fault) -> ConfigError {
    let (outer, inner) = fault.key.split_once('.').unwrap_or((fault.key, ""));
    let Some(node) = table.get(outer) else {
        return table.missing_part(outer, inner, &fault.message);
    };
    match node.table() {
        Ok(part) if !inner.is_empty() => match part.get(inner) {
            Some(node) => node.error(&fault.message),
            None => part.missing(inner, &fault.message),
        },
        _ => node.error(&fault.message),
    }
}

fn settings(node: &Node<'_>) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    for (key, node) in node.table()?.entries() {
        settings
            .insert(key, &node.scalar()?)
            .map_err(|message| node.key_error(message))?;
    }
    Ok(settings)
}

fn net(node: &Node<'_>) -> Result<Net, ConfigError> {
    let table = node.table_like(" such as { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }")?;
    let mut known = vec!["link"];
    known.extend(net::OPTIONS);
    table.only(&known)?;
    let link = table.require("link", "what carries the frames, such as \"tap:vcp0\"")?;
    let mut net = Net::new(link.parse()?);
    for (key, node) in table.entries().filter(|(key, _)| *key != "link") {
        let values = match key {
            "address" | "gateway" | "host-address" | "allow" => node.one_or_more(),
            _ => vec![node.clone()],
        };
        for node in values {
            match key {
                "mtu" => net.mtu = u16::try_from(node.number(500..=65535)?).ok(),
                _ => node.read(|value| net.set(key, value))?,
            }
        }
    }
    Ok(net)
}

fn files(node: &Node<'_>) -> Result<Vec<DirectoryGrant>, ConfigError> {
    let mut grants: Vec<DirectoryGrant> = Vec::new();
    for element in node.list("directories such as { host = \"/srv/disks\", guest = \"/data\" }")? {
        let grant = grant(&element)?;
        if grants.iter().any(|other| other.guest == grant.guest) {
            return Err(element.error(format!("guest: \"{}\" is given twice", grant.guest)));
        }
        check::push(&mut grants, grant).map_err(|e| element.error(e))?;
    }
    Ok(grants)
}

fn grant(node: &Node<'_>) -> Result<DirectoryGrant, ConfigError> {
    let table = node.table_like(" such as { host = \"/srv/disks\", guest = \"/data\" }")?;
    table.only(&["host", "guest", "read-only"])?;
    let host = table.require("host", "a directory of the host")?;
    let guest = table.require(
        "guest",
        "the path under which the VCP finds it, such as \"/data\"",
    )?;
    DirectoryGrant::check_guest(guest.string()?).map_err(|e| guest.error(e))?;
    if host.string()?.is_empty() {
        return Err(host.error("expected a directory of the host, found \"\""));
    }
    Ok(DirectoryGrant {
        host: host.string()?.into(),
        guest: guest.string()?.to_owned(),
        read_only: match table.get("read-only") {
            Some(node) => node.boolean()?,
            None => false,
        },
    })
}

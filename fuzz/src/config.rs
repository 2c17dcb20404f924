//! What an operator writes (`vcp-config`): TOML, URIs, addresses, links, sizes, times.
//!
//! Promised: nothing panics; an error is one line; what is understood reads back equal
//! from the text it is shown as; passwords show neither in values nor in errors.
//!
//! Input: one byte that says which reader, then its text.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use vcp_config::{
    Backoff, ByteSize, Cgroup, Change, CpuSet, DirectoryGrant, DiscoveryUri, ExportName, Fifo,
    HostConfig, InterfaceAddress, Interval, IscsiUri, LinkKind, Mac, Module, Name, NbdAddress, Net,
    Offload, Percent, Pin, Portal, RestartPolicy, Shorthand, Slack, SocketGroup, SocketMode,
};

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((&reader, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match reader % 4 {
        0 => file(text),
        1 => shorthand(text),
        2 => uris(text),
        _ => values(text),
    }
}

fn file(text: &str) {
    match HostConfig::parse(Path::new("vcp.toml"), text) {
        Ok(config) => reads_back(&config),
        Err(error) => one_line(&error),
    }
}

/// The words are the lines of the text.
fn shorthand(text: &str) {
    let mut words = Shorthand::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("--link", value)) => words.link = Some(value.into()),
            Some(("--nbd", value)) => words.nbd.push(value.into()),
            Some(("--cpu", value)) => words.cpu = Some(value.into()),
            Some(("--memory", value)) => words.memory = Some(value.into()),
            Some(("--files", value)) => words.files.push(value.into()),
            Some(("--name", value)) => words.name = Some(value.into()),
            Some(("--queue-depth", value)) => words.queue_depth = value.parse().ok(),
            _ if line == "--read-only" => words.read_only = true,
            _ if words.module.is_empty() => words.module = line.into(),
            _ => words.settings.push(line.into()),
        }
    }
    match HostConfig::shorthand(&words) {
        Ok(config) => reads_back(&config),
        Err(error) => one_line(&error),
    }
}

/// A configuration is the file that it prints, but for secrets.
fn reads_back(config: &HostConfig) {
    let toml = config.to_toml();
    let plain = config.without_secrets();
    match HostConfig::parse(Path::new("printed.toml"), &toml) {
        Ok(again) => assert_eq!(again, plain, "printed as\n{toml}"),
        Err(error) => panic!("{error}\nin what was printed:\n{toml}"),
    }
    assert_eq!(plain.to_toml(), plain.without_secrets().to_toml());
}

fn uris(text: &str) {
    match text.parse::<IscsiUri>() {
        Ok(uri) => {
            let shown = uri.to_string();
            if let Some(password) = uri.login.as_ref().and_then(|login| login.password.as_ref()) {
                // Short secrets occur by chance.
                assert!(password.expose().len() < 12 || !shown.contains(password.expose()));
            }
            round_trip(&uri.without_login());
        }
        Err(error) => {
            one_line(&error);
            if let Some(secret) = secret(text) {
                assert!(!error.to_string().contains(secret), "{error}");
            }
        }
    }
    match text.parse::<DiscoveryUri>() {
        Ok(uri) => round_trip(&DiscoveryUri { login: None, ..uri }),
        Err(error) => one_line(&error),
    }
    value::<NbdAddress>(text);
    value::<Net>(text);
}

/// The password in a URI, however wrong the rest of it is, if it is long enough not to
/// stand elsewhere by chance.
fn secret(text: &str) -> Option<&str> {
    let (authority, _) = text.strip_prefix("iscsi://")?.split_once('/')?;
    let (login, _) = authority.rsplit_once('@')?;
    let (_, secret) = login.split_once(['%', ':'])?;
    (secret.len() >= 8 && text.matches(secret).count() == 1).then_some(secret)
}

fn values(text: &str) {
    value::<Backoff>(text);
    value::<ByteSize>(text);
    value::<Cgroup>(text);
    value::<Change>(text);
    value::<CpuSet>(text);
    value::<ExportName>(text);
    value::<Fifo>(text);
    value::<InterfaceAddress>(text);
    value::<Interval>(text);
    value::<LinkKind>(text);
    value::<Mac>(text);
    value::<Module>(text);
    value::<Name>(text);
    value::<Offload>(text);
    value::<Percent>(text);
    value::<Pin>(text);
    value::<Portal>(text);
    value::<RestartPolicy>(text);
    value::<Slack>(text);
    value::<SocketGroup>(text);
    value::<SocketMode>(text);
    if let Err(error) = text.parse::<DirectoryGrant>() {
        one_line(&error);
    }
}

fn value<T>(text: &str)
where
    T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug,
{
    match text.parse::<T>() {
        Ok(value) => round_trip(&value),
        Err(error) => one_line(&error),
    }
}

fn round_trip<T>(value: &T)
where
    T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug,
{
    let shown = value.to_string();
    match shown.parse::<T>() {
        Ok(again) => assert_eq!(&again, value, "shown as {shown:?}"),
        Err(error) => panic!("{value:?}, shown as {shown:?}: {error}"),
    }
}

fn one_line(error: &impl Display) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
}

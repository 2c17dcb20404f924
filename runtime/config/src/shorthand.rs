//! `vcp run MODULE [key=value…] [--link SPEC] [--nbd ADDR] …`: one VCP and one
//! export, without a file.

use std::fmt::Display;

use crate::budget::Cpu;
use crate::check;
use crate::error::{ConfigError, Place, did_you_mean, quote};
use crate::model::{DirectoryGrant, Export, HostConfig, Module, Name, Vcp};
use crate::reclaim::HostOptions;
use crate::recovery::Restart;
use crate::value::{ByteSize, Pin, Timeout};

/// The words of the command line, as the operator wrote them.
#[derive(Debug, Clone, Default)]
pub struct Shorthand {
    /// `MODULE`.
    pub module: String,
    /// `key=value…`: the module's settings.
    pub settings: Vec<String>,
    /// `--link`: see [`crate::net`].
    pub link: Option<String>,
    /// `--nbd`, any number of times.
    pub nbd: Vec<String>,
    /// `--cpu`: CPU numbers, `core`, `sibling-of:N`, `numa:N` or `any`, and
    /// `share=`, `period=`, `slack=` and so on, separated by commas:
    /// `1,share=50%,slack=no`.
    pub cpu: Option<String>,
    /// `--memory`.
    pub memory: Option<String>,
    /// `--queue-depth`.
    pub queue_depth: Option<u32>,
    /// `--files HOST:GUEST[:ro]`, any number of times.
    pub files: Vec<String>,
    /// `--replacement-timeout`: as in the file; a number without a unit is seconds.
    pub replacement_timeout: Option<String>,
    /// `--restart KEY=VALUE,…`: the treatment of faults, see [`crate::Restart`].
    pub restart: Option<String>,
    /// `--spare`: keep a warm spare.
    pub spare: bool,
    /// `--name`: the name of the VCP and its export; by default made from the module's.
    pub name: Option<String>,
    /// `--read-only`: makes the export read-only.
    pub read_only: bool,
    /// `--export-memory`: the memory for the export's requests.
    pub export_memory: Option<String>,
    /// `--socket-mode`: the mode of the export's unix sockets.
    pub socket_mode: Option<String>,
    /// `--socket-group`: the group of the export's unix sockets.
    pub socket_group: Option<String>,
    /// `--host KEY=VALUE,…`: options of the process, see [`HostOptions`].
    pub host: Option<String>,
}

/// Makes an error at an argument.
fn at(argument: &str) -> impl Fn(String) -> ConfigError + '_ {
    move |message| ConfigError {
        place: Place::Argument(argument.to_owned()),
        key: String::new(),
        message,
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

impl HostConfig {
    /// The configuration that a command line stands for.
    pub fn shorthand(words: &Shorthand) -> Result<Self, ConfigError> {
        let module: Module = words.module.parse().map_err(text).map_err(at("MODULE"))?;
        let name = name(words, &module)?;
        let mut vcp = Vcp::new(module);
        read_settings(words, &mut vcp)?;
        if let Some(link) = &words.link {
            vcp.net = Some(link.parse().map_err(at("--link"))?);
        }
        if let Some(cpu) = &words.cpu {
            vcp.cpu = parse_cpu(cpu).map_err(at("--cpu"))?;
        }
        if let Some(memory) = &words.memory {
            let size = memory.parse::<ByteSize>().and_then(check::memory);
            vcp.memory = Some(size.map_err(text).map_err(at("--memory"))?);
        }
        if let Some(depth) = words.queue_depth {
            let deepest = check::DEEPEST_QUEUE;
            if !(1..=deepest).contains(&depth) {
                let message = format!("expected a number from 1 to {deepest}, found {depth}");
                return Err(at("--queue-depth")(message));
            }
            vcp.queue_depth = depth;
        }
        if let Some(timeout) = &words.replacement_timeout {
            vcp.replacement_timeout = timeout
                .parse::<Timeout>()
                .and_then(check::replacement_timeout)
                .map_err(text)
                .map_err(at("--replacement-timeout"))?;
        }
        if let Some(words) = &words.restart {
            vcp.restart = Restart::parse(words).map_err(at("--restart"))?;
        }
        vcp.restart.spare |= words.spare;
        vcp.files = files(&words.files).map_err(at("--files"))?;
        check::vcp(&mut vcp).map_err(|fault| place(&fault))?;
        let export = export(words, &name)?;
        let host = match &words.host {
            Some(words) => HostOptions::parse(words).map_err(at("--host"))?,
            None => HostOptions::default(),
        };
        Ok(Self {
            host,
            vcps: [(name.clone(), vcp)].into(),
            exports: [(name.into(), export)].into(),
            ..Self::default()
        })
    }
}

fn export(words: &Shorthand, vcp: &Name) -> Result<Export, ConfigError> {
    let nbd = addresses(&words.nbd).map_err(at("--nbd"))?;
    let mut export = Export::new(vcp.clone(), nbd);
    export.read_only = words.read_only;
    if let Some(memory) = &words.export_memory {
        let size = memory.parse().and_then(check::export_memory);
        export.memory = size.map_err(text).map_err(at("--export-memory"))?;
    }
    if let Some(mode) = &words.socket_mode {
        let mode = mode.parse().map_err(text).map_err(at("--socket-mode"))?;
        export.socket_mode = Some(mode);
    }
    if let Some(group) = &words.socket_group {
        let group = group.parse().map_err(text).map_err(at("--socket-group"))?;
        export.socket_group = Some(group);
    }
    check::socket(&export).map_err(|fault| {
        let message = "needs a unix socket to be of, and none is given: --nbd unix:PATH";
        at(&format!("--{}", fault.key))(message.to_owned())
    })?;
    Ok(export)
}

/// An error at the argument that a fault of several parts belongs to.
fn place(fault: &check::Fault) -> ConfigError {
    let key = fault.key;
    match key.split_once('.') {
        Some(("config", key)) => at(key)(fault.message.clone()),
        // If the table is missing, there are no options to name.
        None if key == "net" => at("--link")(
            "missing; module \"iscsi\" needs a link, such as tap:vcp0,address=10.77.0.2/24".into(),
        ),
        _ => at("--link")(format!("{key}: {}", fault.message)),
    }
}

fn name(words: &Shorthand, module: &Module) -> Result<Name, ConfigError> {
    if let Some(name) = &words.name {
        return name.parse().map_err(text).map_err(at("--name"));
    }
    let stem = match module {
        Module::Builtin(name) => name.clone(),
        Module::File(path) => path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        Module::Oci(reference) => {
            let last = reference.rsplit('/').next().unwrap_or(reference);
            last.split([':', '@']).next().unwrap_or(last).to_owned()
        }
    };
    let fallback = || "vcp".parse().expect("\"vcp\" is a valid name");
    Ok(stem.parse().unwrap_or_else(|_| fallback()))
}

fn read_settings(words: &Shorthand, vcp: &mut Vcp) -> Result<(), ConfigError> {
    for word in &words.settings {
        // A word without a key may be a URI with a secret in it, so it is shown only up
        // to where that could begin.
        let (key, value) = word
            .split_once('=')
            .filter(|(key, _)| !key.contains([':', '%', '@']))
            .ok_or_else(|| {
                let shown = word.split([':', '%', '@']).next().unwrap_or_default();
                at("key=value")(format!("expected a key and \"=\", found {}", quote(shown)))
            })?;
        vcp.settings.insert(key, value).map_err(at(key))?;
    }
    Ok(())
}

fn addresses(words: &[String]) -> Result<Vec<crate::NbdAddress>, String> {
    let mut addresses = Vec::new();
    for word in words {
        let address = word.parse().map_err(text)?;
        if addresses.contains(&address) {
            return Err(format!("\"{address}\" is given twice"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn files(words: &[String]) -> Result<Vec<DirectoryGrant>, String> {
    let mut grants: Vec<DirectoryGrant> = Vec::new();
    for word in words {
        let grant: DirectoryGrant = word.parse().map_err(text)?;
        if grants.iter().any(|other| other.guest == grant.guest) {
            return Err(format!("\"{}\" is given twice", grant.guest));
        }
        grants.push(grant);
    }
    Ok(grants)
}

/// Parses `--cpu`: parts without `=` are the pin, which has commas of its own.
fn parse_cpu(spec: &str) -> Result<Cpu, String> {
    let keys = &Cpu::KEYS[1..];
    let mut cpu = Cpu::default();
    let mut pins: Vec<&str> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for part in spec.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            pins.push(part);
            continue;
        };
        if !keys.contains(&key) {
            let hint = did_you_mean(key, keys);
            let known = keys.join(", ");
            return Err(format!(
                "{key}: unknown key{hint}; expected one of: {known}"
            ));
        }
        if seen.contains(&key) {
            return Err(format!("{key}: given twice"));
        }
        seen.push(key);
        cpu.set(key, value)
            .map_err(|message| format!("{key}: {message}"))?;
    }
    if !pins.is_empty() {
        cpu.pin = pins.join(",").parse::<Pin>().map_err(text)?;
    }
    cpu.check().map_err(|message| format!("slack: {message}"))?;
    Ok(cpu)
}

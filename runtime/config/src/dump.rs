//! Prints a configuration as a file.
//!
//! The file reads back to an equal configuration, except for secrets: those that were
//! given directly are left out, and a comment says how to give them.

mod serving;

use std::fmt::{Display, Write};

use crate::budget::Cpu;
use crate::model::{HostConfig, Vcp};
use crate::net::{Net, Offload};
use crate::recovery::{CrashReports, PoisonAfter, Reload, Restart, Watchdog};
use crate::settings::{self, ISCSI, Setting, Settings};
use crate::value::Pin;
use serving::{export_table, host_table};

impl HostConfig {
    /// The configuration file this stands for. Defaults are left out, and so is
    /// every secret: [`HostConfig::without_secrets`] is what the file says.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        host_table(&mut out, &self.host, &self.nbd);
        for (name, vcp) in &self.vcps {
            vcp_table(&mut out, &key(name.as_str()), vcp);
        }
        for (name, export) in &self.exports {
            export_table(&mut out, name.as_str(), export);
        }
        out
    }

    /// The configuration without the secrets that were given directly. Those that are
    /// only named, by file, stay.
    pub fn without_secrets(&self) -> Self {
        let mut plain = self.clone();
        for vcp in plain.vcps.values_mut() {
            vcp.settings = vcp.settings.without_secrets();
        }
        plain
    }
}

/// Formats `text` as a TOML string.
fn string(text: impl Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

/// Formats `name` as a part of a TOML key.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) {
        return name.to_owned();
    }
    // A key must be on one line, so TOML's multi-line strings do not serve.
    let mut quoted = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Formats one string, or a list of several.
fn strings<T: Display>(items: &[T]) -> String {
    match items {
        [one] => string(one),
        many => {
            let items: Vec<String> = many.iter().map(string).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// Writes `name = value`, unless the value is the default.
fn line(out: &mut String, name: &str, value: Option<String>) {
    if let Some(value) = value {
        writeln!(out, "{name} = {value}").expect("a String takes everything");
    }
}

/// An inline table of the given values; `None` if there are none.
fn inline(items: Vec<(&str, Option<String>)>) -> Option<String> {
    let given: Vec<String> = items
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{} = {}", key(name), value?)))
        .collect();
    (!given.is_empty()).then(|| format!("{{ {} }}", given.join(", ")))
}

fn separate(out: &mut String, header: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    writeln!(out, "[{header}]").expect("a String takes everything");
}

fn vcp_table(out: &mut String, name: &str, vcp: &Vcp) {
    separate(out, &format!("vcp.{name}"));
    line(out, "module", Some(string(&vcp.module)));
    line(out, "cpu", cpu(&vcp.cpu));
    line(out, "memory", vcp.memory.map(string));
    line(out, "restart", restart(&vcp.restart));
    let timeout = vcp.replacement_timeout;
    line(
        out,
        "replacement-timeout",
        (timeout != Vcp::DEFAULT_REPLACEMENT_TIMEOUT).then(|| string(timeout)),
    );
    line(out, "watchdog", watchdog(&vcp.watchdog));
    line(out, "reload", reload(&vcp.reload));
    line(out, "crash-reports", crash_reports(&vcp.crash_reports));
    let depth = vcp.queue_depth;
    line(
        out,
        "queue-depth",
        (depth != Vcp::DEFAULT_QUEUE_DEPTH).then(|| depth.to_string()),
    );
    line(out, "net", vcp.net.as_ref().and_then(net));
    line(out, "files", files(vcp));
    config_table(out, name, vcp);
}

/// Writes `config` as a separate table, as a target's URI and a login make a long line.
fn config_table(out: &mut String, name: &str, vcp: &Vcp) {
    if vcp.settings == Settings::default() {
        return;
    }
    separate(out, &format!("vcp.{name}.config"));
    for (name, setting) in vcp.settings.iter() {
        match setting {
            Setting::Plain(value) => line(out, &key(name), Some(string(value))),
            Setting::SecretFile(path) => {
                line(
                    out,
                    &key(&format!("{name}-file")),
                    Some(string(path.display())),
                );
            }
            Setting::Credential(credential) => {
                line(
                    out,
                    &key(&format!("{name}-credential")),
                    Some(string(credential)),
                );
            }
            Setting::Secret(_) => {
                let variable = settings::variable(name).filter(|_| vcp.module.is_builtin(ISCSI));
                let variable = variable
                    .map(|v| format!("{v} in the environment or "))
                    .unwrap_or_default();
                writeln!(
                    out,
                    "# {name} was given and is not shown: set {variable}{name}-file = \"PATH\" here"
                )
                .expect("a String takes everything");
            }
        }
    }
}

fn cpu(cpu: &Cpu) -> Option<String> {
    let default = Cpu::default();
    let pin = match &cpu.pin {
        Pin::Any => None,
        Pin::Set(set) => {
            let cpus: Vec<String> = set.iter().map(|cpu| cpu.to_string()).collect();
            Some(format!("[{}]", cpus.join(", ")))
        }
        word => Some(string(word)),
    };
    inline(vec![
        ("pin", pin),
        ("share", cpu.share.map(string)),
        (
            "period",
            (cpu.period != default.period).then(|| string(cpu.period)),
        ),
        (
            "slack",
            (cpu.slack != default.slack).then(|| cpu.slack.to_string()),
        ),
        ("poll", (cpu.poll != default.poll).then(|| string(cpu.poll))),
        (
            "coalesce",
            (cpu.coalesce != default.coalesce).then(|| string(cpu.coalesce)),
        ),
        ("priority", cpu.priority.map(string)),
        ("cgroup", cpu.cgroup.as_ref().map(string)),
    ])
}

fn restart(restart: &Restart) -> Option<String> {
    let default = Restart::default();
    inline(vec![
        (
            "policy",
            (restart.policy != default.policy).then(|| string(restart.policy)),
        ),
        (
            "min-run",
            (restart.min_run != default.min_run).then(|| string(restart.min_run)),
        ),
        (
            "backoff",
            (restart.backoff != default.backoff).then(|| string(restart.backoff)),
        ),
        ("limit", restart.limit.map(|limit| limit.to_string())),
        ("spare", restart.spare.then(|| "true".to_owned())),
        (
            "poison-after",
            (restart.poison_after != default.poison_after).then(|| match restart.poison_after {
                PoisonAfter::Deaths(deaths) => deaths.to_string(),
                PoisonAfter::Never => string(PoisonAfter::Never),
            }),
        ),
    ])
}

fn watchdog(watchdog: &Watchdog) -> Option<String> {
    let default = Watchdog::default();
    inline(vec![
        (
            "call",
            (watchdog.call != default.call).then(|| string(watchdog.call)),
        ),
        ("fuel", watchdog.fuel.map(|fuel| fuel.to_string())),
        (
            "progress",
            (watchdog.progress != default.progress).then(|| string(watchdog.progress)),
        ),
    ])
}

fn reload(reload: &Reload) -> Option<String> {
    let default = Reload::default();
    inline(vec![
        (
            "drain",
            (reload.drain != default.drain).then(|| string(reload.drain)),
        ),
        (
            "ready",
            (reload.ready != default.ready).then(|| string(reload.ready)),
        ),
        (
            "probation",
            (reload.probation != default.probation).then(|| string(reload.probation)),
        ),
    ])
}

fn crash_reports(reports: &CrashReports) -> Option<String> {
    let default = CrashReports::default();
    inline(vec![
        (
            "keep",
            (reports.keep != default.keep).then(|| reports.keep.to_string()),
        ),
        ("core-dumps", reports.core_dumps.then(|| "true".to_owned())),
    ])
}

fn net(net: &Net) -> Option<String> {
    let some = |items: &[_]| (!items.is_empty()).then(|| strings(items));
    inline(vec![
        ("link", Some(string(&net.link))),
        ("address", some(&net.addresses)),
        (
            "gateway",
            (!net.gateways.is_empty()).then(|| strings(&net.gateways)),
        ),
        ("mtu", net.mtu.map(|mtu| mtu.to_string())),
        ("mac", net.mac.map(string)),
        (
            "offload",
            (net.offload != Offload::default()).then(|| string(net.offload)),
        ),
        ("pcap", net.pcap.as_ref().map(|path| string(path.display()))),
        ("host-address", some(&net.host_addresses)),
        (
            "allow",
            (!net.allow.is_empty()).then(|| strings(&net.allow)),
        ),
    ])
}

fn files(vcp: &Vcp) -> Option<String> {
    let grants: Vec<String> = vcp
        .files
        .iter()
        .filter_map(|grant| {
            inline(vec![
                ("host", Some(string(grant.host.display()))),
                ("guest", Some(string(&grant.guest))),
                ("read-only", grant.read_only.then(|| "true".to_owned())),
            ])
        })
        .collect();
    (!grants.is_empty()).then(|| format!("[{}]", grants.join(", ")))
}

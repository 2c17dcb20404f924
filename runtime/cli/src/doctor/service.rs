//! `vcp doctor --service`: what the service can do. The service manager is asked for the
//! combined settings of the unit and its drop-ins; nothing is changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use vcp_config::HostConfig;

use super::checks::{self, Check, Machine, Needs};
use super::unit::{PROPERTIES, Unit};
use crate::ask::print;

/// The package's unit.
const UNIT: &str = "vcp.service";

/// Where the service manager keeps the credentials of running services.
const CREDENTIALS: &str = "/run/credentials/vcp.service";

/// Directories that the service manager makes for a service: the property that names
/// them, their place, and their purpose.
const DIRECTORIES: [(&str, &str, &str); 3] = [
    ("StateDirectory", "/var/lib", "state"),
    ("CacheDirectory", "/var/cache", "cache"),
    ("RuntimeDirectory", "/run", "sockets"),
];

/// Examines and reports. Fails when something is configured that can't be done.
pub(super) fn run(config: &Path) -> Result<ExitCode> {
    let unit = Unit::parse(&shown()?);
    if !unit.is_there() {
        bail!("{UNIT}: the service manager knows no such unit");
    }
    let (needs, configuration) = configured(config);
    let machine = Machine {
        nbd: Path::new("/sys/module/nbd").exists(),
        credentials: credentials(),
        named: crate::judge::credentials_of_unit(),
    };
    let mut checks = vec![configuration];
    checks.extend(checks::all(&unit, &needs, &machine));
    checks.extend(DIRECTORIES.map(|directory| writable(&unit, directory)));
    let mut text = about(&unit);
    text.extend(checks.iter().map(Check::line));
    print(&text)?;
    Ok(ExitCode::from(u8::from(checks.iter().any(Check::fails))))
}

/// The properties of the unit as the service manager prints them.
fn shown() -> Result<String> {
    let properties = PROPERTIES.join(",");
    let asked = Command::new("systemctl")
        .args(["show", UNIT, "--no-pager", "-p", &properties])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("asking the service manager: systemctl")?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty());
        let line = line.unwrap_or("systemctl show failed").trim();
        bail!("asking the service manager: {line}");
    }
    Ok(String::from_utf8_lossy(&asked.stdout).into_owned())
}

/// A description of the unit and its state.
fn about(unit: &Unit) -> String {
    let mut text = format!(
        "Service {UNIT}\n  unit            {}",
        unit.value("FragmentPath")
    );
    let drop_ins: Vec<_> = unit.words("DropInPaths").collect();
    if !drop_ins.is_empty() {
        let _ = write!(text, ", with {}", drop_ins.join(", "));
    }
    let _ = write!(text, "\n  state           {}", unit.value("ActiveState"));
    if !matches!(unit.value("MainPID"), "" | "0") {
        let _ = write!(text, ", process {}", unit.value("MainPID"));
    }
    if unit.value("NeedDaemonReload") == "yes" {
        text += "; its files have changed since they were read: systemctl daemon-reload";
    }
    text + "\n"
}

/// The needs of the configuration, if it can be read.
fn configured(file: &Path) -> (Needs, Check) {
    let read = HostConfig::read_all(file, &file.with_file_name("conf.d"));
    let (needs, outcome) = match read {
        Ok(config) => {
            let (vcps, exports) = (config.vcps.len(), config.exports.len());
            let said = format!("{}: VCPs: {vcps}, exports: {exports}", file.display());
            (Needs::of(&config), Ok(said))
        }
        Err(error) => (Needs::default(), Err(error.to_string())),
    };
    let check = Check {
        name: "configuration".to_owned(),
        outcome,
        needed: true,
    };
    (needs, check)
}

/// The credentials that the running service was given, as far as this user may see.
fn credentials() -> std::collections::BTreeSet<String> {
    let entries = std::fs::read_dir(CREDENTIALS).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.collect()
}

fn writable(unit: &Unit, (property, base, what): (&str, &str, &str)) -> Check {
    let outcome = match unit.words(property).next() {
        None => Err(format!(
            "the unit has no {property}=: systemctl edit vcp, with [Service] and {property}=vcp"
        )),
        Some(name) => {
            // In "NAME:LINK" the first part is the directory.
            let name = name.split(':').next().unwrap_or(name);
            let path = PathBuf::from(base).join(name);
            match accessat(CWD, &path, Access::WRITE_OK, AtFlags::EACCESS) {
                Ok(()) => Ok(path.display().to_string()),
                Err(rustix::io::Errno::NOENT) => Ok(format!(
                    "{}, which is made when the service starts",
                    path.display()
                )),
                Err(error) => Err(format!("{}: {error}", path.display())),
            }
        }
    };
    Check {
        name: what.to_owned(),
        outcome,
        needed: true,
    }
}

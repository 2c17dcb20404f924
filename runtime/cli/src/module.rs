//! Loading of configured modules, and their settings.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use vcp_config::{IscsiUri, Module as Named, NbdAddress, Portal, PortalHost, Sources, Vcp};
use vcp_core::{Cache, Engine, Module};

/// Loads a configured module.
pub(crate) fn load(engine: &Engine, cache: &Cache, named: &Named) -> Result<Module> {
    match named {
        Named::Builtin(name) => {
            let found = vcp_builtin::find(name).ok_or_else(|| {
                let known = vcp_builtin::MODULES.map(|module| module.name).join(", ");
                anyhow!(
                    "module {name}: there is no built-in module of this name; there are: {known}"
                )
            })?;
            Ok(Module::load(engine, cache, name, found.bytes)?)
        }
        Named::File(path) => {
            check_file(path)?;
            Ok(Module::from_file(engine, cache, path)?)
        }
        Named::Oci(reference) => {
            bail!("module oci:{reference}: this version loads modules from files only")
        }
    }
}

/// Refuses endless files, and files too large to compile in reasonable time. A missing
/// file is reported by the loader.
fn check_file(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => bail!("module {}: not a file", path.display()),
        Ok(found) if found.len() > Module::LARGEST as u64 => bail!(
            "module {} has {} bytes; this host compiles up to {}",
            path.display(),
            found.len(),
            Module::LARGEST
        ),
        _ => Ok(()),
    }
}

/// The settings that a module is started with: its `config`, and for the iSCSI initiator
/// what only the host can find out. `nbd` are the addresses of its exports that stay the
/// same at every start; `host` names the host if there are none.
pub(crate) fn settings(
    name: &str,
    vcp: &Vcp,
    nbd: &[NbdAddress],
    host: &str,
    sources: &dyn Sources,
) -> Result<Vec<(String, String)>> {
    let mut pairs = vcp
        .settings
        .resolve(&vcp.module, sources)
        .map_err(|error| anyhow!("vcp.{name}.config.{error}"))?
        .into_pairs();
    if vcp.module.is_builtin("iscsi") {
        complete_iscsi(name, nbd, host, &mut pairs)?;
    }
    Ok(pairs)
}

/// Takes the target's URI apart, resolves the portal's name, and gives the
/// initiator an identity of its own.
fn complete_iscsi(
    name: &str,
    nbd: &[NbdAddress],
    host: &str,
    pairs: &mut Vec<(String, String)>,
) -> Result<()> {
    let at = pairs
        .iter()
        .position(|(key, _)| key == "target")
        .with_context(|| format!("vcp.{name}.config.target: missing"))?;
    let uri: IscsiUri = pairs[at]
        .1
        .parse()
        .map_err(|error| anyhow!("vcp.{name}.config.target: {error}"))?;
    let portal = resolve(&uri.portal)?;
    pairs[at].1 = uri.target.clone();
    pairs.push(("portal".to_owned(), portal.to_string()));
    pairs.push(("lun".to_owned(), uri.lun.to_string()));
    let has = |pairs: &[(String, String)], key| pairs.iter().any(|(k, _)| k == key);
    if !has(pairs, "initiator-name") {
        pairs.push(("initiator-name".to_owned(), initiator_name()));
    }
    // A login with the same initiator name and instance takes over the session. The next
    // generation wants that; another host or another device must not do it.
    if !has(pairs, "instance") && !has(pairs, "isid") {
        let instance = match nbd.first() {
            Some(address) => format!("{name} {address}"),
            None => format!("{name} {host}"),
        };
        pairs.push(("instance".to_owned(), instance));
    }
    Ok(())
}

/// The interface that the address of a VCP's target names, if any.
pub(crate) fn zone(vcp: &Vcp) -> Option<String> {
    let target = vcp.settings.plain("target")?;
    let uri: IscsiUri = target.parse().ok()?;
    uri.portal.zone
}

/// The address of a portal; a name is resolved by the host's resolver.
pub(crate) fn resolve(portal: &Portal) -> Result<SocketAddr> {
    let port = portal.port;
    match &portal.host {
        PortalHost::Address(address) => Ok(SocketAddr::new(*address, port)),
        PortalHost::Name(host) => (host.as_str(), port)
            .to_socket_addrs()
            .with_context(|| format!("resolving the portal's name {host}"))?
            .next()
            .with_context(|| format!("resolving the portal's name {host}: it has no address")),
    }
}

/// The initiator name of this machine, unless it is given another.
pub(crate) fn initiator_name() -> String {
    format!("iqn.2026-11.example.vcp:{}", host_name())
}

/// This machine's name in characters that an iSCSI name may have.
fn host_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().to_lowercase();
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '.';
    let name: String = name.chars().filter(allowed).take(64).collect();
    if name.is_empty() {
        "host".to_owned()
    } else {
        name
    }
}

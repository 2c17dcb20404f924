//! Conversion of a configuration to the options of NBD servers.

use anyhow::{Context as _, Result, bail};
use vcp_config::{ExportName, HostConfig, NbdAddress, SocketGroup};
use vcp_nbd::{Access, ServerOptions};

/// The options of the server at this address, from its exports.
pub(crate) fn options(config: &HostConfig, at: &NbdAddress) -> Result<ServerOptions> {
    let nbd = &config.nbd;
    let handshake = nbd.handshake.duration();
    Ok(ServerOptions {
        max_connections: nbd.connections as usize,
        max_negotiations: nbd.negotiations as usize,
        negotiation_limit: handshake,
        // The remaining time lets the client hear that the device is not ready.
        ready_limit: handshake * 2 / 3,
        keep_alive: nbd.keep_alive.duration(),
        access: access(config, at)?,
    })
}

/// The access rights of an address's socket. That all exports there agree was checked.
fn access(config: &HostConfig, at: &NbdAddress) -> Result<Access> {
    let mut access = Access::default();
    let mut here = config.exports.iter().filter(|(_, e)| e.nbd.contains(at));
    if let Some((name, export)) = here.next() {
        access.mode = export.socket_mode.unwrap_or_default().bits();
        let group = export.socket_group.as_ref();
        access.group = group.map(|group| number(name, group)).transpose()?;
    }
    Ok(access)
}

/// The number of a group, found by the system's own means: it may be in a directory
/// service.
fn number(export: &ExportName, group: &SocketGroup) -> Result<u32> {
    let name = match group {
        SocketGroup::Id(number) => return Ok(*number),
        SocketGroup::Name(name) => name,
    };
    let about = || format!("export {export}: socket-group");
    match nix::unistd::Group::from_name(name).with_context(about)? {
        Some(group) => Ok(group.gid.as_raw()),
        None => bail!("{}: there is no group {name:?}", about()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn config(text: &str) -> HostConfig {
        let text = format!("[vcp.a]\nmodule = \"ramdisk\"\n{text}");
        HostConfig::parse(Path::new("x.toml"), &text).unwrap()
    }

    fn at(address: &str) -> NbdAddress {
        address.parse().unwrap()
    }

    #[test]
    fn a_server_without_settings_has_its_own_defaults() {
        let config = config("[export.a]\nnbd = \"unix:/s\"");
        let options = options(&config, &at("unix:/s")).unwrap();
        assert_eq!(options, ServerOptions::default());
    }

    #[test]
    fn every_setting_arrives() {
        let config = config(
            "[host]\nnbd = { connections = 3, negotiations = 4, handshake = \"6s\", keep-alive = \"never\" }\n\
             [export.a]\nnbd = \"unix:/s\"\nsocket-mode = \"0660\"\nsocket-group = \"root\"\n\
             [export.b]\nvcp = \"a\"\nnbd = [\"unix:/t\", \"tcp:[::1]:1\"]\nsocket-group = \"77\"",
        );
        let options = |address| options(&config, &at(address)).unwrap();
        let first = ServerOptions {
            max_connections: 3,
            max_negotiations: 4,
            negotiation_limit: Duration::from_secs(6),
            ready_limit: Duration::from_secs(4),
            keep_alive: None,
            access: Access {
                mode: 0o660,
                group: Some(0),
            },
        };
        assert_eq!(options("unix:/s"), first);
        let own = options("unix:/t").access;
        assert_eq!((own.mode, own.group), (0o600, Some(77)));
    }

    #[test]
    fn a_group_that_is_not_there_is_named() {
        let config = config("[export.a]\nnbd = \"unix:/s\"\nsocket-group = \"no-such-group\"");
        let error = options(&config, &at("unix:/s")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "export a: socket-group: there is no group \"no-such-group\""
        );
    }
}

//! Going on with the connections of the process before.

use std::sync::Arc;

use vcp_nbd::{Export, NbdClient};
use vcp_queue::Client as _;

use super::passed::Connection;
use crate::attach::Kept;
use crate::host::Host;

/// Gives each connection to its export as soon as that is ready; those of the kernel's
/// devices are returned, for [`Host::restore`].
pub(super) fn resume(host: &Host, connections: Vec<Connection>) -> Kept {
    let mut devices = Kept::new();
    for (kept, parked) in connections {
        let client = match NbdClient::resume(parked) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!("{kept}: {error}; closed");
                continue;
            }
        };
        if let Ok(device) = client.name().parse() {
            devices.entry(device).or_default().push(client);
            continue;
        }
        let name = client.export().to_owned();
        match host.export(&name) {
            Some(export) => _ = tokio::spawn(attach(client, export)),
            None => {
                let client = client.name();
                tracing::warn!(client, "there is no export {name} any more; closed");
            }
        }
    }
    devices
}

async fn attach(client: NbdClient, export: Arc<dyn Export>) {
    let (name, peer) = (client.export().to_owned(), client.name().to_owned());
    let refuse = |why: &str| tracing::error!(client = peer, export = name, "closed: {why}");
    // As long as it takes: whoever is connected waits as for a device that is away.
    let geometry = match export.geometry().await {
        Ok(geometry) => geometry,
        Err(why) => return refuse(&why.to_string()),
    };
    let told = client.session();
    if told.size() > geometry.size {
        return refuse("the device is smaller than it was");
    }
    if !told.read_only() && (export.read_only() || geometry.read_only) {
        return refuse("it may not be written to any more");
    }
    match export.attach(Box::new(client)) {
        Ok(()) => tracing::info!(client = peer, export = name, "goes on"),
        Err(why) => refuse(&why),
    }
}

//! Resuming the connections of the former process.
//!
//! The manager keeps a connection until its export serves it: if this process ended
//! before that, the next would find everything as it was. Nobody reads from the
//! connection until then.

use std::sync::Arc;

use tokio::task::JoinSet;
use vcp_nbd::{Export, NbdClient};
use vcp_queue::Client as _;

use super::manager::Manager;
use super::stored::Connection;
use crate::attach::Kept;
use crate::host::Host;

/// The tasks of connections that wait for their exports.
pub(super) type Waiting = JoinSet<()>;

/// A connection, and the name under which the manager keeps it.
struct Held {
    manager: Manager,
    name: String,
    client: NbdClient,
}

/// Gives each connection to its export as soon as that is ready; those of kernel devices
/// are returned, for [`Host::restore`].
pub(super) fn resume(
    host: &Host,
    manager: Manager,
    connections: Vec<Connection>,
) -> (Kept, Waiting) {
    let (mut devices, mut waiting) = (Kept::new(), Waiting::new());
    for Connection { name, parked } in connections {
        let client = match NbdClient::resume(parked) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!("{name}: {error}; closed");
                manager.forget(&name);
                continue;
            }
        };
        if let Ok(device) = client.name().parse() {
            // If these connections end early, the kernel gets others.
            manager.forget(&name);
            devices.entry(device).or_default().push(client);
            continue;
        }
        let held = Held {
            manager,
            name,
            client,
        };
        match host.export(held.client.export()) {
            Some(export) => {
                // The memory is claimed before any client can take it.
                let claim = export.expect(held.client.held());
                waiting.spawn(held.attach(export, claim));
            }
            None => held.refuse("there is no such export any more"),
        }
    }
    if !devices.is_empty() && !manager.settled() {
        tracing::error!("{SILENT}: connections of devices are given up");
        devices.clear();
    }
    (devices, waiting)
}

const SILENT: &str = "the service manager does not answer";

impl Held {
    fn refuse(self, why: &str) {
        self.manager.forget(&self.name);
        let (client, export) = (self.client.name(), self.client.export());
        tracing::error!(client, export, "closed: {why}");
    }

    async fn attach(self, export: Arc<dyn Export>, claim: Box<dyn Send>) {
        // There is no time limit: a connected client waits as for a device that is away.
        let geometry = match export.geometry().await {
            Ok(geometry) => geometry,
            Err(why) => return self.refuse(&why.to_string()),
        };
        let told = self.client.session();
        if told.identity() != geometry.identity {
            return self.refuse("another disk is in its place");
        }
        if told.size() > geometry.size {
            return self.refuse("the device is smaller than it was");
        }
        if !told.read_only() && (export.read_only() || geometry.read_only) {
            return self.refuse("it may not be written to any more");
        }
        // What is read from here on would be unknown to the next process, which must not
        // get the connection. This task has no await here at which it could be ended.
        self.manager.forget(&self.name);
        if !self.manager.settled() {
            return self.refuse(SILENT);
        }
        let (name, peer) = (
            self.client.export().to_owned(),
            self.client.name().to_owned(),
        );
        match export.attach(Box::new(self.client)) {
            Ok(()) => tracing::info!(client = peer, export = name, "goes on"),
            Err(why) => tracing::error!(client = peer, export = name, "closed: {why}"),
        }
        // The client now holds the memory itself.
        drop(claim);
    }
}

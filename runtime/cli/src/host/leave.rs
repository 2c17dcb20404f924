//! The end of a host: with its connections kept for the next host, or for good.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;
use tokio::time::timeout;
use vcp_queue::Parked;

use super::Host;
use crate::exports::Device;
use crate::service::Ending;

/// How long clients that negotiate may take when the host is going to end.
const NEGOTIATIONS: Duration = Duration::from_secs(1);

/// How long a VCP may take to give up its clients: it first finishes what it can.
const PARTING: Duration = Duration::from_secs(3);

/// How long VCPs may take to stop before the process ends anyway.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(10);

impl Host {
    /// Whether the host serves any kernel device.
    pub(crate) fn has_devices(&self) -> bool {
        self.attachments.any()
    }

    /// The devices that are in use, each with its users.
    pub(crate) fn devices_in_use(&self) -> Vec<String> {
        self.attachments.in_use()
    }

    /// Whether a device that is in use waits for its VCP.
    pub(crate) fn devices_wait(&self) -> bool {
        self.attachments.any_waits()
    }

    /// See [`crate::attach::Attachments::flush_mounted`].
    pub(crate) async fn flush_mounted(&self) {
        self.attachments.flush_mounted().await;
    }

    /// Takes no more clients, and gives up the present ones with their connections
    /// intact. The sockets stay, and clients that connect wait.
    ///
    /// Each VCP's clients are given to `keep` when it answers, so that a VCP that does
    /// not answer loses only its own.
    pub(crate) async fn park(&mut self, ending: Ending, mut keep: impl FnMut(&Parked)) {
        self.attachments.leave(Some(ending)).await;
        let servers = std::mem::take(&mut self.servers).into_values();
        let retiring: JoinSet<()> = servers
            .map(|served| served.server.retire(NEGOTIATIONS))
            .collect();
        retiring.join_all().await;
        let mut parting = JoinSet::new();
        for (name, device) in &self.devices {
            let (name, answer) = (name.clone(), device.vcp.park());
            parting.spawn(async move {
                match timeout(PARTING, answer).await {
                    // A stopped VCP has no clients any more.
                    Ok(parked) => parked.unwrap_or_default(),
                    Err(_) => {
                        tracing::warn!("VCP {name}: its connections end, as it does not answer");
                        Vec::new()
                    }
                }
            });
        }
        while let Some(parked) = parting.join_next().await {
            parked.unwrap_or_default().iter().for_each(&mut keep);
        }
    }

    /// Detaches what nobody uses, unless its connections are kept, stops listening and
    /// lets the VCPs take their leave. One that does not within the limit is left where it
    /// is, for the end of the process to end, and named in the error.
    pub(crate) async fn stop(mut self, ending: Ending) -> Result<()> {
        match ending {
            Ending::Shutdown => self.attachments.abandon().await,
            _ => self.attachments.leave(None).await,
        }
        self.servers.clear();
        for device in self.devices.values() {
            device.vcp.stop();
        }
        if timeout(STOP_LIMIT, self.all_stopped()).await.is_ok() {
            return Ok(());
        }
        let devices = std::mem::take(&mut self.devices);
        let left = devices.keys().filter(|name| is_there(&devices[*name]));
        let left: Vec<&str> = left.map(String::as_str).collect();
        let error = anyhow!(
            "some VCPs did not stop within {STOP_LIMIT:?}: {}",
            left.join(", ")
        );
        // Dropping the last reference to a VCP would wait for its end.
        std::mem::forget(devices);
        Err(error)
    }
}

/// Whether the VCP has not stopped yet.
pub(super) fn is_there(device: &Device) -> bool {
    device.vcp.status().state != vcp_core::State::Stopped
}

//! The exports of this host as the NBD server sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use vcp_core::{Limit, Vcp};
use vcp_nbd::exports::GeometryFuture;
use vcp_nbd_proto::Unavailable;
use vcp_queue::{Client, Geometry};

/// The state of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not ready yet.
    Starting,
    /// Not ready because its link was missing from the start; there is no telling for how
    /// long.
    Waiting,
    /// Serving.
    Ready(Geometry),
    /// Failed for this reason, and out of service unless an operator revives it.
    Failed(String),
    /// Stopped by an operator, for good.
    Stopped,
}

impl State {
    /// Whether it is known how the start ended.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Self::Starting | Self::Waiting)
    }
}

/// A device: a VCP and what is known of it.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) vcp: Arc<Vcp>,
    pub(crate) state: watch::Receiver<State>,
}

impl Device {
    /// Waits until its VCP has stopped.
    pub(crate) async fn stopped(&self) {
        let stopped = |state: &State| *state == State::Stopped;
        // If the sender is gone, the VCP has stopped as well.
        let _ = self.state.clone().wait_for(stopped).await;
    }
}

/// One export of a device.
pub(crate) struct Export {
    pub(crate) device: Device,
    pub(crate) read_only: bool,
    pub(crate) description: String,
    pub(crate) limit: Arc<Limit>,
}

/// A table of exports, by name.
pub(crate) type Table = BTreeMap<String, Arc<Export>>;

/// The exports that currently share one address.
#[derive(Default)]
pub(crate) struct Exports(RwLock<Table>);

impl Exports {
    /// Replaces the table. Connected clients stay.
    pub(crate) fn replace(&self, table: Table) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Reads the current table. It is only ever replaced, so it is consistent after any
    /// panic.
    fn read<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.read(|table| table.keys().cloned().collect())
    }
}

impl vcp_nbd::Exports for Exports {
    fn list(&self) -> Vec<String> {
        self.names()
    }

    fn open(&self, name: &str) -> Option<Arc<dyn vcp_nbd::Export>> {
        let export = self.read(|table| table.get(name).cloned())?;
        Some(export)
    }
}

impl vcp_nbd::Export for Export {
    fn geometry(&self) -> GeometryFuture<'_> {
        let mut state = self.device.state.clone();
        Box::pin(async move {
            match state.wait_for(State::is_known).await.as_deref() {
                Ok(State::Ready(geometry)) => Ok(geometry.clone()),
                Ok(State::Failed(why)) => Err(Unavailable::NotReady(why.clone())),
                Ok(State::Stopped) => Err(Unavailable::NotReady("it was stopped".to_owned())),
                Ok(State::Starting | State::Waiting) | Err(_) => {
                    Err(Unavailable::NotReady("the host is stopping".to_owned()))
                }
            }
        })
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn expect(&self, held: usize) -> Box<dyn Send> {
        Box::new(self.device.vcp.claim(Arc::clone(&self.limit), held))
    }

    fn attach(&self, client: Box<dyn Client>) -> Result<(), String> {
        let limit = Arc::clone(&self.limit);
        self.device.vcp.attach_limited(client, limit);
        Ok(())
    }
}

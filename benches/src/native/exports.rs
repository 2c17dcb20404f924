//! The one export, as the NBD server sees it.

use std::sync::Arc;

use tokio::sync::watch;
use vcp_core::{Limit, Rates, Vcp};
use vcp_nbd::exports::GeometryFuture;
use vcp_nbd_proto::Unavailable;
use vcp_queue::{Client, Geometry};

/// What is known of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not ready yet.
    Starting,
    /// It serves.
    Ready(Geometry),
    /// It does not, and won't; why.
    Ended(String),
}

/// The device, and its name.
pub(crate) struct Export {
    vcp: Arc<Vcp>,
    state: watch::Receiver<State>,
    limit: Arc<Limit>,
}

impl Export {
    pub(crate) fn new(vcp: Arc<Vcp>, state: watch::Receiver<State>) -> Self {
        // None, but one that is looked at, as in `vcp`.
        let limit = Arc::new(Limit::new(Rates::default()));
        Self { vcp, state, limit }
    }
}

impl vcp_nbd::Export for Export {
    fn geometry(&self) -> GeometryFuture<'_> {
        let mut state = self.state.clone();
        Box::pin(async move {
            let known = |state: &State| *state != State::Starting;
            match state.wait_for(known).await.as_deref() {
                Ok(State::Ready(geometry)) => Ok(geometry.clone()),
                Ok(State::Ended(why)) => Err(Unavailable::NotReady(why.clone())),
                Ok(State::Starting) | Err(_) => Err(Unavailable::NotReady("stopping".to_owned())),
            }
        })
    }

    fn read_only(&self) -> bool {
        false
    }

    fn description(&self) -> String {
        String::new()
    }

    fn attach(&self, client: Box<dyn Client>) -> Result<(), String> {
        self.vcp.attach_limited(client, Arc::clone(&self.limit));
        Ok(())
    }
}

/// All that is served: one device.
pub(crate) struct Exports {
    pub(crate) name: String,
    pub(crate) export: Arc<Export>,
}

impl vcp_nbd::Exports for Exports {
    fn list(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn open(&self, name: &str) -> Option<Arc<dyn vcp_nbd::Export>> {
        (name == self.name).then(|| Arc::clone(&self.export) as _)
    }
}

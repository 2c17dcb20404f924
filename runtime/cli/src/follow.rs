//! What happens to a VCP, on its way to the log and to those who wait for its
//! device.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use vcp_core::{Event, Next};

use crate::exports::State;

/// Keeps a device's state up to date, and the log informed.
pub(crate) async fn follow(
    name: String,
    mut events: mpsc::UnboundedReceiver<Event>,
    state: watch::Sender<State>,
) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Ready(geometry) => {
                tracing::info!(vcp = name, size = geometry.size, "ready");
                state.send_replace(State::Ready(geometry));
            }
            Event::Suspended(why) => tracing::warn!(vcp = name, "waiting: {why}"),
            Event::Fault {
                fault,
                generation,
                next,
            } => {
                let first = *state.borrow() == State::Starting;
                let then = match next {
                    Next::Restart(Duration::ZERO) => "; starting anew".to_owned(),
                    Next::Restart(delay) => format!("; starting anew in {delay:.0?}"),
                    Next::RollBack => "; going back to the module before".to_owned(),
                    Next::Hold | Next::Stop => String::new(),
                };
                // A fault before the device was ever ready is told by what follows.
                if first {
                    tracing::debug!(vcp = name, generation, ?fault, "fault");
                } else {
                    tracing::warn!(vcp = name, generation, "{fault}{then}");
                }
            }
            Event::Expired => {
                tracing::error!(
                    vcp = name,
                    "waited too long: requests fail until it is ready"
                );
            }
            Event::Reloaded(reloaded) => {
                let (generation, pause) = (reloaded.generation, reloaded.pause);
                tracing::info!(vcp = name, generation, ?pause, "reloaded");
            }
            Event::RolledBack(why) => tracing::warn!(vcp = name, "rolled back: {why}"),
            Event::Failed(why) => {
                if *state.borrow() != State::Starting {
                    tracing::error!(vcp = name, "failed: {why}");
                }
                state.send_replace(State::Failed(why));
            }
            Event::Found(what) => tracing::info!(vcp = name, "{what}"),
            Event::Stopped => {
                state.send_replace(State::Stopped);
                break;
            }
        }
    }
}

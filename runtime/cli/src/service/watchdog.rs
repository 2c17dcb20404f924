//! The service manager's watchdog: it hears of this host only while everything that
//! has to turn does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::manager::Manager;
use crate::control::Control;

/// Reports in, for ever. That this task runs shows that the control plane does; each
/// channel processor is asked.
pub(crate) async fn watch(manager: Manager, control: Arc<Control>, limit: Duration) {
    // Twice within the limit, and what is asked has half of that to answer.
    let every = limit / 2;
    loop {
        match turning(&control, every / 2).await {
            Ok(()) => manager.alive(),
            Err(name) => tracing::error!(
                "the channel processor of VCP {name} has not answered for {:?}",
                every / 2
            ),
        }
        sleep(every / 2).await;
    }
}

/// Whether all channel processors answer in time; otherwise, one that does not, by
/// the name of a VCP of it.
async fn turning(control: &Control, patience: Duration) -> Result<(), String> {
    let until = Instant::now() + patience;
    let vcps = control.vcps();
    let asked = vcps.iter().map(|(name, vcp)| (name, vcp.device.vcp.ping()));
    // All at once, before the first is waited for.
    for (name, answer) in asked.collect::<Vec<_>>() {
        // One that has ended does not answer, and need not turn.
        if timeout_at(until, answer).await.is_err() {
            return Err(name.clone());
        }
    }
    Ok(())
}

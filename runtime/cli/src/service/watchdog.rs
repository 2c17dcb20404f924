//! The service manager's watchdog: it gets reports only while all essential parts of this
//! host make progress.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::manager::Manager;
use crate::control::Control;

/// Reports to the watchdog, for ever. That this task runs shows that the control plane
/// does; each channel processor is asked.
pub(crate) async fn watch(manager: Manager, control: Arc<Control>, limit: Duration) {
    // It reports twice within the limit, and leaves half of the interval for answers.
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

/// Whether all channel processors answer in time; otherwise the name of a VCP on one that
/// does not.
async fn turning(control: &Control, patience: Duration) -> Result<(), String> {
    let until = Instant::now() + patience;
    let vcps = control.vcps();
    let asked = vcps.iter().map(|(name, vcp)| (name, vcp.device.vcp.ping()));
    // All are asked before the first answer is awaited.
    for (name, answer) in asked.collect::<Vec<_>>() {
        // A VCP that has ended does not answer, and need not.
        if timeout_at(until, answer).await.is_err() {
            return Err(name.clone());
        }
    }
    Ok(())
}

//! Taking over what a host that is gone has left: the kernel holds the requests of
//! its devices meanwhile, and knows whose they are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use vcp_attach::{Attached, DeviceName, Identifier, Lock, LockError};

use super::Attachments;
use super::device::Device;

/// How long the start of a host waits for its devices; it goes on trying after that.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a host that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(5);

impl Attachments {
    /// Finds the devices that carry our name and makes new connections for them.
    /// Each waits for its own VCP only.
    pub(crate) async fn restore(self: &Arc<Self>) {
        let mut restoring = tokio::task::JoinSet::new();
        for attached in self.sysfs.attached() {
            let backend = attached.backend.as_deref().unwrap_or_default();
            let Ok(identifier) = backend.parse::<Identifier>() else {
                continue;
            };
            let ours = |known: &super::Attachable| known.host == identifier.host;
            if self.exports.get(&identifier.export).is_some_and(ours) {
                let all = Arc::clone(self);
                restoring.spawn(async move { all.take_over(attached, identifier).await });
            }
        }
        let all = async { while restoring.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("not all devices of the host before this one work yet");
        }
        restoring.detach_all();
    }

    async fn take_over(self: Arc<Self>, attached: Attached, identifier: Identifier) {
        let (name, export) = (attached.device, identifier.export.clone());
        let cannot = |why: &str| {
            tracing::error!(
                export,
                "{name} was attached by a host of this name, and is left alone: {why}"
            );
        };
        let Ok(attachable) = self.attachable(&export) else {
            return;
        };
        let lock = match lock(name).await {
            Ok(lock) => lock,
            Err(error) => return cannot(&error.to_string()),
        };
        // However long that takes: the kernel's patience is what counts.
        let geometry = loop {
            match attachable.geometry().await {
                Ok(geometry) => break geometry,
                Err(error) if attachable.is_over() => return cannot(&format!("{error:#}")),
                Err(error) => tracing::warn!("{name} waits: {error:#}"),
            }
            sleep(Duration::from_secs(1)).await;
        };
        if Identifier::fingerprint(&geometry.identity) != identifier.device {
            return cannot("it is another disk's");
        }
        if geometry.size < attached.size {
            return cannot("the disk has become smaller");
        }
        if geometry.block_size.max(512) != attached.block_size {
            return cannot("the disk has other blocks now");
        }
        let info = match attachable.info(&export, &geometry, identifier.read_only) {
            Ok(info) => info,
            Err(error) => return cannot(&format!("{error:#}")),
        };
        let device = Device::new(name, identifier, info, Some(lock));
        self.devices().insert(name.0, Arc::clone(&device));
        device.begin_mending();
        let outcome = self.mend(&device).await;
        device.mended();
        match outcome {
            Ok(()) => tracing::warn!(
                export,
                "{name} was taken over from the host before this one"
            ),
            Err(error) => self.forget(&device, &format!("{error:#}")),
        }
    }
}

/// Waits for a host that is just ending: one that was killed takes a moment.
async fn lock(device: DeviceName) -> Result<Lock, LockError> {
    let end = Instant::now() + DYING;
    loop {
        match Lock::take(device) {
            Err(LockError::Held(_)) if Instant::now() < end => {
                sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}

impl super::Attachable {
    /// Whether its VCP will never be ready.
    fn is_over(&self) -> bool {
        use crate::exports::State;
        matches!(
            *self.export.device.state.borrow(),
            State::Failed(_) | State::Stopped
        )
    }
}

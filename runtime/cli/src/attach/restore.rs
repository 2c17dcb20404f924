//! Taking over the devices that a former host has left: the kernel holds their requests
//! meanwhile, and stores which host they belong to. Where a service manager has kept a
//! device's connections, the kernel notices nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use vcp_attach::{Attached, DeviceName, Identifier, Lock, LockError, SECTOR, Sysfs, whole_sectors};
use vcp_control::report;
use vcp_nbd::NbdClient;
use vcp_queue::Geometry;

use super::Attachments;
use super::device::{self, Device};

/// A device that is to be taken over as soon as its VCP is ready.
pub(super) struct Waiting {
    attached: Attached,
    pub(super) identifier: Identifier,
    /// Asks to leave the device as it is. The sender that is passed is dropped once
    /// nothing of the device is held.
    pub(super) give_up: oneshot::Sender<oneshot::Sender<Infallible>>,
}

impl Waiting {
    pub(super) fn report(&self, sysfs: &Sysfs) -> report::Device {
        device::report(&self.attached, &self.identifier, 0, sysfs)
    }
}

/// Connections that were kept while no host ran, by their devices.
pub(crate) type Kept = BTreeMap<DeviceName, Vec<NbdClient>>;

/// How long the start of a host waits for its devices; after that it goes on trying.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a host that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(5);

impl Attachments {
    /// Finds the devices that carry our name, resumes their `kept` connections and makes
    /// the missing ones. Each waits for its own VCP only.
    pub(crate) async fn restore(self: &Arc<Self>, mut kept: Kept) {
        let mut restoring = tokio::task::JoinSet::new();
        for attached in self.sysfs.attached() {
            let backend = attached.backend.as_deref().unwrap_or_default();
            let Ok(identifier) = backend.parse::<Identifier>() else {
                continue;
            };
            let ours = self
                .attachable(&identifier.export)
                .is_ok_and(|known| known.host == identifier.host);
            if ours {
                let all = Arc::clone(self);
                let kept = kept.remove(&attached.device).unwrap_or_default();
                restoring.spawn(async move { all.take_over(attached, identifier, kept).await });
            }
        }
        for device in kept.keys() {
            tracing::warn!("connections of {device} were kept, which is no export's here; closed");
        }
        let all = async { while restoring.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("not all devices of the host before this one work yet");
        }
        restoring.detach_all();
    }

    /// Takes a device over, unless an operator has it detached by force while it waits
    /// for its VCP.
    async fn take_over(
        self: Arc<Self>,
        attached: Attached,
        identifier: Identifier,
        kept: Vec<NbdClient>,
    ) {
        let device = attached.device;
        let (give_up, given_up) = oneshot::channel();
        let waiting = Waiting {
            attached: attached.clone(),
            identifier: identifier.clone(),
            give_up,
        };
        self.waiting().insert(device.0, waiting);
        tokio::select! {
            () = self.go_on_with(attached, identifier, kept) => {}
            // All that was held is free by now; dropping this tells so.
            Ok(done) = given_up => drop(done),
        }
        self.waiting().remove(&device.0);
    }

    async fn go_on_with(&self, attached: Attached, identifier: Identifier, kept: Vec<NbdClient>) {
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
        // Meanwhile nobody can attach the export a second time.
        let _alone = match self.alone(&export) {
            Ok(alone) => alone,
            Err(error) => return cannot(&format!("{error:#}")),
        };
        let lock = match lock(name).await {
            Ok(lock) => lock,
            Err(error) => return cannot(&error.to_string()),
        };
        // There is no time limit here: the kernel's patience is what counts.
        let mut told = String::new();
        let geometry = loop {
            match attachable.geometry().await {
                Ok(geometry) => break geometry,
                Err(error) if attachable.is_over() => return cannot(&format!("{error:#}")),
                Err(error) => {
                    let line = format!("{name} waits: {error:#}");
                    if line != told {
                        tracing::warn!("{line}");
                        told = line;
                    }
                }
            }
            sleep(Duration::from_secs(1)).await;
        };
        // From here on the takeover cannot be given up.
        if self.waiting().remove(&name.0).is_none() {
            return;
        }
        if let Err(why) = same_disk(&geometry, &identifier, &attached) {
            return cannot(why);
        }
        let info = match attachable.info(&export, &geometry, identifier.read_only) {
            Ok(info) => info,
            Err(error) => return cannot(&format!("{error:#}")),
        };
        let device = Device::new(name, identifier, info, Some(lock));
        self.devices().insert(name.0, Arc::clone(&device));
        device.begin_mending();
        let kept = self.go_on(&device, &attachable, kept);
        let outcome = self.mend(&device).await;
        device.mended();
        match outcome {
            Ok(()) => tracing::info!(
                export,
                "{name} was taken over from the host before this one, with {kept} of its \
                 connections"
            ),
            Err(error) => self.forget(&device, &format!("{error:#}")),
        }
    }

    /// Resumes connections that were kept, and returns how many. Others are closed and
    /// made anew.
    fn go_on(
        &self,
        device: &Device,
        attachable: &super::Attachable,
        kept: Vec<NbdClient>,
    ) -> usize {
        let mut count = 0;
        for client in kept {
            // The terms that the client was told may no longer hold.
            if client.session().read_only() != device.info.read_only() {
                continue;
            }
            match device.go_on(&attachable.export, client, &self.ended) {
                Ok(()) => count += 1,
                Err(error) => {
                    tracing::warn!("{}: a connection that was kept: {error:#}", device.name)
                }
            }
        }
        count
    }
}

/// Checks that a disk is still the one that a device was attached to; if not, says why.
pub(super) fn same_disk(
    geometry: &Geometry,
    identifier: &Identifier,
    attached: &Attached,
) -> Result<(), &'static str> {
    if Identifier::fingerprint(&geometry.identity) != identifier.device {
        return Err("it is another disk's");
    }
    if whole_sectors(geometry.size) < attached.size {
        return Err("the disk has become smaller");
    }
    if geometry.block_size.max(SECTOR) != attached.block_size {
        return Err("the disk has other blocks now");
    }
    Ok(())
}

/// Waits for a host that is just ending: a killed process takes a moment.
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
    /// Whether its VCP will never be ready. A failed VCP may be started again.
    fn is_over(&self) -> bool {
        *self.export.device.state.borrow() == crate::exports::State::Stopped
    }
}

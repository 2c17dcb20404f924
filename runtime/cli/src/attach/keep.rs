//! Replaces connections that end if the kernel still has the device for us, and otherwise
//! forgets the device.

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::mpsc;
use vcp_attach::{DeviceName, Driver, Reconnect, whole_sectors};

use super::device::Device;
use super::restore::same_disk;
use super::{Attachable, Attachments, KERNEL_LIMIT, blocking, told};
use crate::exports::State;

/// How long to wait, at first and at most, before asking the kernel again whether it has
/// noticed that a connection is dead.
const FIRST: Duration = Duration::from_millis(10);
const MOST: Duration = Duration::from_secs(1);

/// A connection of a device has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) device: DeviceName,
    pub(super) id: u64,
    /// Whether the kernel said good-bye, because the device was detached.
    pub(super) left: bool,
}

/// Looks after all devices until the host ends.
pub(super) async fn keep(
    attachments: Weak<Attachments>,
    mut ended: mpsc::UnboundedReceiver<Ended>,
) {
    while let Some(Ended { device, id, left }) = ended.recv().await {
        let Some(attachments) = attachments.upgrade() else {
            return;
        };
        let Some(known) = attachments.devices().get(&device.0).cloned() else {
            continue;
        };
        known.lost(id);
        if known.is_over() {
            continue;
        }
        if left {
            attachments.forget(&known, "somebody else has detached it");
        } else if known.begin_mending() {
            tokio::spawn(async move {
                let outcome = attachments.mend(&known).await;
                known.mended();
                if let Err(error) = outcome {
                    attachments.forget(&known, &format!("{error:#}"));
                }
            });
        }
    }
}

impl Attachments {
    /// Makes new connections until none is missing. Fails if the device is gone, or
    /// nothing may serve it. Other failures may pass, and the kernel waits meanwhile.
    pub(super) async fn mend(&self, device: &Arc<Device>) -> Result<()> {
        let Ok(attachable) = self.attachable(&device.export) else {
            return Ok(());
        };
        let mut pause = FIRST;
        let mut told = false;
        while device.missing() > 0 && !device.is_over() {
            let Some(attached) = device.ours(&self.sysfs) else {
                bail!("the kernel does not have it any more");
            };
            match &*attachable.export.device.state.borrow() {
                State::Stopped => return Ok(()),
                State::Ready(geometry) => {
                    let same = same_disk(geometry, &device.identifier, &attached);
                    same.map_err(anyhow::Error::msg)?;
                }
                State::Starting | State::Waiting | State::Failed(_) => {}
            }
            match self.connect_again(device, &attachable).await {
                Ok(0) => {
                    if pause == MOST && !told {
                        tracing::warn!("{}: the kernel takes no new connection yet", device.name);
                        told = true;
                    }
                }
                Ok(count) => {
                    tracing::info!(device = %device.name, count, "connected again");
                    continue;
                }
                Err(error) if !told => {
                    tracing::error!("{}: {error:#}; it is tried again", device.name);
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MOST);
        }
        Ok(())
    }

    /// Makes new connections and returns how many.
    async fn connect_again(&self, device: &Device, attachable: &Attachable) -> Result<usize> {
        let taken = self.reconnect(device).await?;
        let count = taken.len();
        device.serve(&attachable.export, taken, &self.ended)?;
        Ok(count)
    }

    async fn reconnect(&self, device: &Device) -> Result<Vec<std::os::fd::OwnedFd>> {
        let identifier = &device.identifier;
        let known = self.sysfs.get(device.name).map(|attached| attached.size);
        let size = whole_sectors(device.info.size());
        let wanted = Reconnect {
            device: device.name,
            connections: device.missing(),
            identifier: identifier.to_string(),
            size: known.is_some_and(|known| known != size).then_some(size),
            patient: identifier.connections == 1 && identifier.timeout == 0,
        };
        let reconnecting = move || {
            let reconnected = Driver::open().and_then(|mut driver| driver.reconnect(&wanted));
            reconnected.map_err(told)
        };
        blocking(KERNEL_LIMIT, "reconnecting", reconnecting).await
    }

    /// Forgets a device that is no longer ours.
    pub(super) fn forget(&self, device: &Arc<Device>, why: &str) {
        device.set_over(true);
        device.cut();
        let mut devices = self.devices();
        let same = |known: &Arc<Device>| Arc::ptr_eq(known, device);
        if devices.get(&device.name.0).is_some_and(same) {
            devices.remove(&device.name.0);
            tracing::warn!(export = device.export, "{}: {why}", device.name);
        }
    }
}

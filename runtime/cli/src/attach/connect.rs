//! Attaching an export.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use vcp_attach::{
    AttachError, Connect, DeviceName, Driver, Identifier, Lock, SECTOR, whole_sectors,
};
use vcp_config::Timeout;
use vcp_control::report;
use vcp_nbd::Export as _;
use vcp_nbd_proto::ExportInfo;
use vcp_queue::Geometry;

use super::device::Device;
use super::{Attachable, Attachments, KERNEL_LIMIT, told, undoing};

/// How long a VCP may take to say what its device is.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// How often to check whether a device is back.
const LOOK: Duration = Duration::from_millis(50);

/// How long to wait before a failed attachment is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a host that has just lost a device may still hold its lock.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// The seconds that several connections are given beyond the host's own limit: the kernel
/// can wait without limit only with one connection.
const MARGIN: u64 = 30;

/// The seconds that stand for "never" with several connections: a day.
const FOREVER: u64 = 24 * 60 * 60;

/// An operator's wishes, which override the configuration.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) device: Option<DeviceName>,
    pub(crate) connections: Option<u32>,
    pub(crate) read_only: bool,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) dead_timeout: Option<vcp_config::Interval>,
}

impl Attachments {
    /// Attaches an export, once its VCP is ready.
    pub(crate) async fn attach(&self, export: &str, wanted: Wanted) -> Result<report::Device> {
        let attachable = self.attachable(export)?;
        let _alone = self.alone(export)?;
        if let Some(device) = self.all().iter().find(|device| device.export == export) {
            bail!("export {export} is attached already: {}", device.name);
        }
        let geometry = attachable
            .geometry()
            .await
            .with_context(|| format!("export {export}"))?;
        attachable
            .serving()
            .await
            .with_context(|| format!("export {export}"))?;
        let (settings, name) = attachable.settle(wanted);
        let identifier = attachable.identify(export, &settings, &geometry);
        let info = attachable.info(export, &geometry, identifier.read_only)?;
        let size = whole_sectors(info.size());
        if size == 0 {
            bail!(
                "export {export}: has {} bytes, less than a sector of {SECTOR}",
                info.size()
            );
        }
        let wanted = Connect {
            device: name,
            size,
            block_size: geometry.block_size,
            flags: info.transmission_flags(false),
            connections: identifier.connections,
            timeout: (identifier.timeout > 0).then(|| Duration::from_secs(identifier.timeout)),
            dead_timeout: Duration::from_secs(identifier.dead_timeout),
            identifier: identifier.to_string(),
        };
        let attaching = move || {
            let connected = Driver::open().and_then(|mut driver| driver.connect(&wanted));
            connected.map_err(told)
        };
        // A device must not be left behind when nobody would serve it.
        let undo = |(device, near)| {
            drop::<Vec<_>>(near);
            if let Err(error) = Driver::open().and_then(|mut driver| driver.disconnect(device)) {
                tracing::error!("{device} was attached too late, and stays: {error}");
            }
        };
        let (name, near) = undoing(KERNEL_LIMIT, "attaching", attaching, undo)
            .await
            .with_context(|| format!("export {export}"))?;
        let device = Device::new(name, identifier, info, lock(name).await);
        self.devices().insert(name.0, Arc::clone(&device));
        device.serve(&attachable.export, near, &self.ended)?;
        tracing::info!(export, device = %name, "attached");
        let tail = device.info.size() - size;
        if tail > 0 {
            tracing::warn!(
                "{name}: the last {tail} bytes of export {export} are less than a sector of \
                 {SECTOR}: the device ends before them; other clients are served them"
            );
        }
        if self
            .sysfs
            .get(name)
            .is_some_and(|attached| attached.backend.is_none())
        {
            tracing::warn!(
                "{name}: this kernel keeps no identifier of devices, so that the next host won't \
                 find it; that takes Linux 5.14"
            );
        }
        Ok(device.report(&self.sysfs))
    }

    /// Whether there is a driver to attach devices with; it is loaded if need be. This
    /// runs on a temporary thread: permanent threads are to be started only after the
    /// precautions, which they inherit.
    pub(crate) async fn has_driver(&self) -> bool {
        let (tell, found) = oneshot::channel();
        let finding = move || _ = tell.send(Driver::open().is_ok());
        let thread = std::thread::Builder::new().name("find nbd".to_owned());
        let begun = thread.spawn(finding).is_ok();
        begun && matches!(timeout(KERNEL_LIMIT, found).await, Ok(Ok(true)))
    }

    /// Whether the configuration asks for devices.
    pub(crate) fn any_configured(&self) -> bool {
        let exports = self.exports();
        exports
            .values()
            .any(|attachable| attachable.settings.is_some())
    }

    /// Whether any device is attached.
    pub(crate) fn any(&self) -> bool {
        !self.devices().is_empty()
    }

    /// Attaches the configured devices that were not taken over, all at once, as each
    /// waits for its VCP. Returns those that failed, with the reasons. `only` restricts
    /// it to these exports.
    pub(crate) async fn attach_configured(
        self: &Arc<Self>,
        only: Option<&BTreeSet<String>>,
    ) -> Vec<(String, anyhow::Error)> {
        let mut attaching = JoinSet::new();
        for (export, attachable) in self.exports() {
            let attached = self.all().iter().any(|device| device.export == export);
            let meant = only.is_none_or(|only| only.contains(&export));
            if meant && attachable.settings.is_some() && !attached {
                let all = Arc::clone(self);
                attaching.spawn(async move {
                    let outcome = all.attach(&export, Wanted::default()).await;
                    outcome.err().map(|error| (export, error))
                });
            }
        }
        attaching.join_all().await.into_iter().flatten().collect()
    }

    /// Attaches the configured devices whenever [`Self::want`] asks for it, and retries
    /// failures until they succeed; ends with the host.
    pub(crate) async fn keep_attaching(self: Arc<Self>) {
        let mut told = BTreeSet::new();
        loop {
            self.wanted.notified().await;
            let mut failed = self.attach_configured(None).await;
            while !failed.is_empty() {
                for (_, error) in &failed {
                    let line = format!("{error:#}");
                    if told.insert(line.clone()) {
                        tracing::error!("{line}; it is tried again");
                    }
                }
                let only = failed.into_iter().map(|(export, _)| export).collect();
                let more = tokio::time::timeout(AGAIN, self.wanted.notified()).await;
                failed = self.attach_configured(more.is_err().then_some(&only)).await;
            }
            told.clear();
        }
    }

    /// Notes that there may be more to attach.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }
}

impl Attachable {
    /// The device's geometry, once it is ready.
    pub(super) async fn geometry(&self) -> Result<Geometry> {
        let geometry = tokio::time::timeout(READY_LIMIT, self.export.geometry()).await;
        let geometry = geometry.context("its device is not ready yet; try again later")?;
        Ok(geometry?)
    }

    /// Waits until requests are answered. The kernel reads at once, and what it cannot
    /// read then, such as the partition table, it does not read again.
    async fn serving(&self) -> Result<()> {
        let end = tokio::time::Instant::now() + READY_LIMIT;
        loop {
            let status = self.export.device.vcp.status();
            let why = match status.state {
                vcp_core::State::Ready => return Ok(()),
                vcp_core::State::Suspended(why) | vcp_core::State::Held(why) => why,
                state => state.word().to_owned(),
            };
            if tokio::time::Instant::now() >= end {
                bail!("its device is away: {why}; try again when it is back");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn info(
        &self,
        export: &str,
        geometry: &Geometry,
        read_only: bool,
    ) -> Result<ExportInfo> {
        let read_only = read_only || self.export.read_only();
        let info = ExportInfo::new(export, "", geometry, read_only);
        info.with_context(|| format!("export {export}"))
    }

    /// Combines the operator's wishes, the configuration and the defaults, in this order.
    fn settle(&self, wanted: Wanted) -> (Settled, Option<DeviceName>) {
        let configured = self.settings.clone().unwrap_or_default();
        let device = configured.device.map(|device| DeviceName(device.0));
        let settled = Settled {
            connections: wanted.connections.unwrap_or(configured.connections),
            timeout: wanted.timeout.or(configured.timeout),
            dead_timeout: wanted.dead_timeout.unwrap_or(configured.dead_timeout),
            read_only: wanted.read_only,
        };
        (settled, wanted.device.or(device))
    }

    fn identify(&self, export: &str, settled: &Settled, geometry: &Geometry) -> Identifier {
        Identifier {
            host: self.host.clone(),
            export: export.to_owned(),
            connections: settled.connections,
            timeout: request_timeout(settled.timeout, settled.connections, self.patience),
            dead_timeout: settled.dead_timeout.duration().as_secs(),
            read_only: settled.read_only,
            device: Identifier::fingerprint(&geometry.identity),
        }
    }
}

/// The settings by which a device is attached.
#[derive(Debug)]
struct Settled {
    connections: u32,
    timeout: Option<Timeout>,
    dead_timeout: vcp_config::Interval,
    read_only: bool,
}

/// The kernel's time limit for a request, in seconds; 0: none. A live connection must not
/// be given up for a request that the host merely lets wait, as the kernel would send it
/// again over another while the first still counts.
fn request_timeout(wanted: Option<Timeout>, connections: u32, patience: Timeout) -> u64 {
    let after = match wanted {
        Some(timeout) => timeout.duration().map(|time| time.as_secs()),
        None if connections == 1 => None,
        None => patience.duration().map(|time| time.as_secs() + MARGIN),
    };
    match after {
        Some(seconds) => seconds.clamp(1, FOREVER),
        None if connections == 1 => 0,
        None => FOREVER,
    }
}

/// Takes the lock of a device that the kernel has just given us. Its former host may not
/// yet have noticed the loss.
async fn lock(device: DeviceName) -> Option<Lock> {
    let end = tokio::time::Instant::now() + LOCK_LIMIT;
    loop {
        match Lock::take(device) {
            Ok(lock) => return Some(lock),
            Err(_) if tokio::time::Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => {
                tracing::warn!("{device} is served without a lock: {error}");
                return None;
            }
        }
    }
}

/// Parses a device's name and refuses numbers that cannot exist.
pub(super) fn parse(name: &str) -> Result<DeviceName, AttachError> {
    name.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_waits_for_longer_than_the_host() {
        let two_minutes = Timeout::After(vcp_config::Interval::millis(120_000));
        let minute = Some(Timeout::After(vcp_config::Interval::millis(60_000)));
        for (wanted, connections, patience, seconds) in [
            (None, 1, two_minutes, 0),
            (None, 2, two_minutes, 150),
            (None, 2, Timeout::Never, FOREVER),
            (minute, 1, two_minutes, 60),
            (minute, 4, Timeout::Never, 60),
            (Some(Timeout::Never), 1, two_minutes, 0),
            (Some(Timeout::Never), 2, two_minutes, FOREVER),
        ] {
            let found = request_timeout(wanted, connections, patience);
            assert_eq!(found, seconds, "{wanted:?} {connections} {patience:?}");
        }
    }
}

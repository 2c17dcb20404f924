//! Devices of the kernel's nbd that this host serves. They are attached when the
//! configuration or an operator says so, get new connections when theirs die, are taken
//! over from a host that is gone, and are left to the next host or detached at the end.
//!
//! The kernel's calls, and opening a device, may block for as long as the device does,
//! and the device may wait for this very host. So all of this happens on threads that may
//! block ([`blocking`]), each with a time limit; the control plane only waits for them,
//! and the data plane is not involved.

mod connect;
mod detach;
mod device;
mod keep;
pub(crate) mod orphan;
mod restore;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::{Notify, mpsc, oneshot};
use vcp_attach::{AttachError, DeviceName, Sysfs};
use vcp_config::{HostConfig, Timeout};
use vcp_control::report;

use crate::exports::{Export, Table};
use crate::sandbox::{self, DropIn};
use device::Device;
use restore::Waiting;

pub(crate) use connect::Wanted;
pub(crate) use device::host_name;
pub(crate) use restore::Kept;

/// How long the kernel may take to attach or change a device; loading its module, which
/// comes first, has 20 s.
const KERNEL_LIMIT: Duration = Duration::from_secs(25);

/// Devices and the exports they show.
pub(crate) struct Attachments {
    exports: RwLock<BTreeMap<String, Arc<Attachable>>>,
    /// The name by which the kernel knows the host, unless an export has another.
    host: String,
    /// The devices by number, without those that are being detached.
    devices: Mutex<BTreeMap<u32, Arc<Device>>>,
    /// A former host's devices, by number, that wait for their VCP.
    waiting: Mutex<BTreeMap<u32, Waiting>>,
    /// Exports that are being attached or detached.
    busy: Mutex<Vec<String>>,
    /// Notified when the configuration may have more to attach.
    wanted: Notify,
    sysfs: Sysfs,
    ended: mpsc::UnboundedSender<keep::Ended>,
}

/// An export that can be attached.
pub(crate) struct Attachable {
    pub(crate) export: Arc<Export>,
    /// The VCP that provides it.
    pub(crate) vcp: String,
    /// The configured settings.
    pub(crate) settings: Option<vcp_config::Attach>,
    /// The name by which the kernel is to know the host.
    pub(crate) host: String,
    /// How long the host itself lets requests wait.
    pub(crate) patience: Timeout,
}

impl Attachments {
    /// Has no exports yet; the kernel knows the host by the name `host`.
    pub(crate) fn new(host: &str) -> Arc<Self> {
        let (ended, tell) = mpsc::unbounded_channel();
        let attachments = Arc::new(Self {
            exports: RwLock::default(),
            host: host.to_owned(),
            devices: Mutex::default(),
            waiting: Mutex::default(),
            busy: Mutex::default(),
            wanted: Notify::new(),
            sysfs: Sysfs::default(),
            ended,
        });
        tokio::spawn(keep::keep(Arc::downgrade(&attachments), tell));
        attachments
    }

    /// Replaces the table of exports that can be attached. Devices stay.
    pub(crate) fn replace(&self, config: &HostConfig, exports: &Table) {
        let attachable = |(name, export): (&vcp_config::ExportName, &vcp_config::Export)| {
            let vcp = config.vcps.get(&export.vcp)?;
            let identifier = export.attach.as_ref().and_then(|a| a.identifier.clone());
            let attachable = Attachable {
                export: Arc::clone(exports.get(name.as_str())?),
                vcp: export.vcp.to_string(),
                settings: export.attach.clone(),
                host: identifier.unwrap_or_else(|| self.host.clone()),
                patience: vcp.replacement_timeout,
            };
            Some((name.to_string(), Arc::new(attachable)))
        };
        let now = config.exports.iter().filter_map(attachable).collect();
        *self.exports.write().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// The reports on the devices of an export.
    pub(crate) fn of(&self, export: &str) -> Vec<report::Device> {
        let waiting: Vec<_> = {
            let waiting = self.waiting();
            let shows = |waiting: &&Waiting| waiting.identifier.export == export;
            waiting
                .values()
                .filter(shows)
                .map(|w| w.report(&self.sysfs))
                .collect()
        };
        let devices = self.all().into_iter();
        let devices = devices.filter(|device| device.export == export);
        devices
            .map(|device| device.report(&self.sysfs))
            .chain(waiting)
            .collect()
    }

    /// The devices of this VCP.
    pub(crate) fn of_vcp(&self, vcp: &str) -> Vec<DeviceName> {
        let shows = |device: &Arc<Device>| {
            let export = self.attachable(&device.export);
            export.is_ok_and(|export| export.vcp == vcp)
        };
        let all = self.all().into_iter();
        all.filter(shows).map(|device| device.name).collect()
    }

    fn all(&self) -> Vec<Arc<Device>> {
        self.devices().values().cloned().collect()
    }

    /// The table is only ever replaced, so it is consistent after any panic.
    fn exports(&self) -> BTreeMap<String, Arc<Attachable>> {
        self.exports
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn attachable(&self, export: &str) -> Result<Arc<Attachable>> {
        let exports = self.exports();
        exports.get(export).cloned().ok_or_else(|| {
            let names: Vec<_> = exports.keys().map(String::as_str).collect();
            anyhow!("no export {export:?} here; there are: {}", names.join(", "))
        })
    }

    /// Entries come and go whole, so the table is consistent after any panic.
    fn devices(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the table as [`Attachments::devices`] does.
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u32, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ensures that only one task at a time attaches or detaches an export.
    fn alone(&self, export: &str) -> Result<Alone<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.iter().any(|other| other == export) {
            return Err(anyhow!(
                "export {export}: it is being attached or detached just now"
            ));
        }
        busy.push(export.to_owned());
        Ok(Alone {
            busy: &self.busy,
            export: export.to_owned(),
        })
    }
}

/// The guard of [`Attachments::alone`].
struct Alone<'a> {
    busy: &'a Mutex<Vec<String>>,
    export: String,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.retain(|export| *export != self.export);
    }
}

/// The driver's error, with a way to lift the service's restrictions if they are the
/// cause.
fn told(error: AttachError) -> anyhow::Error {
    match sandbox::cure(DropIn::Attach) {
        Some(cure) if error.is_forbidden() => anyhow!("{error}; {cure}"),
        _ => error.into(),
    }
}

/// Runs what may block on a thread of its own, and waits for it at most `limit`.
async fn blocking<T: Send + 'static>(
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    undoing(limit, what, work, drop).await
}

/// Does the same; a result that comes too late is undone.
async fn undoing<T: Send + 'static>(
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
    undo: impl FnOnce(T) + Send + 'static,
) -> Result<T> {
    let (give, taken) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        if let Err(Ok(late)) = give.send(work()) {
            undo(late);
        }
    });
    tokio::time::timeout(limit, taken)
        .await
        .map_err(|_| anyhow!("{what}: no end after {} s", limit.as_secs()))?
        .context("the thread that did it")?
}

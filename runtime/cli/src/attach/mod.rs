//! Devices of the kernel's nbd that this host serves: attached when the
//! configuration or an operator says so, given new connections when theirs have
//! died, taken over from a host that is gone, and left to the next one or detached
//! at the end.
//!
//! The kernel's calls and whatever opens a device may block for as long as the
//! device does, and the device may wait for this very host. So all of it happens on
//! threads that may block ([`blocking`]), each with a limit of time; the control
//! plane only waits for them, and the data plane knows nothing of it.

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

/// How long the kernel may take to attach a device or to change it; loading its
/// module, which comes first, has 20 s.
const KERNEL_LIMIT: Duration = Duration::from_secs(25);

/// Devices and the exports they show.
pub(crate) struct Attachments {
    exports: RwLock<BTreeMap<String, Arc<Attachable>>>,
    /// What the kernel knows the host by, unless an export says otherwise.
    host: String,
    /// By number. Those that are being detached are not among them any more.
    devices: Mutex<BTreeMap<u32, Arc<Device>>>,
    /// Those of a host before this one, by number, that have no VCP yet to go on with.
    waiting: Mutex<BTreeMap<u32, Waiting>>,
    /// Exports for which somebody is at work.
    busy: Mutex<Vec<String>>,
    /// The configuration may have more to attach.
    wanted: Notify,
    sysfs: Sysfs,
    ended: mpsc::UnboundedSender<keep::Ended>,
}

/// An export that can be attached.
pub(crate) struct Attachable {
    pub(crate) export: Arc<Export>,
    /// The VCP behind it.
    pub(crate) vcp: String,
    /// What the configuration says.
    pub(crate) settings: Option<vcp_config::Attach>,
    /// What the kernel is to know the host by.
    pub(crate) host: String,
    /// How long the host itself lets requests wait.
    pub(crate) patience: Timeout,
}

impl Attachments {
    /// Without exports yet, for a host that the kernel knows by this name.
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

    /// From now on it is these exports that can be attached. Devices stay.
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

    /// What can be said of the devices of an export.
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

    /// What is behind the lock is whole after any panic: it is only ever replaced.
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

    /// What is behind the lock is whole after any panic: entries come and go whole.
    fn devices(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Attachments::devices`].
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u32, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time attaches or detaches an export.
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

/// See [`Attachments::alone`].
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

/// What the kernel's driver says, and how a service is allowed what it may not.
fn told(error: AttachError) -> anyhow::Error {
    match sandbox::cure(DropIn::Attach) {
        Some(cure) if error.is_forbidden() => anyhow!("{error}; {cure}"),
        _ => error.into(),
    }
}

/// Does what may block on a thread of its own, and waits for it so long.
async fn blocking<T: Send + 'static>(
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    undoing(limit, what, work, drop).await
}

/// The same; what comes of it when nobody waits any more is undone.
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

//! An attached device, from its host's view.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::net::{Shutdown, shutdown};
use tokio::sync::mpsc;
use vcp_attach::{Attached, DeviceName, Identifier, Lock, SECTOR, Sysfs, usage, whole_sectors};
use vcp_config::HostConfig;
use vcp_control::report;
use vcp_nbd::NbdClient;
use vcp_nbd_proto::{ExportInfo, Session};
use vcp_queue::Client as _;

use super::keep::Ended;
use crate::exports::Export;

/// A device that this host serves.
pub(super) struct Device {
    pub(super) name: DeviceName,
    pub(super) export: String,
    pub(super) identifier: Identifier,
    pub(super) info: ExportInfo,
    /// Its connections, each with a descriptor by which it can be cut.
    wires: Mutex<BTreeMap<u64, OwnedFd>>,
    /// Whether it is being detached or left, so that it gets no new connections.
    over: AtomicBool,
    /// Whether new connections are being made for it.
    mending: AtomicBool,
    _lock: Option<Lock>,
}

impl Device {
    pub(super) fn new(
        name: DeviceName,
        identifier: Identifier,
        info: ExportInfo,
        lock: Option<Lock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            export: identifier.export.clone(),
            identifier,
            info,
            wires: Mutex::default(),
            over: AtomicBool::new(false),
            mending: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Hands the near ends of new connections to the VCP of the export.
    pub(super) fn serve(
        &self,
        export: &Export,
        near: Vec<OwnedFd>,
        ended: &mpsc::UnboundedSender<Ended>,
    ) -> Result<()> {
        for fd in near {
            let session = Session::unnegotiated(&self.info);
            let client = NbdClient::new(fd, self.name.to_string(), session)?;
            self.go_on(export, client, ended)?;
        }
        Ok(())
    }

    /// Hands a connection to the VCP of the export: a new one, or one that was kept while
    /// no host ran.
    pub(super) fn go_on(
        &self,
        export: &Export,
        client: NbdClient,
        ended: &mpsc::UnboundedSender<Ended>,
    ) -> Result<()> {
        let wire = client.fd().try_clone_to_owned();
        let wire = wire.context("a descriptor for a connection")?;
        let id = {
            let mut wires = self.wires();
            let id = wires.last_key_value().map_or(0, |(last, _)| last + 1);
            wires.insert(id, wire);
            id
        };
        let (device, ended) = (self.name, ended.clone());
        let client = client.lasting(move |left| {
            // When the host is gone, nobody needs to be told.
            let _ = ended.send(Ended { device, id, left });
        });
        vcp_nbd::Export::attach(export, Box::new(client)).map_err(anyhow::Error::msg)
    }

    /// Forgets a connection that has ended.
    pub(super) fn lost(&self, id: u64) {
        self.wires().remove(&id);
    }

    /// How many connections are missing.
    pub(super) fn missing(&self) -> u32 {
        let live = u32::try_from(self.wires().len()).unwrap_or(u32::MAX);
        self.identifier.connections.saturating_sub(live)
    }

    /// Ends all connections, even with requests under way.
    pub(super) fn cut(&self) {
        for wire in self.wires().values() {
            let _ = shutdown(wire, Shutdown::Both);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Sets whether its connections are allowed to end without being replaced.
    pub(super) fn set_over(&self, over: bool) {
        self.over.store(over, Ordering::Relaxed);
    }

    /// Begins mending, and returns whether nobody else is at it; if so, the caller has to
    /// call [`Self::mended`].
    pub(super) fn begin_mending(&self) -> bool {
        !self.mending.swap(true, Ordering::Relaxed)
    }

    pub(super) fn mended(&self) {
        self.mending.store(false, Ordering::Relaxed);
    }

    /// The kernel's view of the device, if the kernel still has it for us.
    pub(super) fn ours(&self, sysfs: &Sysfs) -> Option<Attached> {
        let attached = sysfs.get(self.name)?;
        // Kernels before 5.14 do not show the identifier.
        let backend = attached.backend.as_ref();
        let ours = backend.is_none_or(|backend| *backend == self.identifier.to_string());
        ours.then_some(attached)
    }

    pub(super) fn uses(&self, sysfs: &Sysfs) -> Vec<String> {
        usage::of(sysfs, Path::new("/proc"), self.name)
    }

    /// The mount points of file systems on it.
    pub(super) fn mount_points(&self, sysfs: &Sysfs) -> Vec<PathBuf> {
        usage::mount_points(sysfs, Path::new("/proc"), self.name)
    }

    pub(super) fn report(&self, sysfs: &Sysfs) -> report::Device {
        let attached = Attached {
            device: self.name,
            pid: None,
            backend: None,
            size: whole_sectors(self.info.size()),
            block_size: self.info.block_size().max(SECTOR),
            read_only: self.info.read_only(),
        };
        let connected = self.identifier.connections - self.missing();
        report(&attached, &self.identifier, connected, sysfs)
    }

    /// How long requests wait while nobody serves the device.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.identifier.dead_timeout)
    }

    fn wires(&self) -> MutexGuard<'_, BTreeMap<u64, OwnedFd>> {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The report on a device of which `connections` work.
pub(super) fn report(
    attached: &Attached,
    identifier: &Identifier,
    connected: u32,
    sysfs: &Sysfs,
) -> report::Device {
    let millis = |seconds: u64| seconds.saturating_mul(1000);
    report::Device {
        device: attached.device.to_string(),
        export: identifier.export.clone(),
        size: attached.size,
        block_size: attached.block_size,
        read_only: attached.read_only,
        connections: identifier.connections,
        connected,
        timeout_ms: (identifier.timeout > 0).then(|| millis(identifier.timeout)),
        dead_timeout_ms: millis(identifier.dead_timeout),
        identifier: identifier.to_string(),
        uses: usage::of(sysfs, Path::new("/proc"), attached.device),
    }
}

/// The name by which the kernel knows a host, the same at every start: the
/// configuration's path or, without a file, the settings of its one VCP.
pub(crate) fn host_name(file: Option<&Path>, config: &HostConfig) -> String {
    if let Some(file) = file {
        let whole = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        return plain(&whole.to_string_lossy());
    }
    let mut words = String::new();
    for (name, vcp) in &config.vcps {
        let mut alone = HostConfig::default();
        let mut bare = vcp_config::Vcp::new(vcp.module.clone());
        bare.settings = vcp.settings.clone();
        alone.vcps.insert(name.clone(), bare);
        // Secrets are left out.
        words += &alone.to_toml();
    }
    format!("run:{:016x}", Identifier::fingerprint(&words))
}

/// Makes a name fit for sysfs, which stops at the end of a line.
fn plain(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    match plain.len() {
        0..=1024 => plain,
        _ => format!("{:016x}", Identifier::fingerprint(&plain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_what_it_runs() {
        let config = |settings: &[&str], cpu: Option<&str>| {
            HostConfig::shorthand(&vcp_config::Shorthand {
                module: "ramdisk".into(),
                settings: settings.iter().map(|s| (*s).to_owned()).collect(),
                cpu: cpu.map(str::to_owned),
                ..Default::default()
            })
            .unwrap()
        };
        let one = host_name(None, &config(&["size=1MiB"], None));
        assert!(one.starts_with("run:"), "{one}");
        assert_eq!(one, host_name(None, &config(&["size=1MiB"], Some("0"))));
        assert_ne!(one, host_name(None, &config(&["size=2MiB"], None)));
        let file = host_name(
            Some(Path::new("/proc/self/../self/none.toml")),
            &config(&[], None),
        );
        assert_eq!(file, "/proc/self/../self/none.toml");
        assert_eq!(plain("a\nb"), "a?b");
        assert_eq!(plain(&"x".repeat(2000)).len(), 16);
    }
}

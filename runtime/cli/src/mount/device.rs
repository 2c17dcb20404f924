//! The block device below a mount: made, and removed again, by either of the two ways.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Runtime;
use vcp_attach::{DeviceName, Driver};
use vcp_mount::{Device, Manner, Record, Slot, fuse};

use crate::args::HostArguments;
use crate::args::devices::MountVia;
use crate::ask::{self, Disk};

/// What to make, and for which mount.
pub(super) struct Wanted<'a> {
    pub(super) disk: &'a Disk,
    pub(super) host: &'a HostArguments,
    pub(super) dir: &'a Path,
    pub(super) read_only: bool,
    pub(super) via: Option<MountVia>,
}

/// Makes the device and records it. On failure nothing of it is left.
pub(super) fn up(runtime: &Runtime, slot: &Slot, wanted: &Wanted<'_>) -> Result<Device> {
    let by_kernel = match wanted.via {
        Some(MountVia::Kernel) => true,
        Some(MountVia::Fuse) => false,
        None => kernel_can(),
    };
    if by_kernel {
        return kernel_up(runtime, slot, wanted);
    }
    if wanted.via.is_none() {
        tracing::warn!("this kernel has no NBD: going by nbdfuse and a loop device");
    }
    fuse_up(slot, wanted)
}

/// Whether the kernel has NBD, or a module for it.
fn kernel_can() -> bool {
    match Driver::find() {
        Ok(Some(_)) => true,
        Ok(None) => vcp_attach::driver::can_load(),
        // Attaching will report the error.
        Err(_) => true,
    }
}

fn kernel_up(runtime: &Runtime, slot: &Slot, wanted: &Wanted<'_>) -> Result<Device> {
    let Wanted { disk, host, .. } = wanted;
    let ours = disk.device.is_none();
    let path = match &disk.device {
        Some(path) => path.clone(),
        None => runtime.block_on(disk.attach(host, wanted.read_only))?,
    };
    let device = Device::Kernel {
        path: PathBuf::from(path),
        ours,
        control: host.control.clone(),
    };
    let recorded = slot.write(&record(wanted, device.clone()));
    if let Err(error) = recorded {
        let undone = down(runtime, slot, &device, Manner::Orderly);
        super::undo(undone);
        return Err(error.into());
    }
    Ok(device)
}

fn fuse_up(slot: &Slot, wanted: &Wanted<'_>) -> Result<Device> {
    slot.write(&record(wanted, Device::Fuse { path: None }))?;
    fuse::start(slot, &wanted.disk.uri, wanted.read_only)?;
    let made = fuse::attach(slot, wanted.read_only).and_then(|path| {
        let device = Device::Fuse {
            path: Some(path.clone()),
        };
        match slot.write(&record(wanted, device.clone())) {
            Ok(()) => Ok(device),
            Err(error) => {
                super::undo(fuse::detach(&path, Manner::Orderly).map_err(Into::into));
                Err(error)
            }
        }
    });
    Ok(made.inspect_err(|_| super::undo(fuse::stop(slot, Manner::Orderly).map_err(Into::into)))?)
}

fn record(wanted: &Wanted<'_>, device: Device) -> Record {
    Record {
        name: wanted.disk.export.clone(),
        dir: wanted.dir.to_owned(),
        device,
    }
}

/// The device's path, once it exists.
pub(super) fn path(device: &Device) -> Option<&Path> {
    match device {
        Device::Kernel { path, .. } => Some(path),
        Device::Fuse { path } => path.as_deref(),
    }
}

/// Fails the requests that wait for the device, at once.
pub(super) fn cut(runtime: &Runtime, slot: &Slot, device: &Device) -> Result<()> {
    match device {
        // A device that was attached by hand is detached by hand.
        Device::Kernel { ours: false, .. } => Ok(()),
        Device::Kernel { path, control, .. } => kernel_down(runtime, path, control, true),
        Device::Fuse { .. } => {
            fuse::abort(slot);
            Ok(())
        }
    }
}

/// Removes the device, if it was made for the mount.
pub(super) fn down(runtime: &Runtime, slot: &Slot, device: &Device, manner: Manner) -> Result<()> {
    match device {
        // The device was cut off already.
        Device::Kernel { .. } if manner == Manner::Force => Ok(()),
        Device::Kernel { ours: false, .. } => Ok(()),
        Device::Kernel { path, control, .. } => kernel_down(runtime, path, control, false),
        Device::Fuse { path } => {
            if let Some(path) = path {
                fuse::detach(path, manner)?;
            }
            Ok(fuse::stop(slot, manner)?)
        }
    }
}

fn kernel_down(
    runtime: &Runtime,
    path: &Path,
    control: &Option<PathBuf>,
    force: bool,
) -> Result<()> {
    let host = HostArguments {
        control: control.clone(),
    };
    let name = path.display().to_string();
    let asked = runtime.block_on(ask::detach_device(&host, &name, force));
    let Err(error) = asked else { return Ok(()) };
    let device: DeviceName = name.parse()?;
    if !attached(device) {
        return Ok(());
    }
    if !force {
        return Err(error);
    }
    // Its host is gone, so the kernel is asked directly.
    Driver::open()?
        .disconnect(device)
        .with_context(|| name.clone())?;
    if attached(device) {
        bail!("{name}: still open; its number is free once it is closed");
    }
    Ok(())
}

fn attached(device: DeviceName) -> bool {
    vcp_attach::Sysfs::default().get(device).is_some()
}

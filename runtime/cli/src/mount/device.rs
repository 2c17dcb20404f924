//! The block device below a mount: made, and taken away again, by whichever way there
//! is.

use std::path::Path;

use anyhow::{Result, bail};
use tokio::runtime::Runtime;
use vcp_mount::{Device, Manner, Record, Slot, fuse};

use crate::args::{MountArguments, MountVia};
use crate::ask::Disk;

/// By which way a device is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// The kernel's NBD client, or else nbdfuse.
    Any,
    /// The kernel's NBD client.
    Kernel,
    /// nbdfuse and a loop device.
    Fuse,
}

impl Via {
    pub(super) fn of(arguments: &MountArguments) -> Self {
        match arguments.via {
            None => Self::Any,
            Some(MountVia::Kernel) => Self::Kernel,
            Some(MountVia::Fuse) => Self::Fuse,
        }
    }
}

/// Makes the device and leaves a record of it. On failure nothing of it is left.
pub(super) fn up(
    _runtime: &Runtime,
    slot: &Slot,
    disk: &Disk,
    via: Via,
    dir: &Path,
    read_only: bool,
) -> Result<Device> {
    match via {
        Via::Kernel => bail!("this kernel has no NBD; --via fuse goes by nbdfuse and loop"),
        Via::Any => {
            tracing::warn!("this kernel has no NBD: going by nbdfuse and a loop device");
        }
        Via::Fuse => {}
    }
    by_fuse(slot, disk, dir, read_only)
}

fn by_fuse(slot: &Slot, disk: &Disk, dir: &Path, read_only: bool) -> Result<Device> {
    let record = |path| Record {
        name: disk.export.clone(),
        dir: dir.to_owned(),
        device: Device::Fuse { path },
    };
    slot.write(&record(None))?;
    fuse::start(slot, &disk.uri, read_only)?;
    let made = fuse::attach(slot, read_only).and_then(|path| {
        let record = record(Some(path.clone()));
        match slot.write(&record) {
            Ok(()) => Ok(record.device),
            Err(error) => {
                super::undo(fuse::detach(&path, Manner::Orderly).map_err(Into::into));
                Err(error)
            }
        }
    });
    Ok(made.inspect_err(|_| super::undo(fuse::stop(slot, Manner::Orderly).map_err(Into::into)))?)
}

/// Where it is, once it is there.
pub(super) fn path(device: &Device) -> Option<&Path> {
    match device {
        Device::Kernel { path, .. } => Some(path),
        Device::Fuse { path } => path.as_deref(),
    }
}

/// Fails what waits for the device, now.
pub(super) fn cut(slot: &Slot, device: &Device) {
    match device {
        Device::Kernel { .. } => {}
        Device::Fuse { .. } => fuse::abort(slot),
    }
}

/// Takes it away, if it was made for the mount.
pub(super) fn down(
    _runtime: &Runtime,
    slot: &Slot,
    _name: &str,
    device: &Device,
    manner: Manner,
) -> Result<()> {
    match device {
        Device::Kernel { .. } => bail!("not attached by this version"),
        Device::Fuse { path } => {
            if let Some(path) = path {
                fuse::detach(path, manner)?;
            }
            Ok(fuse::stop(slot, manner)?)
        }
    }
}

//! `vcp mount` and `vcp umount`: a disk of a running host and its file system in one step
//! each, for operators who do not want to attach and mount by hand.
//!
//! Mounting takes several steps; when one fails, the earlier ones are undone, last first.
//! `umount` undoes them in the same order, by the record that `mount` left: the file
//! system, then a flush of the device, then the device.

mod device;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use vcp_mount::{Manner, Record, Slot, record};

use crate::args::{MountArguments, UmountArguments, Usage};
use crate::ask;
use crate::run::runtime;

/// Runs `vcp mount`.
pub(crate) fn mount(arguments: &MountArguments) -> Result<ExitCode> {
    only_root("mount")?;
    let dir = directory(&arguments.dir)?;
    let runtime = runtime()?;
    let disk = runtime.block_on(ask::disk(&arguments.target))?;
    let how = vcp_mount::Options {
        kind: arguments.kind.clone(),
        options: arguments.options.clone(),
        read_only: arguments.read_only,
    };
    let slot = Slot::claim(&record::directory(), &disk.export)?;
    let wanted = device::Wanted {
        disk: &disk,
        host: &arguments.target.host,
        dir: &dir,
        read_only: how.read_only,
        via: arguments.via,
    };
    let mounting = device::up(&runtime, &slot, &wanted).and_then(|device| {
        let path = device::path(&device).context("a device was made")?;
        match vcp_mount::mount(path, &dir, &how) {
            Ok(kind) => Ok((kind, path.to_owned())),
            Err(error) => {
                undo(device::down(&runtime, &slot, &device, Manner::Orderly));
                Err(error.into())
            }
        }
    });
    match mounting {
        Ok((kind, path)) => {
            let (path, dir) = (path.display(), dir.display());
            let line = format!("{}: {kind} on {path} mounted at {dir}\n", disk.export);
            ask::print(&line)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            undo(slot.remove().map_err(Into::into));
            Err(error.context(disk.export))
        }
    }
}

/// Runs `vcp umount`.
pub(crate) fn umount(arguments: &UmountArguments) -> Result<ExitCode> {
    only_root("umount")?;
    let what = &arguments.what;
    let manner = match (arguments.force, arguments.lazy) {
        (true, _) => Manner::Force,
        (false, true) => Manner::Lazy,
        (false, false) => Manner::Orderly,
    };
    let Some((slot, record)) = Slot::find(&record::directory(), what)? else {
        bail!("{what}: neither a disk nor a directory that `vcp mount` has mounted");
    };
    let runtime = runtime()?;
    take_apart(&runtime, &slot, &record, manner).with_context(|| record.name.clone())?;
    slot.remove()?;
    ask::print(&format!("{}: unmounted\n", record.name))?;
    Ok(ExitCode::SUCCESS)
}

fn take_apart(
    runtime: &tokio::runtime::Runtime,
    slot: &Slot,
    record: &Record,
    manner: Manner,
) -> Result<()> {
    if manner == Manner::Force {
        // Waiting requests fail, and so release the file system.
        device::cut(runtime, slot, &record.device)?;
    }
    let path = device::path(&record.device);
    let there = vcp_mount::table::at(&record.dir)?;
    if there.is_some_and(|mount| Some(mount.source.as_path()) == path) {
        vcp_mount::unmount(&record.dir, manner)?;
    }
    if manner == Manner::Orderly
        && let Some(path) = path.filter(|path| path.exists())
    {
        if let Some(mount) = vcp_mount::table::of_device(path)? {
            bail!(
                "{} is mounted at {} too",
                path.display(),
                mount.dir.display()
            );
        }
        vcp_mount::flush(path)?;
    }
    device::down(runtime, slot, &record.device, manner)
}

/// Reports a failed step of undoing; the command itself ends with the first failure.
fn undo(undone: Result<()>) {
    if let Err(error) = undone {
        tracing::warn!("undoing: {error:#}");
    }
}

/// The mount point without symbolic links, as the kernel will name it.
fn directory(dir: &Path) -> Result<PathBuf> {
    let real = std::fs::canonicalize(dir).with_context(|| dir.display().to_string())?;
    if !real.is_dir() {
        return Err(Usage(format!("{}: not a directory", dir.display())).into());
    }
    Ok(real)
}

fn only_root(verb: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("{verb}: only root can do that");
    }
    Ok(())
}

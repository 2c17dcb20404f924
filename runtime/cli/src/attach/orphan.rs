//! Devices whose host is gone for good: there is no host to ask, so the command itself
//! detaches them.

use anyhow::{Context as _, Result, anyhow, bail};
use vcp_attach::{DeviceName, Driver, Identifier, Lock, LockError, Sysfs};
use vcp_control::report;

use super::detach::freed;
use super::{KERNEL_LIMIT, blocking};

/// Detaches every device that hosts have left and no host serves: requests that the
/// kernel holds for them fail. If one can't be detached, the others still are, and this
/// fails at the end.
pub(crate) async fn detach_all() -> Result<Vec<report::Detached>> {
    let (mut detached, mut failed) = (Vec::new(), Vec::new());
    for device in Sysfs::default().attached() {
        let backend = device.backend.as_deref().unwrap_or_default();
        if backend.parse::<Identifier>().is_err() {
            continue;
        }
        match Lock::take(device.device) {
            // A host serves it.
            Err(LockError::Held(_)) => {}
            Err(error) => failed.push(format!("{}: {error}", device.device)),
            Ok(lock) => {
                drop(lock);
                match detach(device.device, true).await {
                    Ok(done) => detached.push(done),
                    Err(error) => failed.push(format!("{error:#}")),
                }
            }
        }
    }
    match failed.is_empty() {
        true => Ok(detached),
        false => bail!("{}", failed.join("; ")),
    }
}

/// Detaches a device that no host serves. Requests that the kernel holds for it
/// fail, so it has to be asked for by force.
pub(crate) async fn detach(device: DeviceName, force: bool) -> Result<report::Detached> {
    let sysfs = Sysfs::default();
    let attached = sysfs.get(device);
    let attached = attached.ok_or_else(|| anyhow!("{device} is not attached"))?;
    let backend = attached.backend.as_deref().unwrap_or_default();
    let Ok(identifier) = backend.parse::<Identifier>() else {
        bail!("{device} is not vcp's: attached {}", attached.holder());
    };
    let _lock = Lock::take(device)
        .with_context(|| format!("no host that can be reached from here has {device} attached"))?;
    if !force {
        bail!(
            "{device} was left by a host that is gone, {}: start that again and it takes it over, \
             or detach it with --force",
            identifier.host
        );
    }
    let detaching = move || Ok(Driver::open()?.disconnect(device)?);
    blocking(KERNEL_LIMIT, "detaching", detaching).await?;
    Ok(report::Detached {
        device: device.to_string(),
        export: identifier.export,
        still_open: !freed(&sysfs, device).await,
    })
}

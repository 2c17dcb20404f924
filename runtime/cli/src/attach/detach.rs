//! Detaching: written data is flushed, a device in use stays unless forced, and nothing
//! waits for a device that hangs.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use vcp_attach::{AttachError, Claim, DeviceName, Driver, Sysfs};
use vcp_control::report;

use super::device::Device;
use super::restore::Waiting;
use super::{Attachments, connect, orphan, told};
use crate::sandbox::{self, DropIn};
use crate::service::{Ending, tell_everybody, unit};

/// How long flushing may take before it is given up.
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// The flush limit for a device that is detached by force.
const FORCED_FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// The flush limit at the end of the host; data not flushed by then is left to the next
/// host.
const LAST_FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// How long the kernel may take to say good-bye on every connection before the
/// connections are cut, and then to release the device.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
const CUT_LIMIT: Duration = Duration::from_secs(10);

/// How long a device that nobody has open takes to become free.
const FREE_LIMIT: Duration = Duration::from_secs(2);

/// Reports the fate of a device in use whose connections the service manager keeps: it
/// waits for the next host, and if none follows by itself, its users are told.
async fn left_in_use(device: &Device, uses: &[String], ending: Ending) {
    let (name, uses) = (device.name, uses.join(", "));
    if ending != Ending::Stop {
        tracing::info!(
            export = device.export,
            "{name} is in use ({uses}) and is kept for the next host; until that is started it \
             stands still"
        );
        return;
    }
    let unit = unit().unwrap_or_else(|| "its service".into());
    let text = format!(
        "{name} is in use ({uses}) and stands still, as {unit} was stopped: `systemctl start \
         {unit}` within {} s goes on with it, and what reads or writes there fails after that",
        device.patience().as_secs()
    );
    tracing::warn!(export = device.export, "{text}");
    tell_everybody(format!("vcp: {text}\n")).await;
}

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    Orderly,
    Forced,
    Last,
}

impl Attachments {
    /// Detaches a device, by its name or its export's.
    pub(crate) async fn detach(&self, which: &str, force: bool) -> Result<report::Detached> {
        if let Some(device) = self.give_up(which, force).await? {
            return orphan::detach(device, force).await;
        }
        let device = self.find(which)?;
        let effort = match force {
            true => Effort::Forced,
            false => Effort::Orderly,
        };
        self.detach_device(&device, effort).await
    }

    /// The devices that are in use, each with its users.
    pub(crate) fn in_use(&self) -> Vec<String> {
        let devices = self.all();
        let served = devices.iter().filter(|device| !device.is_over());
        let told = served.map(|device| (device, device.uses(&self.sysfs)));
        told.filter(|(_, uses)| !uses.is_empty())
            .map(|(device, uses)| format!("{} ({})", device.name, uses.join(", ")))
            .collect()
    }

    /// At the end of the host: detaches unused devices, and leaves the rest to the
    /// kernel, which holds their requests for the next host. Where the service manager
    /// keeps the connections, `ending` says why the host ends. Data written to file
    /// systems on the remaining devices is flushed first: without a next host it would be
    /// lost. From then on no device gets new connections.
    pub(crate) async fn leave(self: &Arc<Self>, ending: Option<Ending>) {
        self.flush_mounted().await;
        let mut leaving = tokio::task::JoinSet::new();
        // The others are being detached, or were left before.
        for device in self.all().into_iter().filter(|device| !device.is_over()) {
            let all = Arc::clone(self);
            leaving.spawn(async move {
                let uses = device.uses(&all.sysfs);
                if let Some(ending) = ending.filter(|_| !uses.is_empty()) {
                    device.set_over(true);
                    left_in_use(&device, &uses, ending).await;
                } else if let Err(error) = all.detach_device(&device, Effort::Last).await {
                    device.set_over(true);
                    let left = device.patience().as_secs();
                    tracing::warn!(
                        export = device.export,
                        "{} is left to the kernel, which holds its requests for {left} s, for the \
                         next host to take it over: {error:#}",
                        device.name
                    );
                }
            });
        }
        while leaving.join_next().await.is_some() {}
    }

    /// At the end of the machine: detaches every device, whatever can't be flushed and
    /// whoever uses it. Nobody follows who would take it over, and whatever waits for it
    /// would keep the machine.
    pub(crate) async fn abandon(self: &Arc<Self>) {
        let mut leaving = tokio::task::JoinSet::new();
        for device in self.all().into_iter().filter(|device| !device.is_over()) {
            let all = Arc::clone(self);
            leaving.spawn(async move {
                if let Err(error) = all.detach_device(&device, Effort::Forced).await {
                    device.set_over(true);
                    tracing::warn!(export = device.export, "{} stays: {error:#}", device.name);
                }
            });
        }
        while leaving.join_next().await.is_some() {}
    }

    /// Whether a device that is served and in use waits for its VCP.
    pub(crate) fn any_waits(&self) -> bool {
        let devices = self.all();
        let mut served = devices.iter().filter(|device| !device.is_over());
        served.any(|device| {
            let export = self.attachable(&device.export);
            let ready = export.is_ok_and(|e| {
                matches!(e.export.device.vcp.status().state, vcp_core::State::Ready)
            });
            !ready && !device.uses(&self.sysfs).is_empty()
        })
    }

    /// Has everything written that file systems on our devices hold back, within
    /// [`LAST_FLUSH_LIMIT`]; who uses the devices is served meanwhile.
    pub(crate) async fn flush_mounted(&self) {
        let devices = self.all();
        let served = devices.iter().filter(|device| !device.is_over());
        let points: BTreeSet<_> = served.flat_map(|d| d.mount_points(&self.sysfs)).collect();
        let points: Vec<_> = points.into_iter().collect();
        if points.is_empty() {
            return;
        }
        let flush = {
            let points = points.clone();
            move || vcp_attach::flush_mounted(&points, LAST_FLUSH_LIMIT)
        };
        let failed = tokio::task::spawn_blocking(flush).await.unwrap_or_default();
        for point in &points {
            let failure = failed.iter().find(|(failed, _)| failed == point);
            match failure {
                None => tracing::info!("what was written to {} is flushed", point.display()),
                Some((_, error)) => tracing::warn!(
                    "what was written to {} may not be on the disk: flushing it: {error}",
                    point.display()
                ),
            }
        }
    }

    /// Gives up taking over a device that waits for its VCP; `None` when none of this
    /// name waits.
    async fn give_up(&self, which: &str, force: bool) -> Result<Option<DeviceName>> {
        let (done, is_done) = oneshot::channel();
        let device = {
            let mut waiting = self.waiting();
            let meant = |(number, waiting): (&u32, &Waiting)| {
                let device = DeviceName(*number);
                let is_meant = waiting.identifier.export == which
                    || connect::parse(which).is_ok_and(|name| name == device);
                is_meant.then_some(device)
            };
            let Some(device) = waiting.iter().find_map(meant) else {
                return Ok(None);
            };
            if !force {
                bail!(
                    "{device} is taken over from the host before this one as soon as its VCP is \
                     ready{}",
                    hint(Effort::Orderly)
                );
            }
            let Some(found) = waiting.remove(&device.0) else {
                return Ok(None);
            };
            // If sending fails, the task was over a moment ago.
            let _ = found.give_up.send(done);
            device
        };
        // Nothing is ever sent; this waits until the sender is dropped.
        let _ = is_done.await;
        Ok(Some(device))
    }

    fn find(&self, which: &str) -> Result<Arc<Device>> {
        let all = self.all();
        if let Some(device) = all.iter().find(|device| device.export == which) {
            return Ok(Arc::clone(device));
        }
        if self.attachable(which).is_ok() {
            bail!("export {which} is not attached");
        }
        let name: DeviceName = connect::parse(which)?;
        let device = all.into_iter().find(|device| device.name == name);
        device.ok_or_else(|| match self.sysfs.get(name) {
            Some(attached) => anyhow!("{name} is not this host's: attached {}", attached.holder()),
            None => AttachError::NotAttached(name).into(),
        })
    }

    async fn detach_device(
        &self,
        device: &Arc<Device>,
        effort: Effort,
    ) -> Result<report::Detached> {
        let name = device.name;
        let _alone = self.alone(&device.export)?;
        let uses = device.uses(&self.sysfs);
        if !uses.is_empty() && effort != Effort::Forced {
            bail!("{name} is in use: {}{}", uses.join(", "), hint(effort));
        }
        // The claim is held until the device is detached, so that nobody mounts it
        // meanwhile.
        let claim = match flush(name, effort).await {
            Ok(claim) => Some(claim),
            Err(error) if effort == Effort::Forced => {
                tracing::warn!("{name} is detached all the same: {error:#}");
                None
            }
            Err(error) => return Err(error),
        };
        device.set_over(true);
        if let Err(error) = disconnect(device).await {
            device.set_over(false);
            return Err(error);
        }
        self.devices().remove(&name.0);
        drop(claim);
        let still_open = !freed(&self.sysfs, name).await;
        tracing::info!(export = device.export, device = %name, still_open, "detached");
        Ok(report::Detached {
            device: name.to_string(),
            export: device.export.clone(),
            still_open,
        })
    }
}

/// Waits until the kernel has released the device's number.
pub(super) async fn freed(sysfs: &Sysfs, device: DeviceName) -> bool {
    let end = Instant::now() + FREE_LIMIT;
    while sysfs.get(device).is_some() {
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(5)).await;
    }
    true
}

/// Opens the device exclusively and flushes it.
async fn flush(device: DeviceName, effort: Effort) -> Result<Claim> {
    let limit = match effort {
        Effort::Orderly => FLUSH_LIMIT,
        Effort::Forced => FORCED_FLUSH_LIMIT,
        Effort::Last => LAST_FLUSH_LIMIT,
    };
    let flushing = tokio::task::spawn_blocking(move || -> io::Result<Claim> {
        let claim = Claim::take(device)?;
        claim.flushed(limit)?;
        Ok(claim)
    });
    let outcome = flushing.await.context("the thread that flushes")?;
    match outcome {
        Ok(claim) => Ok(claim),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            bail!("flushing {device}: no end after {limit:?}")
        }
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => bail!(
            "{device} is in use: somebody has it open for themselves, perhaps mounted in another \
             namespace{}",
            hint(effort)
        ),
        Err(error) => {
            let cure = sandbox::cure(DropIn::Attach).filter(|_| is_out_of_reach(&error));
            let cure = cure.map_or_else(String::new, |cure| format!("; {cure}"));
            bail!(
                "opening and flushing {device}: {error}{cure}{}",
                hint(effort)
            )
        }
    }
}

/// Whether the error means that the device's node is missing or may not be opened.
fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

fn hint(effort: Effort) -> &'static str {
    match effort {
        Effort::Orderly => "; --force detaches it all the same",
        Effort::Forced | Effort::Last => "",
    }
}

/// Makes the kernel release the device. The kernel first says good-bye on every
/// connection, and waits where nobody reads; it cannot wait for cut connections.
async fn disconnect(device: &Arc<Device>) -> Result<()> {
    let name = device.name;
    let mut task = tokio::task::spawn_blocking(move || -> Result<()> {
        match Driver::open().and_then(|mut driver| driver.disconnect(name)) {
            // Another process was faster.
            Err(AttachError::NotAttached(_)) => Ok(()),
            outcome => outcome.map_err(told),
        }
    });
    let outcome = match timeout(LEAVE_LIMIT, &mut task).await {
        Ok(outcome) => outcome,
        Err(_) => {
            device.cut();
            timeout(CUT_LIMIT, task)
                .await
                .map_err(|_| anyhow!("{name}: the kernel does not let go of it"))?
        }
    };
    outcome.context("the thread that detached it")?
}

//! `vcp run --watch`, for developers: when a module's file changes, the VCP is reloaded.
//! A version that can't be loaded or started causes one warning, and the old one goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use vcp_config::{HostConfig, Module as Named};

use crate::control::{Control, Reloading};

/// How often files are checked. A file is loaded when it was the same twice in a row, so
/// that one being written is left alone.
const EVERY: Duration = Duration::from_millis(200);

/// The properties that distinguish versions of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: SystemTime,
    length: u64,
    inode: u64,
}

impl Stamp {
    /// The stamp of a file; `None` while it does not exist: a compiler may be about to
    /// write it.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            changed: found.modified().ok()?,
            length: found.len(),
            inode: found.ino(),
        })
    }
}

/// The state of a watched file.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    /// The version that runs, or was last tried.
    known: Option<Stamp>,
    /// The version seen at the last check.
    seen: Option<Stamp>,
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        let known = Stamp::of(&path);
        Self {
            path,
            seen: known.clone(),
            known,
        }
    }

    /// Whether there is a new version, complete as far as can be told.
    fn changed(&mut self, now: Option<Stamp>) -> bool {
        let settled = now == self.seen;
        self.seen = now;
        if !settled || self.seen.is_none() || self.seen == self.known {
            return false;
        }
        self.known.clone_from(&self.seen);
        true
    }
}

/// The module files of the VCPs of a configuration, by VCP name. To be called before they
/// are loaded, so that no change is missed.
pub(crate) fn files(config: &HostConfig) -> Vec<(String, Option<Watched>)> {
    let watched = |module: &Named| match module {
        Named::File(path) => Some(Watched::new(path.clone())),
        _ => None,
    };
    let vcps = config.vcps.iter();
    vcps.map(|(name, vcp)| (name.to_string(), watched(&vcp.module)))
        .collect()
}

/// Watches the module of the VCP `name`, for ever.
pub(crate) async fn watch(control: Arc<Control>, name: String, mut watched: Option<Watched>) {
    loop {
        tokio::time::sleep(EVERY).await;
        // A reload may have changed to another file.
        let Some(Named::File(path)) = control.module(&name) else {
            watched = None;
            continue;
        };
        let watched = match &mut watched {
            Some(watched) if watched.path == path => watched,
            other => {
                *other = Some(Watched::new(path));
                continue;
            }
        };
        if watched.changed(Stamp::of(&watched.path)) {
            reload(&control, &name, &watched.path).await;
        }
    }
}

async fn reload(control: &Control, name: &str, path: &Path) {
    match control.reload(name, None).await {
        Ok(Reloading::Replaced(reloaded)) => {
            let generation = reloaded.generation;
            tracing::info!(
                vcp = name,
                generation,
                "{} changed: reloaded",
                path.display()
            );
        }
        Ok(Reloading::NotStarted(why)) => warn(name, &why),
        // The log has the reason already.
        Ok(Reloading::RolledBack(_)) => {}
        Err(refusal) => warn(name, &refusal.message),
    }
}

fn warn(name: &str, why: &str) {
    tracing::warn!(
        vcp = name,
        "not reloaded, the version before goes on: {why}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(inode: u64) -> Option<Stamp> {
        Some(Stamp {
            changed: SystemTime::UNIX_EPOCH,
            length: 1,
            inode,
        })
    }

    #[test]
    fn a_file_is_taken_once_it_is_stable() {
        let mut watched = Watched {
            path: PathBuf::new(),
            known: stamp(1),
            seen: stamp(1),
        };
        assert!(!watched.changed(stamp(1)));
        assert!(!watched.changed(stamp(2)), "it may still be written");
        assert!(!watched.changed(stamp(3)));
        assert!(watched.changed(stamp(3)));
        assert!(!watched.changed(stamp(3)), "once is enough");
        assert!(!watched.changed(None));
        assert!(!watched.changed(None), "a file that is gone is no version");
        assert!(!watched.changed(stamp(3)));
        assert!(!watched.changed(stamp(3)), "the same came back");
    }
}

//! Applying a configuration that was read again: unchanged parts are left alone, and what
//! can't be done leaves the old part as it was.

use vcp_config::{Difference, ExportName, HostConfig, Module, Name, VcpDifference};

use super::Service;
use super::outcome::Outcome;
use crate::control::Reloading;
use crate::exports::State;
use crate::watch::Stamp;

impl Service {
    /// Changes from the current configuration to `new`.
    pub(super) async fn configure(&mut self, new: HostConfig) -> Outcome {
        let mut outcome = Outcome::default();
        let difference = Difference::between(&self.configured, &new);
        let mut now = new.clone();
        self.not_now(&new, &mut outcome);
        self.keep_attached(&mut now, &mut outcome).await;
        for name in &difference.removed {
            if let Err(refusal) = self.host.control().detach_all(name.as_str()).await {
                self.stays(name, &mut now);
                outcome.left(refusal.message);
                continue;
            }
            self.host.dismiss(name.as_str());
            self.stamps.remove(name.as_str());
            outcome.done(format!("VCP {name}: stopped"));
        }
        let idle = |name: &&Name| !self.host.runs(name.as_str());
        let launched: Vec<&Name> = new.vcps.keys().filter(idle).collect();
        for name in &launched {
            self.launch(name, &new, &mut outcome).await;
        }
        for change in &difference.changed {
            // A VCP that has just been started has the new configuration.
            if !launched.contains(&&change.name) {
                self.change(change, &mut now, &mut outcome).await;
            }
        }
        self.reload_files(&difference, &new, &mut outcome).await;
        self.limit(&difference, &new, &mut outcome);
        // A VCP that was not started is tried again the next time.
        now.vcps
            .retain(|name, _| self.host.devices().contains_key(name.as_str()));
        now.exports
            .retain(|_, export| now.vcps.contains_key(&export.vcp));
        let unserved = self.host.serve(&now).await;
        for failed in &unserved {
            outcome.failed(format!("{:#}", failed.error));
        }
        let has_failed = |name| unserved.iter().any(|failed| failed.exports.contains(name));
        if difference.nbd && unserved.is_empty() {
            let line = "[host]: nbd: as configured, for clients from now on";
            outcome.done(line.to_owned());
        }
        for name in &difference.exports {
            let stays = now.exports.contains_key(name) && !new.exports.contains_key(name);
            if stays || has_failed(name) || self.stays_attached(name, &now) {
                continue;
            }
            let line = match new.exports.contains_key(name) {
                true => format!("export {name}: as configured"),
                false => format!("export {name}: gone"),
            };
            outcome.done(line);
        }
        self.configured = now;
        outcome
    }

    /// Reports changes that do not apply to a running host.
    fn not_now(&self, new: &HostConfig, outcome: &mut Outcome) {
        if new.host != self.started_with {
            let line = "[host]: is of the process, and changes with its next start";
            outcome.left(line.to_owned());
        }
        for (name, old) in &self.configured.exports {
            let Some(attach) = &old.attach else { continue };
            let now = new.exports.get(name).map(|export| &export.attach);
            let what = match now {
                Some(Some(now)) if now != attach => "changed",
                Some(None) => "gone",
                _ => continue,
            };
            outcome.left(format!(
                "export {name}: attach: {what}, and a device that is attached stays as it was: \
                 vcp detach {name}"
            ));
        }
    }

    /// Whether only the attachment of an export has changed, which has been reported.
    fn stays_attached(&self, name: &ExportName, now: &HostConfig) -> bool {
        let (old, now) = (self.configured.exports.get(name), now.exports.get(name));
        let (Some(mut old), Some(now)) = (old.cloned(), now) else {
            return false;
        };
        let was_attached = old.attach.is_some();
        old.attach.clone_from(&now.attach);
        was_attached && old == *now
    }

    /// Detaches the devices of exports that are removed or move to another VCP; an export
    /// whose device is in use stays as it was.
    async fn keep_attached(&self, now: &mut HostConfig, outcome: &mut Outcome) {
        for (name, old) in &self.configured.exports {
            if now.exports.get(name).is_some_and(|new| new.vcp == old.vcp) {
                continue;
            }
            if let Err(refusal) = self.host.control().detach_export(name.as_str()).await {
                outcome.left(refusal.message);
                now.exports.insert(name.clone(), old.clone());
            }
        }
    }

    /// Keeps a VCP that was to be removed, with its exports, as it is in use.
    fn stays(&self, name: &Name, now: &mut HostConfig) {
        let vcp = self.configured.vcps.get_key_value(name);
        now.vcps
            .extend(vcp.map(|(name, vcp)| (name.clone(), vcp.clone())));
        let exports = self.configured.exports.iter();
        let exports = exports.filter(|(_, export)| export.vcp == *name);
        now.exports
            .extend(exports.map(|(name, export)| (name.clone(), export.clone())));
    }

    /// Starts a VCP that is new, or was stopped.
    async fn launch(&mut self, name: &Name, config: &HostConfig, outcome: &mut Outcome) {
        self.stamp(name, config);
        self.host.gone(name.as_str()).await;
        self.host.dismiss(name.as_str());
        match self.host.launch(name, config).await {
            Ok(()) => {
                let device = self.host.device(name.as_str());
                let waits = device.is_some_and(|d| *d.state.borrow() == State::Waiting);
                let how = if waits {
                    ", and waits for its link"
                } else {
                    ""
                };
                outcome.done(format!("VCP {name}: started{how}"));
            }
            Err(error) => outcome.failed(format!("VCP {name}: {error:#}")),
        }
    }

    /// Notes which version of its module's file a VCP has.
    fn stamp(&mut self, name: &Name, config: &HostConfig) {
        let stamp = config.vcps.get(name).and_then(|vcp| file(&vcp.module));
        self.stamps.insert(name.to_string(), stamp);
    }

    /// Changes what can be changed of a running VCP; `now` then has what is in effect.
    async fn change(
        &mut self,
        change: &VcpDifference,
        now: &mut HostConfig,
        outcome: &mut Outcome,
    ) {
        let name = &change.name;
        let (Some(old), Some(new)) = (
            self.configured.vcps.get(name).cloned(),
            now.vcps.get(name).cloned(),
        ) else {
            return;
        };
        let mut holds = old.clone();
        holds.adopt(&new);
        if change.module {
            self.stamp(name, now);
            if !self.reload(name, &new.module, outcome).await {
                holds.module = old.module.clone();
            }
        }
        if !change.live.is_empty() {
            let words: Vec<_> = change.live.iter().map(ToString::to_string).collect();
            match self.host.control().set(name.as_str(), &words) {
                Ok(_) => outcome.done_and_said(format!("VCP {name}: {}", words.join(" "))),
                Err(refusal) => {
                    outcome.failed(refusal.message);
                    let module = holds.module.clone();
                    holds = old;
                    holds.module = module;
                }
            }
        }
        if !change.fixed.is_empty() {
            let keys = change.fixed.join(", ");
            outcome.left(format!(
                "VCP {name}: {keys}: can't be changed while it runs, and stays as it was: \
                 vcp stop {name}, then reload again"
            ));
        }
        now.vcps.insert(name.clone(), holds);
    }

    /// Reloads VCPs whose module file has changed.
    async fn reload_files(
        &mut self,
        difference: &Difference,
        new: &HostConfig,
        outcome: &mut Outcome,
    ) {
        for (name, vcp) in &new.vcps {
            let loaded = difference
                .changed
                .iter()
                .any(|c| c.name == *name && c.module);
            let stamp = file(&vcp.module);
            let same = self.stamps.get(name.as_str()) == Some(&stamp);
            if loaded || same || !self.host.runs(name.as_str()) {
                continue;
            }
            self.stamp(name, new);
            self.reload(name, &vcp.module, outcome).await;
        }
    }

    /// Reloads the VCP; returns whether it now runs this module.
    async fn reload(&self, name: &Name, module: &Module, outcome: &mut Outcome) -> bool {
        let control = self.host.control();
        let line = |why: &str| format!("VCP {name}: not reloaded: {why}");
        match control.reload(name.as_str(), Some(module.clone())).await {
            Ok(Reloading::Replaced(reloaded)) => {
                let generation = reloaded.generation;
                outcome.done_and_said(format!("VCP {name}: reloaded, generation {generation}"));
                return true;
            }
            Ok(Reloading::RolledBack(why)) => outcome.failed_and_said(line(&why)),
            Ok(Reloading::NotStarted(why)) => outcome.failed(line(&why)),
            Err(refusal) => outcome.failed(line(&refusal.message)),
        }
        false
    }

    /// Changes the limits of served exports.
    fn limit(&self, difference: &Difference, new: &HostConfig, outcome: &mut Outcome) {
        for name in &difference.exports {
            let (Some(old), Some(new)) = (self.configured.exports.get(name), new.exports.get(name))
            else {
                continue;
            };
            let changes = new.limit.changes_from(&old.limit);
            if changes.is_empty() {
                continue;
            }
            if let Err(refusal) = self.host.control().set_limit(name.as_str(), &changes) {
                outcome.failed(refusal.message);
            }
        }
    }
}

/// The version of a module's file.
fn file(module: &Module) -> Option<Stamp> {
    match module {
        Module::File(path) => Stamp::of(path),
        _ => None,
    }
}

//! The request `set`: changes budgets and limits of running VCPs.

use vcp_config::Change;
use vcp_control::{Answer, Refusal, RefusalKind};
use vcp_core::State;

use super::{Control, Controlled, done, failed};
use crate::budget;

impl Control {
    /// Makes all changes, or none of them.
    pub(crate) fn set(&self, name: &str, words: &[String]) -> Result<Answer, Refusal> {
        let bad = |why: String| Refusal::new(RefusalKind::BadRequest, why);
        let changes = Change::read(words).map_err(|error| bad(error.to_string()))?;
        let vcps = self.vcps();
        if let Some(vcp) = vcps.get(name) {
            set(name, vcp, &changes, None)?;
            return Ok(done(name, vcp));
        }
        let owner = vcps.iter().find(|(_, vcp)| vcp.limits.contains_key(name));
        let Some((owner, vcp)) = owner else {
            // This refusal lists the VCPs there are.
            return Err(match self.find(name) {
                Err(refusal) => refusal,
                Ok(_) => failed(format!("no export {name:?} here")),
            });
        };
        if let Some(other) = changes.iter().find(|change| !change.is_limit()) {
            let key = other.key();
            return Err(bad(format!(
                "{key}: {name} is an export; that is its VCP's: {owner}"
            )));
        }
        set(owner, vcp, &changes, Some(name))?;
        Ok(done(owner, vcp))
    }

    /// Changes the limit of one export.
    pub(crate) fn set_limit(&self, export: &str, changes: &[Change]) -> Result<(), Refusal> {
        let vcps = self.vcps();
        let owner = vcps.iter().find(|(_, vcp)| vcp.limits.contains_key(export));
        let (owner, vcp) = owner.ok_or_else(|| failed(format!("no export {export:?} here")))?;
        set(owner, vcp, changes, Some(export))
    }
}

/// Changes a VCP, and the limits of one of its exports or of all.
fn set(
    name: &str,
    controlled: &Controlled,
    changes: &[Change],
    only: Option<&str>,
) -> Result<(), Refusal> {
    let about = |key: &str, why: String| failed(format!("VCP {name}: {key}: {why}"));
    if controlled.device.vcp.status().state == State::Stopped {
        return Err(failed(format!("VCP {name} has stopped")));
    }
    let limit = changes.iter().find(|change| change.is_limit());
    if let Some(limit) = limit.filter(|_| controlled.limits.is_empty()) {
        return Err(about(limit.key(), "it has no export".to_owned()));
    }
    let mut config = controlled.config();
    let mut changed = config.clone();
    let entry = changed.vcps.values_mut().next();
    let entry = entry.ok_or_else(|| failed(format!("VCP {name} has no configuration")))?;
    Change::apply(changes, entry)
        .map_err(|error| Refusal::new(RefusalKind::BadRequest, format!("VCP {name}: {error}")))?;
    let memory = entry.memory.map(|size| usize::try_from(size.bytes()));
    let memory = memory.transpose();
    let memory = memory.map_err(|error| about("memory", error.to_string()))?;
    let (vcp, has) = (&controlled.device.vcp, |key: &str| {
        changes.iter().any(|c| c.key() == key)
    });
    // Changes that can be refused go first, so that a refusal leaves nothing changed.
    if changes
        .iter()
        .any(|change| change.key().starts_with("cpu."))
    {
        let refused = vcp.set_budget(budget::budget(&entry.cpu));
        refused.map_err(|error| about("cpu", error.to_string()))?;
    }
    if has("memory") {
        vcp.set_memory(memory);
    }
    if has("queue-depth") {
        vcp.set_queue_depth(entry.queue_depth as usize);
    }
    if changes.iter().any(Change::is_limit) {
        for (export, settings) in &mut changed.exports {
            if only.is_some_and(|only| only != export.as_str()) {
                continue;
            }
            Change::apply_to_limit(changes, &mut settings.limit);
            if let Some(limit) = controlled.limits.get(export.as_str()) {
                limit.set(budget::rates(&settings.limit));
            }
        }
    }
    for change in changes {
        tracing::info!(vcp = name, "set {change}");
    }
    *config = changed;
    Ok(())
}

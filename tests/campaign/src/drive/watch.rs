//! What happens to a VCP while it is watched.

use vcp_core::{Event, Fault, Vcp};

use super::device::Device;

/// What happened since it was last taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened {
    /// Kinds of faults, each once.
    pub(super) faults: Vec<String>,
    pub(super) deaths: u64,
    pub(super) rolled_back: bool,
    /// Requests waited for longer than they are let.
    pub(super) expired: bool,
    /// Whether instances that were killed between calls count.
    pub(super) strict: bool,
    /// What no guest may bring about.
    pub(super) failures: Vec<String>,
}

impl Happened {
    pub(super) fn add(&mut self, device: &mut Device) {
        while let Ok(event) = device.events.try_recv() {
            match event {
                // Asked for by the run itself.
                Event::Fault { fault, .. } if fault == Fault::Injected && !self.strict => {}
                Event::Fault { fault, .. } => {
                    self.deaths += 1;
                    let kind = fault.kind();
                    self.fault(kind);
                }
                Event::RolledBack(_) => self.rolled_back = true,
                Event::Expired { .. } | Event::Poison { .. } => self.expired = true,
                Event::Failed(why) if why.contains("channel processor panicked") => {
                    self.failures.push(why);
                }
                Event::Stopped => self.failures.push("its thread ended".to_owned()),
                Event::Ready(_)
                | Event::Suspended(_)
                | Event::LowSpace(_)
                | Event::Reloaded(_)
                | Event::Found(_)
                | Event::Failed(_) => {}
            }
        }
    }

    pub(super) fn fault(&mut self, kind: &str) {
        if !self.faults.iter().any(|known| known == kind) {
            self.faults.push(kind.to_owned());
        }
    }
}

/// Whether the VCP runs the module called that, and serves, for good.
pub(super) fn serves(vcp: &Vcp, module: &str) -> bool {
    let status = vcp.status();
    status.module == module
        && status.state == vcp_core::State::Ready
        && status.reload == vcp_core::ReloadState::None
}

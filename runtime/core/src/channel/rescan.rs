//! Rescans: the instance looks at its device again, and those who asked are told. A module
//! that has nothing to look at may not answer; the caller decides how long to wait.

use tokio::sync::oneshot;
use vcp_queue::Geometry;
use vcp_supervisor::Phase;

use super::Channel;
use crate::bindings::control;
use crate::event::{RescanError, Rescanned};

/// The most rescans that may wait at a time.
const MOST: usize = 16;

/// Where the result of a rescan is sent.
pub(super) type Waiting = oneshot::Sender<Result<Rescanned, RescanError>>;

impl Channel {
    pub(super) fn begin_rescan(&mut self, answer: Waiting) {
        // Callers that have gone away make room.
        self.rescans.retain(|waiting| !waiting.is_closed());
        let serves = self.guest.is_some()
            && self.ready_now
            && self.supervisor.phase() == Phase::Ready
            && !self.leaving();
        let refused = match (serves, self.rescans.len() < MOST) {
            (false, _) => Some(RescanError::NotServing),
            (true, false) => Some(RescanError::Busy),
            (true, true) => None,
        };
        if let Some(error) = refused {
            // The receiver may be gone; then nobody waits for this.
            let _ = answer.send(Err(error));
            return;
        }
        self.commands.push(control::Command::Rescan);
        self.rescans.push(answer);
    }

    /// Answers the rescans that wait with the geometry before and now.
    pub(super) fn rescanned(&mut self, before: Option<&Geometry>, geometry: &Geometry) {
        let before = before.unwrap_or(geometry);
        let rescanned = Rescanned {
            before: before.size,
            size: geometry.size,
            changed: before != geometry,
        };
        for waiting in self.rescans.drain(..) {
            let _ = waiting.send(Ok(rescanned));
        }
    }

    /// Refuses the rescans that wait: the instance is gone, or can't reach its device.
    pub(super) fn forget_rescans(&mut self) {
        for waiting in self.rescans.drain(..) {
            let _ = waiting.send(Err(RescanError::NotServing));
        }
    }
}

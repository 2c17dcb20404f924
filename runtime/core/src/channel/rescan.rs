//! Having the instance look at its device again, and telling whoever asked for it. A
//! module that has nothing to look at may not answer: how long that is waited for is
//! for others to say.

use tokio::sync::oneshot;
use vcp_queue::Geometry;
use vcp_supervisor::Phase;

use super::Channel;
use crate::bindings::control;
use crate::event::{RescanError, Rescanned};

/// Who may wait at a time.
const MOST: usize = 16;

/// Who waits for what the device is found to be.
pub(super) type Waiting = oneshot::Sender<Result<Rescanned, RescanError>>;

impl Channel {
    pub(super) fn begin_rescan(&mut self, answer: Waiting) {
        // Those who have gone away make room.
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
            // Nobody listening is nobody to tell.
            let _ = answer.send(Err(error));
            return;
        }
        self.commands.push(control::Command::Rescan);
        self.rescans.push(answer);
    }

    /// The device is this now, and was that before.
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

    /// Nothing comes of it: the instance is gone, or can't reach its device.
    pub(super) fn forget_rescans(&mut self) {
        for waiting in self.rescans.drain(..) {
            let _ = waiting.send(Err(RescanError::NotServing));
        }
    }
}

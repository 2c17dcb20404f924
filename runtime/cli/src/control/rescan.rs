//! The request `rescan`: a VCP examines its device again.

use std::time::Duration;

use vcp_control::{Answer, Refusal, report};
use vcp_core::{RescanError, State, Status};

use super::{Control, failed};

/// How long a rescan may take. A device asks its peer in much less, and one that takes
/// longer reports that its peer can't be reached.
const PATIENCE: Duration = Duration::from_secs(10);

impl Control {
    pub(super) async fn rescan(&self, name: &str) -> Result<Answer, Refusal> {
        let found = self.find(name)?;
        let vcp = &found.device.vcp;
        let outcome = tokio::time::timeout(PATIENCE, vcp.rescan()).await;
        let why = match outcome {
            Ok(Ok(Ok(rescanned))) => {
                return Ok(Answer::new(&report::Rescan {
                    vcp: name.to_owned(),
                    size_before: rescanned.before,
                    size: rescanned.size,
                    changed: rescanned.changed,
                }));
            }
            Ok(Ok(Err(error @ RescanError::Busy))) => error.to_string(),
            Ok(Ok(Err(RescanError::NotServing)) | Err(_)) => state(&vcp.status()),
            Err(_) if vcp.status().state == State::Ready => format!(
                "no answer within {} s: module {} may have nothing to look at",
                PATIENCE.as_secs(),
                vcp.status().module
            ),
            Err(_) => state(&vcp.status()),
        };
        Err(failed(format!("VCP {name}: not rescanned: {why}")))
    }
}

/// Describes the VCP's state when it does not serve.
fn state(status: &Status) -> String {
    match &status.state {
        State::Suspended(why) | State::Held(why) => {
            format!("it is {}: {why}", status.state.word())
        }
        // The instance has come back meanwhile.
        State::Ready => "its instance was replaced, or lost its device for a moment".to_owned(),
        state => format!("it is {}", state.word()),
    }
}

//! `restart`, `stop` and `inject`. What was not done is a refusal that says why.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use vcp_control::{Answer, Refusal, RefusalKind};
use vcp_core::{Injection, State};

use super::{Control, Controlled, done, failed};

/// How long a restart or a stop is waited for before its state is told as it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a VCP that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(2);

impl Control {
    /// Done when there is a fresh instance, unless that can't serve without a change, or no
    /// instance stays.
    pub(super) async fn restart(&self, vcp: &str) -> Result<Answer, Refusal> {
        let found = self.find(vcp)?;
        stopped(vcp, &found)?;
        let outcome = answer(vcp, found.device.vcp.restart()).await?;
        let started = outcome.map_err(|why| failed(format!("VCP {vcp}: not restarted: {why}")))?;
        wait(&found, |generation, state| {
            generation >= started && !matches!(state, State::Starting | State::Restarting)
        })
        .await;
        let status = found.device.vcp.status();
        match status.state {
            state @ (State::Starting | State::Restarting) => {
                let fault = status.last_fault.filter(|_| state == State::Restarting);
                let why = fault.map_or_else(String::new, |fault| format!(": {fault}"));
                Err(failed(format!(
                    "VCP {vcp} was restarted and does not serve after {PATIENCE:?}: it is {}{why}",
                    state.word()
                )))
            }
            State::Held(why) => Err(failed(format!(
                "VCP {vcp} was restarted and is held: {why}"
            ))),
            State::Stopping | State::Stopped => Err(failed(format!("VCP {vcp} has stopped"))),
            _ => Ok(done(vcp, &found)),
        }
    }

    pub(super) async fn stop(&self, vcp: &str, found: &Controlled) -> Result<Answer, Refusal> {
        found.device.vcp.stop();
        wait(found, |_, state| *state == State::Stopped).await;
        let state = found.device.vcp.status().state;
        if state != State::Stopped {
            return Err(failed(format!(
                "VCP {vcp} has not stopped within {PATIENCE:?}: it is {}",
                state.word()
            )));
        }
        Ok(done(vcp, found))
    }

    pub(super) async fn inject(&self, vcp: &str, fault: &str) -> Result<Answer, Refusal> {
        let found = self.find(vcp)?;
        let fault: Injection = fault.parse().map_err(|error: vcp_core::UnknownInjection| {
            Refusal::new(RefusalKind::BadRequest, error.to_string())
        })?;
        stopped(vcp, &found)?;
        tracing::info!(vcp, %fault, "injecting");
        let state = found.device.vcp.status().state;
        let outcome = answer(vcp, found.device.vcp.inject(fault)).await?;
        let generation =
            outcome.map_err(|why| failed(format!("VCP {vcp} is {}: {why}", state.word())))?;
        let report = vcp_control::report::Done {
            vcp: vcp.to_owned(),
            generation,
            state: state.word().to_owned(),
        };
        Ok(Answer::new(&report))
    }
}

/// One that has ended answers nothing.
fn stopped(vcp: &str, found: &Controlled) -> Result<(), Refusal> {
    match found.device.vcp.status().state {
        State::Stopped => Err(failed(format!("VCP {vcp} has stopped"))),
        _ => Ok(()),
    }
}

/// What a VCP answers, within limits.
async fn answer<T>(vcp: &str, answer: oneshot::Receiver<T>) -> Result<T, Refusal> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(failed(format!("VCP {vcp} has stopped"))),
        Err(_) => Err(failed(format!(
            "VCP {vcp} does not answer within {PATIENCE:?}; it may still do it"
        ))),
    }
}

/// Waits until a VCP is as it should be, within limits.
async fn wait(vcp: &Controlled, there: impl Fn(u32, &State) -> bool) {
    let looking = async {
        loop {
            let status = vcp.device.vcp.status();
            if there(status.generation, &status.state) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = timeout(PATIENCE, looking).await;
}

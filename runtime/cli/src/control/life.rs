//! The requests `restart`, `stop` and `inject`. A failure is a refusal with the reason.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use vcp_control::{Answer, Refusal, RefusalKind};
use vcp_core::{InjectError, Injection, State, Stats, Vcp};

use super::{Control, Controlled, done, failed};

/// How long to wait for a restart or stop before the current state is reported.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait for a call that is to be cut.
const CALL: Duration = Duration::from_secs(5);

/// How often to check a VCP that is waited for.
const LOOK: Duration = Duration::from_millis(2);

impl Control {
    /// Starts a fresh instance; done when there is one, unless it can't serve without a
    /// change, or no instance stays.
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
        let device = &found.device.vcp;
        let (state, before) = (device.status().state, device.stats());
        let outcome = answer(vcp, device.inject(fault)).await?;
        let generation = outcome.map_err(|why| {
            failed(format!(
                "VCP {vcp} {}",
                not_injected(why, &device.status().state)
            ))
        })?;
        if let Injection::Cut(fuel) = fault {
            cut(device, fuel, &before)
                .await
                .map_err(|why| failed(format!("VCP {vcp}: nothing was cut: {why}")))?;
        }
        let report = vcp_control::report::Done {
            vcp: vcp.to_owned(),
            generation,
            state: state.word().to_owned(),
        };
        Ok(Answer::new(&report))
    }
}

/// Why nothing was injected into a VCP that is in this state now.
fn not_injected(why: InjectError, state: &State) -> String {
    match (why, state) {
        // The next instance has come meanwhile.
        (InjectError::NoInstance, State::Ready) => {
            "was between two instances: there is no instance to fail; it is ready by now".to_owned()
        }
        (InjectError::NoInstance, state) => format!("is {}: {why}", state.word()),
        (why, _) => format!("was left alone: {why}"),
    }
}

/// Waits for the end of a call that has `fuel`, of a VCP whose statistics were `before`.
/// The error says why there was none.
async fn cut(vcp: &Vcp, fuel: u64, before: &Stats) -> Result<(), String> {
    let armed = vcp.stats().calls;
    let has_died = || vcp.stats().faults > before.faults;
    let over = async {
        // A call is counted when the instance has survived it.
        while !has_died() && vcp.stats().calls == armed {
            tokio::time::sleep(LOOK).await;
        }
    };
    if timeout(CALL, over).await.is_err() {
        // A later call must not be cut when nobody waits for it any more.
        let _ = timeout(PATIENCE, vcp.inject(Injection::Cut(u64::MAX))).await;
    }
    if has_died() {
        return Ok(());
    }
    Err(match vcp.stats().calls == before.calls {
        true => format!("it made no call within {CALL:?}"),
        false => format!("its next call was over before {fuel} units of fuel"),
    })
}

/// Refuses if the VCP has stopped, as then it answers nothing.
fn stopped(vcp: &str, found: &Controlled) -> Result<(), Refusal> {
    match found.device.vcp.status().state {
        State::Stopped => Err(failed(format!("VCP {vcp} has stopped"))),
        _ => Ok(()),
    }
}

/// Waits for a VCP's answer, within limits.
async fn answer<T>(vcp: &str, answer: oneshot::Receiver<T>) -> Result<T, Refusal> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(failed(format!("VCP {vcp} has stopped"))),
        Err(_) => Err(failed(format!(
            "VCP {vcp} does not answer within {PATIENCE:?}; it may still do it"
        ))),
    }
}

/// Waits until a VCP is in the wanted state, within limits.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_nothing_was_injected_does_not_contradict_the_state() {
        let said = |state| not_injected(InjectError::NoInstance, &state);
        assert_eq!(
            said(State::Restarting),
            "is restarting: there is no instance to fail"
        );
        assert_eq!(
            said(State::Ready),
            "was between two instances: there is no instance to fail; it is ready by now"
        );
        assert_eq!(
            not_injected(InjectError::Native, &State::Ready),
            "was left alone: it is compiled into the host and can't be made to fail"
        );
    }
}

//! Follows a VCP's events, for the log and for those who wait for its device. Each event
//! is told once.

mod outage;

use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use vcp_core::{Event, Next, Vcp};
use vcp_queue::Operation;

use crate::exports::State;
use crate::logging::Shown;
use outage::Outage;

/// How long to wait before a VCP that could not start is started again, at first and at
/// most.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);

/// The treatment of a VCP that fails before it has ever served.
#[derive(Debug)]
pub(crate) enum Unstarted {
    /// Those who wait for it end, with the reason.
    Ends,
    /// It stays as it is.
    Stays,
    /// It is started again, as often as it takes.
    TriedAgain(Weak<Vcp>),
}

/// Keeps a device's state up to date, and logs its events.
pub(crate) async fn follow(
    name: String,
    mut events: mpsc::UnboundedReceiver<Event>,
    state: watch::Sender<State>,
    unstarted: Unstarted,
) {
    let mut has_served = false;
    let mut delay = FIRST;
    let mut outage = Outage::default();
    let mut why_not = None;
    while let Some(event) = events.recv().await {
        match event {
            Event::Ready(geometry) => {
                match outage.end(Instant::now()) {
                    Some(lasted) if has_served => outage::over(&name, lasted),
                    // This happens after each reload, which is logged itself.
                    _ if *state.borrow() == State::Ready(geometry.clone()) => {}
                    _ => tracing::info!(vcp = name, size = geometry.size, "ready"),
                }
                has_served = true;
                state.send_replace(State::Ready(geometry));
            }
            Event::Suspended(why) => {
                let news = outage.reason(Instant::now(), &why);
                // If it could not be started for this reason, it may wait for the same
                // reason next time.
                if news && (has_served || why_not.as_ref() != Some(&why)) {
                    outage::waits(&name, &why);
                }
            }
            Event::LowSpace(what) => {
                tracing::warn!(vcp = name, "its space runs out: {}", Shown(&what));
            }
            Event::Fault {
                fault,
                generation,
                next,
            } => {
                if has_served && next != Next::Stop {
                    outage.begin(Instant::now());
                }
                match then(next).filter(|_| has_served) {
                    // The next message tells of it.
                    None => tracing::debug!(vcp = name, generation, ?fault, "fault"),
                    Some(then) => {
                        let fault = fault.to_string();
                        tracing::warn!(vcp = name, generation, "{}{then}", Shown(&fault));
                    }
                }
            }
            Event::Expired {
                failed,
                refusing,
                why,
            } => tracing::error!(
                vcp = name,
                "{}",
                expired(failed, refusing, &Shown(&why).to_string())
            ),
            Event::Poison {
                operation,
                offset,
                length,
                client,
                fault,
            } => {
                let request = poison(operation, offset, length, &client);
                tracing::error!(
                    vcp = name,
                    "{request} kills every instance ({fault}): it failed"
                );
            }
            Event::Reloaded(reloaded) => {
                let (generation, pause) = (reloaded.generation, reloaded.pause);
                tracing::info!(vcp = name, generation, ?pause, "reloaded");
            }
            Event::RolledBack(why) => tracing::warn!(vcp = name, "rolled back: {}", Shown(&why)),
            Event::Failed(why) => {
                let first = !has_served && !state.borrow().is_known();
                match &unstarted {
                    Unstarted::TriedAgain(vcp) if !has_served => {
                        if why_not.as_ref() != Some(&why) {
                            tracing::error!(
                                vcp = name,
                                "can't start: {}; it is tried again, at least once a minute",
                                Shown(&why)
                            );
                        }
                        tokio::spawn(try_again(vcp.clone(), state.subscribe(), delay));
                        delay = (delay * 2).min(MOST);
                    }
                    Unstarted::Ends if first => {}
                    _ if first => tracing::error!(vcp = name, "can't start: {}", Shown(&why)),
                    _ => {
                        outage.begin(Instant::now());
                        tracing::error!(vcp = name, "failed: {}", Shown(&why));
                    }
                }
                why_not = Some(why.clone());
                state.send_replace(State::Failed(why));
            }
            Event::Found(what) => tracing::info!(vcp = name, "{}", Shown(&what)),
            Event::Stopped => {
                state.send_replace(State::Stopped);
                break;
            }
        }
    }
}

/// What happens after a fault, unless another message tells of that along with the fault.
fn then(next: Next) -> Option<String> {
    match next {
        Next::Restart(Duration::ZERO) => Some("; starting anew".to_owned()),
        Next::Restart(delay) => Some(format!("; starting anew in {delay:.0?}")),
        Next::Stop => Some(String::new()),
        Next::RollBack | Next::Hold => None,
    }
}

/// A message about requests that waited for too long.
fn expired(failed: usize, refusing: bool, why: &str) -> String {
    let requests = match failed {
        1 => "1 request".to_owned(),
        _ => format!("{failed} requests"),
    };
    let then = if refusing {
        "requests fail until it is ready"
    } else {
        "the others go on"
    };
    format!("waited too long: {requests} failed ({why}); {then}")
}

/// A message about a request that ends every instance.
fn poison(operation: Operation, offset: u64, length: u32, client: &str) -> String {
    let operation = match operation {
        Operation::Read => "read",
        Operation::Write => "write",
        Operation::Flush => return format!("a flush of client {client}"),
        Operation::Discard => "discard",
        Operation::WriteZeroes => "write-zeroes",
        Operation::Extents => "block status",
    };
    format!("a {operation} of {length} bytes at {offset} of client {client}")
}

/// Starts a VCP again after a while, unless somebody else has, or it was stopped.
async fn try_again(vcp: Weak<Vcp>, state: watch::Receiver<State>, delay: Duration) {
    tokio::time::sleep(delay).await;
    let failed = matches!(*state.borrow(), State::Failed(_));
    if let Some(vcp) = vcp.upgrade().filter(|_| failed) {
        vcp.restart();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_kills_is_told_by_what_it_asks() {
        let write = poison(Operation::Write, 4096, 512, "disk0 unix:7");
        assert_eq!(write, "a write of 512 bytes at 4096 of client disk0 unix:7");
        let flush = poison(Operation::Flush, 0, 0, "disk0 unix:7");
        assert_eq!(flush, "a flush of client disk0 unix:7");
    }

    #[test]
    fn what_waited_too_long_is_told_in_one_line() {
        let alone = "waited too long: 1 request failed (connection reset); the others go on";
        assert_eq!(expired(1, false, "connection reset"), alone);
        let all = "waited too long: 7 requests failed (no answer to a NOP-Out); \
                   requests fail until it is ready";
        assert_eq!(expired(7, true, "no answer to a NOP-Out"), all);
    }
}

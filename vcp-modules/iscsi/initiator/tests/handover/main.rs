//! A session that is handed from one initiator to the next while its connection
//! stays: the target notices nothing.

#[path = "../pair/mod.rs"]
mod pair;

mod moments;
mod snapshots;

use pair::*;
use serde_json::Value;
use vcp_iscsi_initiator::{Action, Config, Initiator, Snapshot};

/// A snapshot after serialization and deserialization.
fn travelled(snapshot: &Snapshot) -> Snapshot {
    let text = serde_json::to_string(snapshot).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Replaces the initiator by its next version.
fn hand_over(pair: &mut Pair, config: Config) {
    let snapshot = pair.initiator.snapshot(pair.now).expect("at rest");
    let geometry = pair.geometry();
    replace(pair, config, travelled(&snapshot));
    assert_eq!(
        pair.initiator.poll_action(),
        Some(Action::Ready(geometry.clone()))
    );
    assert_eq!(pair.initiator.poll_action(), None);
    pair.actions.push(Action::Ready(geometry));
}

fn replace(pair: &mut Pair, config: Config, snapshot: Snapshot) {
    pair.initiator = Initiator::resume(config, [9; 32], pair.now, snapshot).unwrap();
}

/// A snapshot with some of its values changed.
fn forged(snapshot: &Snapshot, change: impl FnOnce(&mut Value)) -> Result<Snapshot, String> {
    let mut value = serde_json::to_value(snapshot).unwrap();
    change(&mut value);
    serde_json::from_value(value).map_err(|e| e.to_string())
}

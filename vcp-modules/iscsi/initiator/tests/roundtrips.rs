//! The number of round trips before requests are served, which clients notice in a
//! recovery.

mod pair;

use pair::*;
use vcp_iscsi_initiator::Action;
use vcp_iscsi_proto::scsi::{Asc, SenseKey};

fn pair(settings: Settings, disk: Disk) -> Pair {
    Pair::new(config(&[]).with_predecessor(true), settings, disk)
}

fn disk() -> Disk {
    Disk::new(512, 1 << 20)
}

/// Counts from `connected` to `Ready`: all PDUs of the initiator are delivered, then all
/// answers of the target, and so on.
fn round_trips(pair: &mut Pair) -> u32 {
    assert!(matches!(
        pair.initiator.poll_action(),
        Some(Action::Connect { .. })
    ));
    pair.peer.accept();
    pair.initiator.connected(pair.now);
    let mut buffer = vec![0; 1 << 16];
    for trips in 1..100 {
        let count = pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
        assert!(count > 0, "nothing to say");
        pair.peer.receive(&buffer[..count]);
        let bytes: Vec<u8> = pair.peer.out.drain(..).collect();
        pair.initiator.receive(pair.now, &bytes, &mut pair.memory);
        while let Some(action) = pair.initiator.poll_action() {
            match action {
                Action::Ready(_) => return trips,
                Action::Log { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("never ready");
}

/// One is for the security stage, in which targets end the dead session; one for the
/// operational stage; one for all questions to the unit.
#[test]
fn each_stage_and_the_survey_take_one() {
    assert_eq!(round_trips(&mut pair(Settings::default(), disk())), 3);
}

#[test]
fn attention_after_a_reset_costs_nothing() {
    let mut unit = disk();
    unit.attention = vec![(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET)];
    assert_eq!(round_trips(&mut pair(Settings::default(), unit)), 3);
    // Each of the others makes one command be sent again, all at the same time.
    let mut unit = disk();
    unit.attention = vec![(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET); 3];
    assert_eq!(round_trips(&mut pair(Settings::default(), unit)), 4);
}

#[test]
fn only_what_is_not_answered_is_asked_in_another_way() {
    let mut old = disk();
    // It has neither READ CAPACITY (16) nor MODE SENSE (6).
    old.unknown = vec![0x9e, 0x1a];
    assert_eq!(round_trips(&mut pair(Settings::default(), old)), 4);
}

#[test]
fn narrow_window_is_kept_to() {
    let settings = Settings {
        window: 1,
        ..Settings::default()
    };
    assert_eq!(round_trips(&mut pair(settings, disk())), 12);
    let settings = Settings {
        window: 4,
        ..Settings::default()
    };
    assert_eq!(round_trips(&mut pair(settings, disk())), 5);
}

//! An instance that is made and not called: it says nothing, and no time passes for it.

use alloc::string::ToString;
use alloc::vec::Vec;

use vcp_sdk::Processor;
use vcp_sdk::block::Notice;

use super::lab::{Lab, instance, nothing};
use super::network::Way;

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_spare_of_an_hour_serves_as_if_new() {
    for way in [Way::frames(false), Way::streams()] {
        let mut lab = Lab::new(way, &[]);
        lab.now += 3600 * SECOND;
        lab.until(|lab| !lab.notices.is_empty());
        assert!(matches!(lab.notices[..], [Notice::Ready(_)]));
        assert!(lab.now < 3602 * SECOND);
        lab.notices.clear();
        lab.busy();
        lab.drain();
        lab.assert_one_session();
    }
}

#[test]
fn the_configuration_is_refused_when_it_is_made() {
    let lab = Lab::new(Way::streams(), &[]);
    let mut config = lab.config.clone();
    config.push(("colour".to_string(), "red".to_string()));
    let why = instance(1, &config, &lab.way).err().unwrap();
    assert_eq!(why, "config.colour: unknown key");
    config.push(("discover".to_string(), "perhaps".to_string()));
    assert!(instance(1, &config, &lab.way).is_err());
}

/// The notices of an instance in ten minutes without any answer.
fn alone(generation: u32) -> Vec<Notice> {
    let lab = Lab::new(Way::frames(false), &[]);
    let mut vcp = instance(generation, &lab.config, &lab.way).unwrap();
    let calls = (1..600).map(|second| vcp.process(&nothing(second * SECOND)));
    calls.flat_map(|effects| effects.notices).collect()
}

#[test]
fn the_first_of_its_kind_gives_up_and_a_successor_does_not() {
    assert!(matches!(alone(1)[..], [Notice::Failed(_)]));
    let notices = alone(2);
    let suspended = |notice: &Notice| matches!(notice, Notice::Suspended(_));
    assert!(
        !notices.is_empty() && notices.iter().all(suspended),
        "{notices:?}"
    );
}

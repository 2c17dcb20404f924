//! Numbers that wrap, checked by the target: CmdSN, which the seed determines, and
//! StatSN.

use vcp_target::config::TargetConfig;

use super::lab::{Lab, seeded, target};
use super::network::Way;

/// With this seed the first CmdSN is 36 before the last number; the initiator's
/// `command_numbers_wrap_end_to_end` checks that.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&134_244_533_u64.to_be_bytes());
    seed
}

#[test]
fn numbers_wrap_at_the_target() {
    for (way, window) in [
        (Way::frames(false), 128),
        (Way::frames(true), 3),
        (Way::streams(), 128),
    ] {
        let near = |config: &mut TargetConfig| {
            config.policy.initial_stat_sn = u32::MAX - 60;
            config.policy.command_window = window;
        };
        let mut lab = Lab::at(target(near), way, &[]);
        lab.vcp = seeded(seed(), 1, &lab.config, &lab.way).unwrap();
        let mut lab = lab.served();
        for _ in 0..50 {
            lab.busy();
        }
        lab.hand_over();
        for _ in 0..50 {
            lab.busy();
        }
        lab.drain();
        lab.assert_one_session();
        assert!(lab.load.done > 100, "{}", lab.load.done);
    }
}

//! The fate of delayed writes when another session takes the place of theirs (RFC 7143
//! §6.3.5).

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::{Isid, TargetPdu};
use vcp_target::config::TargetConfig;
use vcp_target::lun::{Faults, LogicalUnit};
use vcp_target::{End, Target};

use crate::client::{Client, Direct, target_of, unit};
use crate::fixture::contents;

const DELAY: Duration = Duration::from_secs(1);
const OLD: [u8; 512] = [0xa1; 512];
const NEW: [u8; 512] = [0xb2; 512];

/// A target that delays writes, with a session that has written [`OLD`] to block 0 and
/// has no response yet.
fn delayed(change: impl FnOnce(&mut TargetConfig)) -> (Arc<LogicalUnit>, Arc<Target>, Dead) {
    let unit = unit(1 << 20);
    let target = target_of(&unit, change);
    hold_back(&unit, DELAY);
    let mut client = Client::ready(&target, &[("ImmediateData", "Yes")]);
    write(&mut client, &OLD);
    assert_eq!(client.next(), None);
    assert_eq!(contents(&unit, 0, 512), [0; 512]);
    (unit, target, Dead(client))
}

fn hold_back(unit: &LogicalUnit, landing_delay: Duration) {
    unit.set_faults(Faults {
        landing_delay,
        ..Faults::default()
    });
}

fn write(client: &mut Client<Direct>, data: &[u8; 512]) {
    let mut command = client.write(0, 1);
    command.data_len = 512;
    client.send(command, data);
}

/// A client whose initiator has died, unnoticed by TCP.
struct Dead(Client<Direct>);

impl Dead {
    fn connection(&mut self) -> &mut Direct {
        &mut self.0.transport
    }
}

/// Logs in, writes [`NEW`] and gets the response.
fn succeed(target: &Arc<Target>, unit: &LogicalUnit, isid: Isid) -> Client<Direct> {
    hold_back(unit, Duration::ZERO);
    let mut client = Client::direct(target);
    client.isid = isid;
    client.login(&[("ImmediateData", "Yes")]);
    write(&mut client, &NEW);
    assert!(matches!(
        client.next(),
        Some((TargetPdu::ScsiResponse(_), _))
    ));
    assert_eq!(contents(unit, 0, 512), NEW);
    client
}

#[test]
fn held_back_writes_land_in_time() {
    let (unit, _target, mut dead) = delayed(|_| {});
    dead.connection().advance(DELAY / 2);
    assert_eq!(contents(&unit, 0, 512), [0; 512]);
    dead.connection().advance(DELAY);
    assert_eq!(contents(&unit, 0, 512), OLD);
    let answer = dead.0.next();
    assert!(matches!(answer, Some((TargetPdu::ScsiResponse(_), _))));
}

#[test]
fn a_reinstated_session_s_writes_never_land() {
    let (unit, target, mut dead) = delayed(|_| {});
    let isid = dead.0.isid;
    let _successor = succeed(&target, &unit, isid);
    dead.connection().advance(2 * DELAY);
    assert_eq!(contents(&unit, 0, 512), NEW);
    assert_eq!(dead.0.end(), Some(&End::Reinstated));
}

/// PDUs that were on their way to the target when the session was reinstated are ignored
/// too.
#[test]
fn a_reinstated_session_is_not_listened_to() {
    let (unit, target, mut dead) = delayed(|_| {});
    let isid = dead.0.isid;
    let _successor = succeed(&target, &unit, isid);
    write(&mut dead.0, &OLD);
    assert_eq!(contents(&unit, 0, 512), NEW);
    assert_eq!(dead.0.end(), Some(&End::Reinstated));
}

/// The control experiment: a session beside the old one does not fence it, nor does a
/// target without reinstatement.
#[test]
fn without_reinstatement_old_writes_land_over_new_ones() {
    let (unit, target, mut dead) = delayed(|_| {});
    let _other = succeed(&target, &unit, Isid::random(9, 9));
    dead.connection().advance(2 * DELAY);
    assert_eq!(contents(&unit, 0, 512), OLD);

    let (unit, target, mut dead) = delayed(|config| config.policy.reinstate = false);
    let isid = dead.0.isid;
    let _successor = succeed(&target, &unit, isid);
    dead.connection().advance(2 * DELAY);
    assert_eq!(contents(&unit, 0, 512), OLD);
}

/// This holds whatever the old connection's thread is doing at that moment.
#[test]
fn a_unit_takes_no_late_write_of_a_lost_nexus() {
    let unit = unit(1 << 20);
    unit.attach(1);
    assert_eq!(unit.land(1, 0, &OLD), Ok(true));
    unit.detach(1);
    assert_eq!(unit.land(1, 0, &NEW), Ok(false));
    assert_eq!(contents(&unit, 0, 512), OLD);
}

//! Handing a session over to the next version of the initiator, when nothing is under
//! way, and taking it over from the former one.

use alloc::boxed::Box;
use alloc::string::String;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::chap::Algorithm;

use super::{Initiator, MS, Phase};
use crate::action::Action;
use crate::config::Config;
use crate::connection::Connection;
use crate::snapshot::{Snapshot, fingerprint};
use crate::timer::Timer;

impl Initiator {
    /// The session, for the next version to resume; this version must not use it any more
    /// then. The connection has to be handed over with it, to the byte.
    ///
    /// # Errors
    /// The reason, in one line, why there is nothing to hand over just now. With no
    /// request outstanding that changes within an answer of the target's, as long as
    /// there is a connection.
    pub fn snapshot(&self, _now: u64) -> Result<Snapshot, &'static str> {
        let (Phase::Ready, Some(connection), Some(device)) =
            (&self.phase, &self.connection, &self.device)
        else {
            return Err("there is no session");
        };
        let busy = [
            (!self.actions.is_empty(), "actions are still to be taken"),
            (self.leave.is_some(), "the session is being left"),
            (!self.tasks.is_empty(), "commands are under way"),
            (self.abort.is_some(), "an abort is under way"),
            (self.text.is_some(), "a negotiation is under way"),
            (self.ping.is_some(), "a ping is under way"),
            (!connection.is_at_rest(), "a PDU is under way"),
        ];
        if let Some((_, why)) = busy.into_iter().find(|(is_so, _)| *is_so) {
            return Err(why);
        }
        let chap = self.config.chap.as_ref();
        Ok(Snapshot {
            fingerprint: fingerprint(&self.config),
            portal: self.portal,
            address: self.address,
            portal_group: self.portal_group,
            params: connection.params.clone(),
            numbers: connection.numbers.state(),
            tags: self.tasks.tags(),
            lun: self.lun.0,
            device: device.clone(),
            unsettled: self.timers.is_set(Timer::Survey),
            spent: self.spent,
            lost_write: self.lost_write,
            forms: self.config.names.forms(),
            without_sha256: chap.is_some_and(|c| !c.algorithms.contains(&Algorithm::Sha256)),
        })
    }

    /// Resumes a session that another initiator has handed over. Its connection is open;
    /// the first action is `Ready`. `seed` is as in [`new`](Self::new), and must be
    /// fresh.
    ///
    /// # Errors
    /// The reason, in one line, why the session can't be taken over: it was made with
    /// another configuration, or the snapshot is invalid. A new login is always possible.
    pub fn resume(
        mut config: Config,
        seed: [u8; 32],
        now: u64,
        snapshot: Snapshot,
    ) -> Result<Self, String> {
        let numbers = snapshot.check(&config)?;
        if snapshot.without_sha256 {
            config.give_up_sha256();
        }
        if !config.names.settle(snapshot.forms) {
            return Err("a snapshot with names in a form that they don't have".into());
        }
        let mut initiator = Self::idle(config, seed, now);
        let max_data = initiator.max_recv();
        let depth = usize::from(initiator.config.queue_depth);
        let mut connection = Connection::new(0, max_data, depth);
        connection.numbers = numbers;
        connection.heard = true;
        // It is not known which statuses were acknowledged before.
        connection.unconfirmed = Some(now);
        initiator.time2wait = u64::from(snapshot.params.time2wait) * 1000 * MS;
        connection.configure(snapshot.params, max_data);
        initiator.connection = Some(Box::new(connection));
        initiator.portal = snapshot.portal;
        initiator.address = snapshot.address;
        initiator.portal_group = snapshot.portal_group;
        initiator.tasks.set_tags(snapshot.tags);
        initiator.spent = snapshot.spent;
        initiator.lost_write = snapshot.lost_write;
        let mut device = snapshot.device;
        device.limit_transfer(&initiator.config);
        let geometry = device.geometry(&initiator.config);
        initiator.device = Some(device);
        initiator.lun = Lun(snapshot.lun);
        initiator.phase = Phase::Ready;
        initiator.ready_at = Some(now);
        let idle = now.saturating_add(initiator.config.timing.nop_interval);
        initiator.timers.set(Timer::Idle, idle);
        initiator.watch_capacity(now);
        if snapshot.unsettled {
            initiator.timers.set(Timer::Survey, now);
        }
        initiator.actions.push_back(Action::Ready(geometry));
        Ok(initiator)
    }
}

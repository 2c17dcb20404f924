//! The clients as an operator sees them.

use std::time::Duration;

use vcp_queue::{Awaits, ClientError, ClientId, Table};

use super::super::poller::Poller;
use super::{Clients, Stop};
use crate::clock::now;

/// One client of a VCP's block queue, and what it had so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatus {
    /// Its number; never used for another client of this VCP.
    pub id: u64,
    /// Its name, such as its peer's address.
    pub name: String,
    /// The export that it came for; empty where it came without one.
    pub export: String,
    /// How long it has been attached.
    pub since: Duration,
    /// Requests so far.
    pub requests: u64,
    /// Those of them that are not answered.
    pub unanswered: u64,
    /// Bytes that it asked to read.
    pub read_bytes: u64,
    /// Bytes that it asked to write.
    pub written_bytes: u64,
    /// Bytes of memory that are held for it.
    pub held: u64,
    /// What keeps it from going on, in a few words; empty: nothing does.
    pub waits: &'static str,
}

impl Clients {
    /// Lists all clients.
    pub(in super::super) fn list(&self) -> Vec<ClientStatus> {
        let time = now();
        let all = self.slots.iter().map(|(id, slot)| {
            let account = &slot.account;
            let export = account.export.as_ref();
            let awaits = account.awaits.map(|(awaits, ..)| awaits);
            ClientStatus {
                id: id.0,
                name: slot.client.name().to_owned(),
                export: export.map_or_else(String::new, |export| export.name().to_owned()),
                since: Duration::from_nanos(time.saturating_sub(account.since)),
                requests: account.requests,
                unanswered: account.unanswered,
                read_bytes: account.read,
                written_bytes: account.written,
                held: slot.client.held() as u64,
                waits: match (slot.stop, awaits) {
                    (Some(Stop::Limit { .. }), _) => "for its limit",
                    (Some(Stop::Turn | Stop::Room), _) => "for its turn",
                    (Some(Stop::Memory { .. }), _) => "for memory",
                    (_, Some(Awaits::Reader)) => "for its peer to take answers",
                    (_, Some(Awaits::Rest)) => "for the rest of a request",
                    (Some(Stop::Own), None) => "for answers",
                    (None, None) => "",
                },
            }
        });
        all.collect()
    }

    /// Ends a client's connection, and says whether there was such a client.
    pub(in super::super) fn end(&mut self, id: u64, table: &mut Table, poller: &Poller) -> bool {
        let id = ClientId(id);
        let found = self.slots.contains_key(&id);
        let asked = ClientError::Ended("an operator asked for it".to_owned());
        self.remove(id, &asked, table, poller);
        found
    }
}

//! The clients of the block queue whose sockets this thread polls.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the clients, and what is read from and sent to each |
//! | `turns` | who is read from when not all can be served at once |
//! | `queue` | one client's view of the table while it is read from |
//! | `account` | what one client has had and holds |
//! | `stall` | those whose peers keep them waiting |
//! | `list` | them all, for an operator |

mod account;
mod list;
mod queue;
mod stall;
mod turns;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use vcp_queue::{
    Answer, Client, ClientError, ClientId, ClientRequest, Finished, Flushed, Geometry, Parked,
    Table,
};

use super::poller::{Interest, Poller};
use crate::clock::now;
use crate::limit::{Attached, Limit};
use crate::pool::Pool;
use account::Account;
pub use list::ClientStatus;
use queue::{Queue, Turn, answer};

/// Why a client is not read from, although its socket may have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It is to have its turn.
    Turn,
    /// The table is full.
    Room,
    /// Too much memory is held for clients: so many bytes more are needed. It looks
    /// again then.
    Memory { more: usize, until: u64 },
    /// Its export's limit is reached, and opens again then; and since when it waits.
    Limit { since: u64, until: u64 },
    /// It waits for answers of its own, or for its peer to take them.
    Own,
}

struct Slot {
    client: Box<dyn Client>,
    interest: Interest,
    stop: Option<Stop>,
    account: Account,
    /// The size and block size of the device, as it was told; what it reckons
    /// with for as long as it is attached.
    told: Option<(u64, u32)>,
    /// What it had while others waited, in bytes; and how many it is ahead, if that is
    /// less than none.
    had: u64,
    credit: i64,
}

impl Slot {
    /// It has sent more of its request, and is not read from before its turn: that
    /// nothing moves is not its doing.
    fn is_kept_waiting(&self) -> bool {
        let rest = matches!(self.account.awaits, Some((vcp_queue::Awaits::Rest, ..)));
        rest && self.stop.is_some_and(|stop| stop != Stop::Own)
    }

    /// Time in which it wanted nothing is not saved up.
    fn begin_to_wait(&mut self, clock: u64) {
        self.had = self.had.max(clock);
    }
}

/// All clients of one VCP.
pub(super) struct Clients {
    slots: BTreeMap<ClientId, Slot>,
    next: u64,
    /// Those of them that are stopped for another reason than their own.
    waiting: usize,
    /// What the one that had its turn last had had before.
    clock: u64,
    /// What all clients of the process may hold.
    process: Arc<Pool>,
    /// When those that hold memory were last looked at.
    looked: u64,
    /// Nothing is taken on any more: requests are answered so.
    refusing: bool,
    /// Time that clients waited for their limits, in nanoseconds.
    pub(super) limited_ns: u64,
    /// Bytes that clients asked to read, and to write.
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

const READ: Interest = Interest {
    read: true,
    write: false,
};

impl Clients {
    /// Nobody yet. `process` is what all clients of the process may hold together.
    pub(super) fn new(process: Arc<Pool>) -> Self {
        Self {
            slots: BTreeMap::new(),
            next: 0,
            waiting: 0,
            clock: 0,
            process,
            looked: 0,
            refusing: false,
            limited_ns: 0,
            read_bytes: 0,
            written_bytes: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        client: Box<dyn Client>,
        limit: Option<Arc<Limit>>,
        poller: &Poller,
    ) -> io::Result<ClientId> {
        self.next += 1;
        let id = ClientId(self.next);
        poller.add(client.fd(), id.0, READ)?;
        tracing::debug!(client = client.name(), "attached");
        let mut account = Account::new(limit.map(Attached::to), now());
        // One that comes from another process holds something already.
        account.settle(client.held(), &self.process);
        self.slots.insert(
            id,
            Slot {
                client,
                interest: READ,
                stop: None,
                account,
                told: None,
                had: self.clock,
                credit: 0,
            },
        );
        Ok(id)
    }

    /// Those who have not been told yet what the device is know it now.
    pub(super) fn tell(&mut self, geometry: &Geometry) {
        for slot in self.slots.values_mut() {
            slot.told
                .get_or_insert((geometry.size, geometry.block_size));
        }
    }

    /// The size and the blocks of which a client was told, where the device has less or
    /// others now.
    pub(super) fn contradicts(&self, geometry: &Geometry) -> Option<(u64, u32)> {
        let mut told = self.slots.values().filter_map(|slot| slot.told);
        told.find(|(size, block)| geometry.size < *size || geometry.block_size != *block)
    }

    /// Who that is, and of which export, for those who read it.
    pub(super) fn name(&self, id: ClientId) -> Option<String> {
        let slot = self.slots.get(&id)?;
        let name = slot.client.name();
        Some(match &slot.account.export {
            Some(export) if !export.name().is_empty() => {
                format!("{name} of export {}", export.name())
            }
            _ => name.to_owned(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Reads what a client has sent into the table, as far as its turn goes, and says
    /// why it stopped before there was no more.
    fn receive(
        &mut self,
        id: ClientId,
        turn: Turn,
        table: &mut Table,
        poller: &Poller,
    ) -> Option<Stop> {
        let slot = self.slots.get_mut(&id)?;
        let stopped = slot.stop.take();
        self.waiting -= usize::from(stopped.is_some_and(|stop| stop != Stop::Own));
        let mut refused = Vec::new();
        let mut queue = Queue {
            id,
            table,
            account: &mut slot.account,
            process: &self.process,
            turn,
            stop: None,
            refused: self.refusing.then_some(&mut refused),
            read: 0,
            written: 0,
        };
        let received = slot.client.receive(&mut queue);
        let (stop, left) = (queue.stop, queue.turn.allowance);
        let (read, written) = (queue.read, queue.written);
        self.read_bytes += read;
        self.written_bytes += written;
        slot.account.read += read;
        slot.account.written += written;
        slot.account.settle(slot.client.held(), &self.process);
        let more = match received {
            Ok(more) => more,
            Err(error) => {
                self.remove(id, &error, table, poller);
                return None;
            }
        };
        if let Some(Stop::Limit { since, .. }) = stopped {
            let waited = now().saturating_sub(since);
            self.limited_ns += waited;
            slot.account.export.iter().for_each(|e| e.waited(waited));
        }
        let stop = more.then(|| stop.unwrap_or(Stop::Own));
        slot.stop = stop;
        if stop.is_some_and(|stop| stop != Stop::Own) {
            self.waiting += 1;
            if stopped.is_none_or(|stop| stop == Stop::Own) {
                slot.begin_to_wait(self.clock);
            }
        }
        // Who has nothing more to ask for starts anew.
        slot.credit = left.filter(|_| more).unwrap_or(0);
        let interest = Interest {
            read: !more,
            ..slot.interest
        };
        self.set_interest(id, interest, table, poller);
        let refused: Vec<_> = refused.iter().map(|f| answer(f, &[])).collect();
        // What it answered by itself and could not send waits for OUT.
        self.transmit(id, &refused, table, poller);
        // What it waited for may have come about just now: no answer is due, and the
        // socket has taken all.
        let idle = |slot: &Slot| slot.account.unanswered == 0 && !slot.interest.write;
        if !refused.is_empty() || self.slots.get(&id).is_some_and(idle) {
            self.go_on(id);
        }
        stop
    }

    /// One that waited for answers of its own may go on.
    fn go_on(&mut self, id: ClientId) {
        if let Some(slot) = self.slots.get_mut(&id)
            && slot.stop == Some(Stop::Own)
        {
            slot.stop = Some(Stop::Turn);
            slot.begin_to_wait(self.clock);
            self.waiting += 1;
        }
    }

    /// Drops a client whose peer is gone.
    pub(super) fn drop_lost(&mut self, id: ClientId, table: &mut Table, poller: &Poller) {
        let lost = std::io::ErrorKind::ConnectionReset;
        self.remove(id, &ClientError::Io(lost.into()), table, poller);
    }

    /// Sends one client its answers, or what it was still owed.
    pub(super) fn send(
        &mut self,
        id: ClientId,
        answers: &[Answer<'_>],
        table: &mut Table,
        poller: &Poller,
    ) {
        self.transmit(id, answers, table, poller);
        self.go_on(id);
    }

    fn transmit(
        &mut self,
        id: ClientId,
        answers: &[Answer<'_>],
        table: &mut Table,
        poller: &Poller,
    ) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let sent = slot.client.send(answers);
        slot.account.settle(slot.client.held(), &self.process);
        slot.account.look(&*slot.client, now);
        match sent {
            Ok(flushed) => {
                let interest = Interest {
                    write: flushed == Flushed::Pending,
                    ..slot.interest
                };
                self.set_interest(id, interest, table, poller);
            }
            Err(error) => self.remove(id, &error, table, poller),
        }
    }

    /// Answers what is finished, each client in one batch. `finished` are the
    /// requests with the bytes of those whose data is in place.
    pub(super) fn answer(
        &mut self,
        finished: &mut [(Finished, &[u8])],
        table: &mut Table,
        poller: &Poller,
    ) {
        finished.sort_by_key(|(finished, _)| finished.client);
        for group in finished.chunk_by(|(a, _), (b, _)| a.client == b.client) {
            let answers: Vec<_> = group
                .iter()
                .map(|(f, in_place)| answer(f, in_place))
                .collect();
            let id = group[0].0.client;
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.account.unanswered -= answers.len() as u64;
            }
            self.send(id, &answers, table, poller);
        }
    }

    fn set_interest(
        &mut self,
        id: ClientId,
        interest: Interest,
        table: &mut Table,
        poller: &Poller,
    ) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        if interest == slot.interest {
            return;
        }
        slot.interest = interest;
        if let Err(error) = poller.modify(slot.client.fd(), id.0, interest) {
            self.remove(id, &error.into(), table, poller);
        }
    }

    fn remove(&mut self, id: ClientId, error: &ClientError, table: &mut Table, poller: &Poller) {
        let Some(mut slot) = self.slots.remove(&id) else {
            return;
        };
        let waited = slot.stop.is_some_and(|stop| stop != Stop::Own);
        self.waiting -= usize::from(waited);
        slot.account.settle(0, &self.process);
        poller.remove(slot.client.fd());
        table.forget(id);
        let client = slot.client.name();
        match error {
            ClientError::Disconnected => tracing::debug!(client, "disconnected"),
            ClientError::Io(_) => tracing::info!(client, "{error}"),
            ClientError::Protocol(_) | ClientError::Ended(_) => tracing::warn!(client, "{error}"),
        }
    }

    /// Gives up everybody, with what they asked and were not answered.
    pub(super) fn park(&mut self, table: &mut Table, poller: &Poller) -> Vec<Parked> {
        let mut unanswered: BTreeMap<ClientId, Vec<ClientRequest>> = BTreeMap::new();
        for (id, request) in table.reclaim() {
            unanswered.entry(id).or_default().push(request);
        }
        self.waiting = 0;
        let mut parked = Vec::new();
        for (id, mut slot) in std::mem::take(&mut self.slots) {
            poller.remove(slot.client.fd());
            slot.account.settle(0, &self.process);
            let requests = unanswered.remove(&id).unwrap_or_default();
            parked.extend(slot.client.park(requests));
        }
        parked
    }

    /// Stops reading from everybody: nothing new is taken on.
    pub(super) fn stop_reading(&mut self, poller: &Poller) {
        for (id, slot) in &mut self.slots {
            slot.interest.read = false;
            // One that can't be changed is noticed when it is next used.
            let _ = poller.modify(slot.client.fd(), id.0, slot.interest);
        }
    }

    /// Takes on nothing new: what clients ask for from now on is answered with that.
    pub(super) fn refuse(&mut self) {
        self.refusing = true;
    }

    /// Whether nobody waits for an answer, or has one that it has not taken, or is in the
    /// middle of a request.
    pub(super) fn owe_nothing(&self) -> bool {
        let mut slots = self.slots.values();
        slots.all(|slot| {
            slot.stop.is_none() && slot.client.held() == 0 && slot.client.awaits().is_none()
        })
    }

    /// Whether it does.
    pub(super) fn refuses(&self) -> bool {
        self.refusing
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for slot in self.slots.values_mut() {
            slot.account.settle(0, &self.process);
        }
    }
}

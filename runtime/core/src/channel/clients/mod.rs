//! The clients of the block queue whose sockets this thread polls.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the clients, and what is read from and sent to each |
//! | `turns` | which clients are read from when not all can be served at once |
//! | `queue` | one client's view of the table while it is read from |
//! | `account` | what one client has had and holds |
//! | `stall` | clients whose peers keep them waiting |
//! | `list` | the list of them all, for an operator |

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
    /// It waits for its turn.
    Turn,
    /// The table is full.
    Room,
    /// Too much memory is held for clients. It needs `more` bytes, and looks again at
    /// `until`.
    Memory { more: usize, until: u64 },
    /// It has waited for its export's limit since `since`, and looks again at `until`.
    Limit { since: u64, until: u64 },
    /// It waits for answers of its own, or for its peer to take them.
    Own,
}

struct Slot {
    client: Box<dyn Client>,
    interest: Interest,
    stop: Option<Stop>,
    account: Account,
    /// The size and block size of the device that it was told. It relies on them for as long
    /// as it is attached.
    told: Option<(u64, u32)>,
    /// Bytes that it had while others waited; and its credit in bytes, which is negative
    /// after it took more than its turn.
    had: u64,
    credit: i64,
}

impl Slot {
    /// Whether it waits for its turn in the middle of a request: it is not to blame then
    /// that nothing moves.
    fn is_kept_waiting(&self) -> bool {
        let rest = matches!(self.account.awaits, Some((vcp_queue::Awaits::Rest, ..)));
        rest && self.stop.is_some_and(|stop| stop != Stop::Own)
    }

    /// Begins to wait. Time in which it wanted nothing gains it nothing.
    fn begin_to_wait(&mut self, clock: u64) {
        self.had = self.had.max(clock);
    }
}

/// All clients of one VCP.
pub(super) struct Clients {
    slots: BTreeMap<ClientId, Slot>,
    next: u64,
    /// How many clients are stopped for a reason other than `Stop::Own`.
    waiting: usize,
    /// The `had` of the client that had its turn last, before that turn.
    clock: u64,
    /// The memory that all clients of the process may hold.
    process: Arc<Pool>,
    /// When those that hold memory were last looked at.
    looked: u64,
    /// Whether the VCP refuses every new request, with `ShuttingDown`.
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
    /// Makes an empty list. `process` is what all clients of the process may hold together.
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
        // A client that comes from another process holds memory already.
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

    /// Tells the geometry of the device to the clients that have not been told one.
    pub(super) fn tell(&mut self, geometry: &Geometry) {
        for slot in self.slots.values_mut() {
            slot.told
                .get_or_insert((geometry.size, geometry.block_size));
        }
    }

    /// The size and block size that a client was told, if the device is smaller or has other
    /// blocks now.
    pub(super) fn contradicts(&self, geometry: &Geometry) -> Option<(u64, u32)> {
        let mut told = self.slots.values().filter_map(|slot| slot.told);
        told.find(|(size, block)| geometry.size < *size || geometry.block_size != *block)
    }

    /// The name of a client and of its export, for messages.
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

    /// Reads a client's requests into the table, as far as its turn allows. Returns why it
    /// stopped, if there is more to read.
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
        // A client with nothing more to ask for keeps neither credit nor debt.
        slot.credit = left.filter(|_| more).unwrap_or(0);
        let interest = Interest {
            read: !more,
            ..slot.interest
        };
        self.set_interest(id, interest, table, poller);
        let refused: Vec<_> = refused.iter().map(|f| answer(f, &[])).collect();
        // Answers of the client's own that could not be sent wait until the socket is
        // writable.
        self.transmit(id, &refused, table, poller);
        // It may have nothing to wait for any more: no answer is due, and the socket has
        // taken all.
        let idle = |slot: &Slot| slot.account.unanswered == 0 && !slot.interest.write;
        if !refused.is_empty() || self.slots.get(&id).is_some_and(idle) {
            self.go_on(id);
        }
        stop
    }

    /// Lets a client go on that waited for answers of its own.
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

    /// Gives up all clients, each with its unanswered requests.
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

    /// Stops reading from all clients: nothing new is taken on.
    pub(super) fn stop_reading(&mut self, poller: &Poller) {
        for (id, slot) in &mut self.slots {
            slot.interest.read = false;
            // A descriptor that can't be changed is noticed when it is next used.
            let _ = poller.modify(slot.client.fd(), id.0, slot.interest);
        }
    }

    /// Takes on nothing new: from now on each request is answered with `ShuttingDown`.
    pub(super) fn refuse(&mut self) {
        self.refusing = true;
    }

    /// Whether no client waits for an answer, has one still to take, or is in the middle of
    /// a request.
    pub(super) fn owe_nothing(&self) -> bool {
        let mut slots = self.slots.values();
        slots.all(|slot| {
            slot.stop.is_none() && slot.client.held() == 0 && slot.client.awaits().is_none()
        })
    }

    /// Whether new requests are refused.
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

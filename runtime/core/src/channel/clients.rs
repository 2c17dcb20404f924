//! The clients of the block queue whose sockets this thread polls.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use vcp_queue::{
    Answer, Client, ClientError, ClientId, ClientRequest, Data, Finished, Flushed, Geometry,
    Operation, Parked, Submit, Table,
};

use super::poller::{Interest, Poller};
use crate::clock::now;
use crate::limit::{Attached, Limit};

struct Slot {
    client: Box<dyn Client>,
    interest: Interest,
    /// It stopped reading because the queue was full, or its limit reached.
    blocked: bool,
    /// What its export may ask for.
    limit: Option<Attached>,
    /// It stopped for its limit, which opens again then; and since when.
    limited: Option<Limited>,
    /// The size and block size of the device, as it was told; what it reckons
    /// with for as long as it is attached.
    told: Option<(u64, u32)>,
}

#[derive(Clone, Copy)]
struct Limited {
    since: u64,
    until: u64,
}

/// All clients of one VCP.
#[derive(Default)]
pub(super) struct Clients {
    slots: BTreeMap<ClientId, Slot>,
    next: u64,
    blocked: usize,
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
        self.slots.insert(
            id,
            Slot {
                client,
                interest: READ,
                blocked: false,
                limit: limit.map(Attached::to),
                limited: None,
                told: None,
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

    /// Whether a client was told of a larger device, or of other blocks.
    pub(super) fn contradicts(&self, geometry: &Geometry) -> bool {
        let mut told = self.slots.values().filter_map(|slot| slot.told);
        told.any(|(size, block)| geometry.size < size || geometry.block_size != block)
    }

    /// Who that is, for those who read it.
    pub(super) fn name(&self, id: ClientId) -> Option<&str> {
        Some(self.slots.get(&id)?.client.name())
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Reads what a client has sent into the table.
    pub(super) fn receive(&mut self, id: ClientId, table: &mut Table, poller: &Poller) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let was_blocked = std::mem::replace(&mut slot.blocked, false);
        self.blocked -= usize::from(was_blocked);
        let limited = slot.limited.take();
        let mut queue = Queue {
            id,
            table,
            limit: slot.limit.as_deref(),
            opens: Cell::new(None),
            read: 0,
            written: 0,
        };
        let received = slot.client.receive(&mut queue);
        let opens = queue.opens.get();
        self.read_bytes += queue.read;
        self.written_bytes += queue.written;
        match received {
            Ok(blocked) => {
                let time = now();
                if let Some(limited) = limited {
                    let waited = time.saturating_sub(limited.since);
                    self.limited_ns += waited;
                    slot.limit.iter().for_each(|limit| limit.waited(waited));
                }
                slot.limited = opens
                    .filter(|_| blocked)
                    .map(|until| Limited { since: time, until });
                slot.blocked = blocked;
                self.blocked += usize::from(blocked);
                let interest = Interest {
                    read: !blocked,
                    ..slot.interest
                };
                self.set_interest(id, interest, table, poller);
                // What it answered by itself and could not send waits for OUT.
                self.send(id, &[], table, poller);
            }
            Err(error) => self.remove(id, &error, table, poller),
        }
    }

    /// Whether any client waits for room in the queue.
    pub(super) fn any_blocked(&self) -> bool {
        self.blocked > 0
            && self
                .slots
                .values()
                .any(|slot| slot.blocked && slot.limited.is_none())
    }

    /// When the first of those that wait for their limit may go on.
    pub(super) fn limit_deadline(&self) -> Option<u64> {
        if self.blocked == 0 {
            return None;
        }
        let limited = self.slots.values().filter_map(|slot| slot.limited);
        limited.map(|limited| limited.until).min()
    }

    /// Whether a client waits for room in the queue.
    pub(super) fn is_blocked(&self, id: ClientId) -> bool {
        self.slots.get(&id).is_some_and(|slot| slot.blocked)
    }

    /// Drops a client whose peer is gone.
    pub(super) fn drop_lost(&mut self, id: ClientId, table: &mut Table, poller: &Poller) {
        let lost = std::io::ErrorKind::ConnectionReset;
        self.remove(id, &ClientError::Io(lost.into()), table, poller);
    }

    /// Lets those go on that were stopped by a full queue.
    pub(super) fn resume(&mut self, table: &mut Table, poller: &Poller) {
        if self.blocked == 0 || !table.has_room(0) {
            return;
        }
        let time = self.limit_deadline().map_or(0, |_| now());
        let blocked = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.blocked && slot.limited.is_none_or(|l| l.until <= time))
            .map(|(id, _)| *id);
        for id in blocked.collect::<Vec<_>>() {
            self.receive(id, table, poller);
        }
    }

    /// Sends one client its answers, or what it was still owed.
    pub(super) fn send(
        &mut self,
        id: ClientId,
        answers: &[Answer<'_>],
        table: &mut Table,
        poller: &Poller,
    ) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        match slot.client.send(answers) {
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
            self.send(group[0].0.client, &answers, table, poller);
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
        let Some(slot) = self.slots.remove(&id) else {
            return;
        };
        self.blocked -= usize::from(slot.blocked);
        poller.remove(slot.client.fd());
        table.forget(id);
        let client = slot.client.name();
        match error {
            ClientError::Disconnected => tracing::debug!(client, "disconnected"),
            ClientError::Io(_) => tracing::info!(client, "{error}"),
            ClientError::Protocol(_) => tracing::warn!(client, "{error}"),
        }
    }

    /// Gives up everybody, with what they asked and were not answered.
    pub(super) fn park(&mut self, table: &mut Table, poller: &Poller) -> Vec<Parked> {
        let mut unanswered: BTreeMap<ClientId, Vec<ClientRequest>> = BTreeMap::new();
        for (id, request) in table.reclaim() {
            unanswered.entry(id).or_default().push(request);
        }
        self.blocked = 0;
        let mut parked = Vec::new();
        for (id, slot) in std::mem::take(&mut self.slots) {
            poller.remove(slot.client.fd());
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
}

fn answer<'a>(finished: &'a Finished, in_place: &'a [u8]) -> Answer<'a> {
    let data = match &finished.data {
        Data::None => &[],
        Data::InPlace => in_place,
        Data::Buffer {
            bytes,
            start,
            length,
        } => &bytes[*start..*start + *length],
    };
    Answer {
        cookie: finished.cookie,
        status: finished.status,
        data,
    }
}

/// One client's view of the table.
struct Queue<'a> {
    id: ClientId,
    table: &'a mut Table,
    limit: Option<&'a Limit>,
    /// It was told to wait until then, for its limit.
    opens: Cell<Option<u64>>,
    read: u64,
    written: u64,
}

impl Submit for Queue<'_> {
    fn has_room(&self, payload: usize) -> bool {
        if let Some(limit) = self.limit {
            let time = now();
            let opens = limit.opens(time);
            if opens > time {
                self.opens.set(Some(opens));
                return false;
            }
        }
        self.table.has_room(payload)
    }

    fn submit(&mut self, request: ClientRequest) {
        if let Some(limit) = self.limit {
            limit.charge(u64::from(request.length), now());
        }
        match request.operation {
            Operation::Read => self.read += u64::from(request.length),
            Operation::Write => self.written += u64::from(request.length),
            _ => {}
        }
        self.table.submit(self.id, request);
    }

    fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        self.table.buffer(capacity)
    }
}

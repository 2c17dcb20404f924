//! When an instance, a client or the device is gone.

use super::request::Request;
use super::{ClientId, Finished, Table};
use crate::block::{Operation, Status};
use crate::client::ClientRequest;

impl Table {
    /// The instance is gone: every unanswered request is offered again, from
    /// its beginning, in the order of submission. Room in the old area is
    /// forgotten; the next instance brings an area of its own.
    pub fn restart(&mut self) {
        self.pieces.clear();
        self.rewrite = None;
        self.exclusive = false;
        self.waiting.clear();
        self.requests.retain(|_, request| !request.abandoned);
        let mut order: Vec<_> = self
            .requests
            .iter()
            .map(|(slot, r)| (r.sequence, slot))
            .collect();
        order.sort_unstable();
        for (_, slot) in order {
            let request = &mut self.requests[slot];
            request.step = 0;
            request.issued = 0;
            request.outstanding = 0;
            request.status = Status::Ok;
            request.replayed = true;
            self.waiting.push_back(slot);
        }
        let requests = &self.requests;
        let held = |r: &Request| {
            if r.operation == Operation::Read {
                0
            } else {
                r.bytes.len()
            }
        };
        self.payload = requests.iter().map(|(_, r)| held(r)).sum();
    }

    /// A client is gone: what it had not yet issued is dropped, and what is with
    /// the VCP will be finished without an answer.
    pub fn forget(&mut self, client: ClientId) {
        let requests = &mut self.requests;
        let mut dropped = 0;
        self.waiting.retain(|&slot| {
            let request = &mut requests[slot];
            if request.client != client || request.outstanding > 0 || request.step > 0 {
                return true;
            }
            if request.operation != Operation::Read {
                dropped += request.bytes.len();
            }
            requests.remove(slot);
            false
        });
        self.payload -= dropped;
        for (_, request) in requests.iter_mut() {
            request.abandoned |= request.client == client;
        }
        self.done.retain(|finished| finished.client != client);
    }

    /// Gives back every unanswered request in the order of submission, and is empty
    /// then: another table takes them on. Of what is with the VCP some may have been
    /// carried out, as after [`Table::restart`].
    pub fn reclaim(&mut self) -> Vec<(ClientId, ClientRequest)> {
        self.pieces.clear();
        self.waiting.clear();
        self.rewrite = None;
        self.exclusive = false;
        self.payload = 0;
        let mut requests: Vec<Request> = self.requests.drain().collect();
        requests.retain(|request| !request.abandoned);
        requests.sort_unstable_by_key(|request| request.sequence);
        requests.into_iter().map(resubmission).collect()
    }

    /// Ends everything unanswered with `status`: the device won't come back.
    pub fn fail_all(&mut self, status: Status) -> Vec<Finished> {
        self.pieces.clear();
        self.waiting.clear();
        self.rewrite = None;
        self.exclusive = false;
        let slots: Vec<_> = self.requests.iter().map(|(slot, _)| slot).collect();
        let fail = |slot| {
            self.requests[slot].status = status;
            self.finish(slot, false)
        };
        slots.into_iter().filter_map(fail).collect()
    }
}

/// A request as its client submitted it.
fn resubmission(request: Request) -> (ClientId, ClientRequest) {
    // Of a read the table holds what has come so far.
    let payload = match request.operation {
        Operation::Read => Vec::new(),
        _ => request.bytes,
    };
    let again = ClientRequest {
        cookie: request.cookie,
        operation: request.operation,
        modifiers: request.modifiers,
        offset: request.offset,
        length: request.length,
        payload,
    };
    (request.client, again)
}

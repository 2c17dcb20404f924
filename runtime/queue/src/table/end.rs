//! The end of an instance, a client or the device.

use super::request::Request;
use super::{ClientId, Finished, Table};
use crate::block::Status;
use crate::client::ClientRequest;

impl Table {
    /// Offers every unanswered request again, as the instance is gone: from its beginning,
    /// in the order of submission, suspects last. Room in the old area is forgotten; the
    /// next instance brings an area of its own.
    pub fn restart(&mut self) {
        self.forget_issued();
        let all = self.requests.iter();
        let abandoned = all.filter(|(_, request)| request.abandoned);
        for slot in abandoned.map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.remove(slot);
        }
        for (_, request) in &mut self.requests {
            request.step = 0;
            request.issued = 0;
            request.outstanding = 0;
            request.status = Status::Ok;
            request.replayed = true;
        }
        self.line_up();
    }

    /// Forgets a client that is gone: requests that were not issued yet are dropped, and
    /// those that are with the VCP will be finished without an answer.
    pub fn forget(&mut self, client: ClientId) {
        let requests = &self.requests;
        let mut dropped = Vec::new();
        self.waiting.retain(|slot| {
            let request = &requests[slot];
            let stays = request.client != client || request.outstanding > 0 || request.step > 0;
            if !stays {
                dropped.push(slot);
            }
            stays
        });
        self.suspects.retain(|&slot| {
            let stays = requests[slot].client != client;
            if !stays {
                dropped.push(slot);
            }
            stays
        });
        for slot in dropped {
            self.remove(slot);
        }
        for (_, request) in &mut self.requests {
            request.abandoned |= request.client == client;
        }
        self.waiting.forget(client);
        // No client waits for how its trial ends.
        self.alone = self.alone.filter(|&slot| !self.requests[slot].abandoned);
        self.done.retain(|finished| finished.client != client);
    }

    /// Forgets all entries that are with the instance.
    fn forget_issued(&mut self) {
        self.pieces.clear();
        self.modifies.clear();
        self.rewrites.clear();
        self.alone = None;
    }

    /// Gives back every unanswered request in the order of submission, for another table to
    /// take on, and leaves this one empty. Some of what is with the VCP may have been
    /// carried out, as after [`Table::restart`].
    pub fn reclaim(&mut self) -> Vec<(ClientId, ClientRequest)> {
        self.forget_issued();
        self.waiting.clear();
        self.suspects.clear();
        self.clocks.clear();
        self.culprit = None;
        let mut requests: Vec<Request> = self.requests.drain().collect();
        requests.retain(|request| !request.abandoned);
        requests.sort_unstable_by_key(|request| request.sequence);
        requests.into_iter().map(resubmission).collect()
    }

    /// Ends every unanswered request with `status`: the device won't come back.
    pub fn fail_all(&mut self, status: Status) -> Vec<Finished> {
        self.forget_issued();
        self.waiting.clear();
        self.suspects.clear();
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
    // If it is answered with bytes, the table holds those that have come so far.
    let payload = match request.operation.asks() {
        true => Vec::new(),
        false => request.bytes,
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

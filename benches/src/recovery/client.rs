//! A client of a block queue that lives on the channel processor's own thread:
//! no socket and no scheduler between it and the VCP. It keeps a fixed number of
//! requests in flight for as long as it is attached and notes how each ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use vcp_core::Vcp;
use vcp_queue::{
    Answer, Client, ClientError, ClientRequest, Flushed, Modifiers, Operation, Status, Submit,
};

/// One request's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Completion {
    /// When the client had the answer.
    pub(crate) at: Instant,
    /// When it asked.
    pub(crate) asked: Instant,
    /// The instance that was there when it was answered.
    pub(crate) generation: u32,
    /// How it ended.
    pub(crate) status: Status,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests in flight.
    pub(crate) depth: usize,
    /// Bytes of each.
    pub(crate) block: u32,
    /// Bytes of the device that are used.
    pub(crate) span: u64,
    /// Every other request is a write.
    pub(crate) writes: bool,
}

/// Attaches a client; its completions come until they are no longer received.
pub(crate) fn attach(vcp: &Arc<Vcp>, load: Load) -> Receiver<Completion> {
    let (completions, received) = channel();
    // Begins at once: it is readable from the start.
    let event = eventfd(1, EventfdFlags::NONBLOCK).expect("a descriptor is to be had");
    vcp.attach(Box::new(Looping {
        load,
        event,
        vcp: Arc::downgrade(vcp),
        asked: vec![None; load.depth],
        count: 0,
        completions,
    }));
    received
}

/// See the module.
struct Looping {
    load: Load,
    event: OwnedFd,
    vcp: Weak<Vcp>,
    /// When each request in flight was asked, by its cookie.
    asked: Vec<Option<Instant>>,
    count: u64,
    completions: Sender<Completion>,
}

impl Looping {
    fn request(&mut self, slot: usize, queue: &mut dyn Submit) {
        let Load {
            block,
            span,
            writes,
            ..
        } = self.load;
        self.count += 1;
        let blocks = span / u64::from(block);
        // A multiplicative walk over the blocks: no two near ones in sequence.
        let offset = self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blocks * u64::from(block);
        let write = writes && self.count.is_multiple_of(2);
        let (operation, payload) = if write {
            let mut payload = queue.buffer(block as usize);
            payload.resize(block as usize, self.count as u8);
            (Operation::Write, payload)
        } else {
            (Operation::Read, Vec::new())
        };
        self.asked[slot] = Some(Instant::now());
        queue.submit(ClientRequest {
            cookie: slot as u64,
            operation,
            modifiers: Modifiers::default(),
            offset,
            length: block,
            payload,
        });
    }
}

impl Client for Looping {
    fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn name(&self) -> &str {
        "looping"
    }

    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError> {
        // Nothing to read is no error: it may be called without being woken.
        let _ = rustix::io::read(&self.event, &mut [0u8; 8]);
        for slot in 0..self.asked.len() {
            if self.asked[slot].is_none() {
                if !queue.admit(self.load.block as usize) {
                    return Ok(true);
                }
                self.request(slot, queue);
            }
        }
        Ok(false)
    }

    fn send(&mut self, answers: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        if answers.is_empty() {
            return Ok(Flushed::All);
        }
        let at = Instant::now();
        let generation = self.vcp.upgrade().map_or(0, |vcp| vcp.stats().generation);
        for answer in answers {
            let slot = answer.cookie as usize;
            let completion = Completion {
                at,
                asked: self.asked[slot].take().unwrap_or(at),
                generation,
                status: answer.status,
            };
            if self.completions.send(completion).is_err() {
                return Err(ClientError::Disconnected);
            }
        }
        rustix::io::write(&self.event, &1u64.to_ne_bytes()).map_err(std::io::Error::from)?;
        Ok(Flushed::All)
    }
}

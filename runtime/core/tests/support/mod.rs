//! What tests of whole VCPs share: a client in memory, and waiting for events.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod zeroes;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{Event, Module, Settings, Vcp};
use vcp_queue::{
    Answer, Client, ClientError, ClientRequest, Flushed, Modifiers, Operation, Status, Submit,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A client in memory: an event counter in place of a socket.
struct TestClient {
    event: Arc<OwnedFd>,
    requests: Arc<Mutex<VecDeque<ClientRequest>>>,
    answers: Sender<(u64, Status, Vec<u8>)>,
}

impl Client for TestClient {
    fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn name(&self) -> &str {
        "test"
    }

    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError> {
        let _ = rustix::io::read(&self.event, &mut [0u8; 8]);
        let mut requests = self.requests.lock().unwrap();
        while let Some(request) = requests.front() {
            if !queue.admit(request.payload.len()) {
                return Ok(true);
            }
            queue.submit(requests.pop_front().unwrap());
        }
        Ok(false)
    }

    fn send(&mut self, answers: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        for answer in answers {
            let owned = (answer.cookie, answer.status, answer.data.to_vec());
            self.answers
                .send(owned)
                .map_err(|_| ClientError::Disconnected)?;
        }
        Ok(Flushed::All)
    }
}

/// The test's side of it.
pub(crate) struct Driver {
    event: Arc<OwnedFd>,
    requests: Arc<Mutex<VecDeque<ClientRequest>>>,
    pub(crate) answers: Receiver<(u64, Status, Vec<u8>)>,
}

impl Driver {
    pub(crate) fn attach(vcp: &Vcp) -> Self {
        let event = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap());
        let requests = Arc::default();
        let (sender, answers) = channel();
        vcp.attach(Box::new(TestClient {
            event: Arc::clone(&event),
            requests: Arc::clone(&requests),
            answers: sender,
        }));
        Self {
            event,
            requests,
            answers,
        }
    }

    pub(crate) fn ask(
        &self,
        cookie: u64,
        operation: Operation,
        offset: u64,
        length: u32,
        payload: Vec<u8>,
    ) {
        self.ask_all([request(cookie, operation, offset, length, payload)]);
    }

    /// Asks all of them at once: the VCP gets them in one batch.
    pub(crate) fn ask_all(&self, requests: impl IntoIterator<Item = ClientRequest>) {
        self.requests.lock().unwrap().extend(requests);
        rustix::io::write(&self.event, &1u64.to_ne_bytes()).unwrap();
    }

    pub(crate) fn write(&self, cookie: u64, offset: u64, payload: Vec<u8>) {
        self.ask(
            cookie,
            Operation::Write,
            offset,
            payload.len() as u32,
            payload,
        );
    }

    pub(crate) fn answer(&self) -> (u64, Status, Vec<u8>) {
        self.answers
            .recv_timeout(PATIENCE)
            .expect("an answer in time")
    }
}

pub(crate) fn request(
    cookie: u64,
    operation: Operation,
    offset: u64,
    length: u32,
    payload: Vec<u8>,
) -> ClientRequest {
    ClientRequest {
        cookie,
        operation,
        modifiers: Modifiers::default(),
        offset,
        length,
        payload,
    }
}

/// Settings that most tests have in common.
pub(crate) fn settings_for(module: Module, config: &[(&str, &str)]) -> Settings {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Settings {
        config: config.iter().map(pair).collect(),
        queue_depth: 32,
        ..Settings::new("test", module)
    }
}

pub(crate) fn next(events: &mut UnboundedReceiver<Event>) -> Event {
    let began = std::time::Instant::now();
    loop {
        if let Ok(event) = events.try_recv() {
            return event;
        }
        assert!(began.elapsed() < PATIENCE, "no event in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

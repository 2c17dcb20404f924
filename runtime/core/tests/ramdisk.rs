//! A whole VCP in one process: the RAM disk, driven through its queue.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{Cache, Engine, Event, Fault, Module, RestartSettings, Settings, Vcp};
use vcp_queue::{
    Answer, Client, ClientError, ClientRequest, Flushed, Modifiers, Operation, Status, Submit,
};

const PATIENCE: Duration = Duration::from_secs(20);

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
            if !queue.has_room(request.payload.len()) {
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
struct Driver {
    event: Arc<OwnedFd>,
    requests: Arc<Mutex<VecDeque<ClientRequest>>>,
    answers: Receiver<(u64, Status, Vec<u8>)>,
}

impl Driver {
    fn attach(vcp: &Vcp) -> Self {
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

    fn ask(&self, cookie: u64, operation: Operation, offset: u64, length: u32, payload: Vec<u8>) {
        let request = ClientRequest {
            cookie,
            operation,
            modifiers: Modifiers::default(),
            offset,
            length,
            payload,
        };
        self.requests.lock().unwrap().push_back(request);
        rustix::io::write(&self.event, &1u64.to_ne_bytes()).unwrap();
    }

    fn write(&self, cookie: u64, offset: u64, payload: Vec<u8>) {
        self.ask(
            cookie,
            Operation::Write,
            offset,
            payload.len() as u32,
            payload,
        );
    }

    fn answer(&self) -> (u64, Status, Vec<u8>) {
        self.answers
            .recv_timeout(PATIENCE)
            .expect("an answer in time")
    }
}

fn settings(config: &[(&str, &str)]) -> (Engine, Settings) {
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_builtin::find("ramdisk").unwrap().bytes;
    let module = Module::load(&engine, &Cache::of_user(), "ramdisk", bytes).unwrap();
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let settings = Settings {
        name: "test".to_owned(),
        module,
        config: config.iter().map(pair).collect(),
        memory: 64 << 20,
        queue_depth: 32,
        pin: Vec::new(),
        fuel_per_call: 10_000_000_000,
        grants: Vec::new(),
        network: None,
        restart: RestartSettings::default(),
    };
    (engine, settings)
}

fn next(events: &mut UnboundedReceiver<Event>) -> Event {
    let began = std::time::Instant::now();
    loop {
        if let Ok(event) = events.try_recv() {
            return event;
        }
        assert!(began.elapsed() < PATIENCE, "no event in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn reads_give_what_writes_put_there() {
    let (engine, settings) = settings(&[("size", "8388608")]);
    let (vcp, mut events) = Vcp::start(&engine, settings).unwrap();
    let Event::Ready(geometry) = next(&mut events) else {
        panic!("not ready")
    };
    assert_eq!((geometry.size, geometry.block_size), (8 << 20, 512));
    let driver = Driver::attach(&vcp);
    // Longer than the longest entry, unaligned at both ends.
    let payload: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
    driver.write(1, 77, payload.clone());
    assert_eq!(driver.answer(), (1, Status::Ok, Vec::new()));
    driver.ask(2, Operation::Read, 77, 3_000_001, Vec::new());
    let (cookie, status, data) = driver.answer();
    assert_eq!((cookie, status), (2, Status::Ok));
    assert!(data == payload);
    driver.ask(3, Operation::WriteZeroes, 100, 1000, Vec::new());
    assert_eq!(driver.answer().1, Status::Ok);
    driver.ask(4, Operation::Read, 96, 8, Vec::new());
    assert_eq!(
        driver.answer().2,
        [
            payload[19],
            payload[20],
            payload[21],
            payload[22],
            0,
            0,
            0,
            0
        ]
    );
    let stats = vcp.stats();
    assert_eq!(
        (stats.completed, stats.generation, stats.clients),
        (4, 1, 1)
    );
    assert!(stats.fuel > 0);
    vcp.stop();
    assert_eq!(next(&mut events), Event::Stopped);
}

#[test]
fn a_killed_vcp_comes_back_and_answers_everything() {
    let (engine, mut settings) = settings(&[("size", "1048576")]);
    settings.restart.min_run = Duration::ZERO;
    let (vcp, mut events) = Vcp::start(&engine, settings).unwrap();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let driver = Driver::attach(&vcp);
    for round in 0..50u64 {
        for n in 0..20 {
            driver.write(round * 20 + n, n * 4096, vec![round as u8; 4096]);
        }
        vcp.inject();
        for _ in 0..20 {
            assert_eq!(driver.answer().1, Status::Ok);
        }
    }
    let mut generations = Vec::new();
    while generations.len() < 50 {
        if let Event::Fault { fault, generation } = next(&mut events) {
            assert_eq!(fault, Fault::Injected);
            generations.push(generation);
        }
    }
    assert_eq!(generations, (1..=50).collect::<Vec<_>>());
}

#[test]
fn what_a_module_refuses_is_told_in_its_words() {
    for (config, why) in [
        (vec![], "config.size: missing; give a size such as 16MiB"),
        (
            vec![("size", "1000")],
            "config.size: \"1000\" is not a size that is a multiple of 512",
        ),
        (
            vec![("size", "512"), ("colour", "red")],
            "config.colour: unknown key; a RAM disk has: size",
        ),
    ] {
        let (engine, settings) = settings(&config);
        let (_vcp, mut events) = Vcp::start(&engine, settings).unwrap();
        let failed = loop {
            match next(&mut events) {
                Event::Fault { .. } => {}
                event => break event,
            }
        };
        assert_eq!(failed, Event::Failed(why.to_owned()));
    }
}

#[test]
fn memory_and_fuel_have_limits() {
    let (engine, tight) = settings(&[("size", "134217728")]);
    let (_vcp, mut events) = Vcp::start(&engine, tight).unwrap();
    let failed = loop {
        if let Event::Failed(why) = next(&mut events) {
            break why;
        }
    };
    assert!(
        failed.contains("do not fit into this VCP's memory"),
        "{failed}"
    );

    let (engine, mut slow) = settings(&[("size", "1048576")]);
    slow.fuel_per_call = 50;
    let (_vcp, mut events) = Vcp::start(&engine, slow).unwrap();
    let Event::Fault { fault, .. } = next(&mut events) else {
        panic!("no fault")
    };
    assert_eq!(fault, Fault::Fuel { limit: 50 });
}

//! One thread that owns a disk and drives its clients from one epoll: the shape
//! of a channel processor, without the VCP.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use vcp_queue::{Answer, Client, ClientError, ClientRequest, Flushed, Operation, Status, Submit};

use crate::disk::Disk;

/// The most requests held at a time; few, so that clients have to wait for room.
const ROOM: usize = 24;
const WAKE: u64 = u64::MAX;

enum Command {
    Attach(Box<dyn Client>),
    Stop,
}

/// The handle of a running processor.
pub(crate) struct Processor {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    endings: Arc<Mutex<Vec<String>>>,
}

impl Processor {
    pub(crate) fn start(disk: Disk) -> Self {
        let (commands, inbox) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap());
        let endings = Arc::new(Mutex::new(vec![]));
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN).unwrap();
        let state = Loop {
            epoll,
            wake: wake.clone(),
            inbox,
            endings: endings.clone(),
            disk,
            slots: vec![],
            queue: Queue {
                client: 0,
                waiting: vec![],
                spare: vec![],
            },
        };
        let thread = Some(std::thread::spawn(move || state.run()));
        Self {
            commands,
            wake,
            thread,
            endings,
        }
    }

    pub(crate) fn attach(&self, client: Box<dyn Client>) {
        self.tell(Command::Attach(client));
    }

    /// How clients have ended so far.
    pub(crate) fn endings(&self) -> Vec<String> {
        self.endings.lock().unwrap().clone()
    }

    fn tell(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).unwrap();
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        let outcome = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            outcome.unwrap();
        }
    }
}

struct Queue {
    /// The client that submits.
    client: usize,
    waiting: Vec<(usize, ClientRequest)>,
    spare: Vec<Vec<u8>>,
}

impl Submit for Queue {
    fn admit(&mut self, _holding: usize) -> bool {
        self.waiting.len() < ROOM
    }

    fn submit(&mut self, request: ClientRequest) {
        self.waiting.push((self.client, request));
    }

    fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.reserve(capacity);
        buffer
    }
}

struct Slot {
    client: Box<dyn Client>,
    interest: EventFlags,
    /// Whether the client has input, as far as is known.
    readable: bool,
    /// Whether it has stopped receiving until it has been answered.
    parked: bool,
    /// Whether it has to be given a chance to send.
    due: bool,
    pending: bool,
}

struct Loop {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    inbox: Receiver<Command>,
    endings: Arc<Mutex<Vec<String>>>,
    disk: Disk,
    slots: Vec<Option<Slot>>,
    queue: Queue,
}

impl Loop {
    fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => panic!("{error}"),
            }
            for event in events.drain(..) {
                let (key, flags) = (event.data.u64(), event.flags);
                if key == WAKE {
                    let _ = rustix::io::read(&self.wake, &mut [0; 8]);
                    if !self.take_commands() {
                        return;
                    }
                } else if let Some(slot) = &mut self.slots[key as usize] {
                    let broken = flags.intersects(EventFlags::HUP | EventFlags::ERR);
                    slot.parked &= !broken;
                    slot.readable |= broken || flags.contains(EventFlags::IN);
                    slot.due |= flags.contains(EventFlags::OUT);
                }
            }
            while self.turn() {}
            self.poll_for();
        }
    }

    fn take_commands(&mut self) -> bool {
        while let Ok(command) = self.inbox.try_recv() {
            let Command::Attach(client) = command else {
                return false;
            };
            let key = self.slots.len();
            let interest = EventFlags::IN;
            epoll::add(
                &self.epoll,
                client.fd(),
                EventData::new_u64(key as u64),
                interest,
            )
            .unwrap();
            let (readable, parked, due, pending) = (false, false, false, false);
            self.slots.push(Some(Slot {
                client,
                interest,
                readable,
                parked,
                due,
                pending,
            }));
        }
        true
    }

    /// Receives, serves and answers; returns whether there may be more to do.
    fn turn(&mut self) -> bool {
        for key in 0..self.slots.len() {
            let Some(slot) = &mut self.slots[key] else {
                continue;
            };
            if slot.readable && !slot.parked {
                slot.readable = false;
                slot.due = true;
                self.queue.client = key;
                let outcome = slot
                    .client
                    .receive(&mut self.queue)
                    .map(|more| slot.parked = more);
                self.note(key, outcome);
            }
        }
        let mut requests = std::mem::take(&mut self.queue.waiting);
        // The order of requests is not guaranteed.
        requests.reverse();
        let statuses: Vec<_> = requests.iter().map(|(_, r)| self.disk.apply(r)).collect();
        let mut more = false;
        for key in 0..self.slots.len() {
            more |= self.answer(key, &requests, &statuses);
        }
        for (_, request) in requests {
            let mut buffer = request.payload;
            buffer.clear();
            self.queue.spare.push(buffer);
        }
        more
    }

    /// Sends one client its answers; returns whether to receive from it again.
    fn answer(
        &mut self,
        key: usize,
        requests: &[(usize, ClientRequest)],
        statuses: &[Status],
    ) -> bool {
        let Some(slot) = &mut self.slots[key] else {
            return false;
        };
        let mine = requests
            .iter()
            .zip(statuses)
            .filter(|((client, _), _)| *client == key);
        let answers: Vec<_> = mine
            .map(|((_, request), status)| {
                let reads = request.operation == Operation::Read && *status == Status::Ok;
                let range = if reads {
                    self.disk.range(request)
                } else {
                    0..0
                };
                let data = &self.disk.bytes[range];
                Answer {
                    cookie: request.cookie,
                    status: *status,
                    data,
                }
            })
            .collect();
        if answers.is_empty() && !std::mem::take(&mut slot.due) {
            return false;
        }
        let was_pending = slot.pending;
        let outcome = slot.client.send(&answers);
        slot.pending = matches!(outcome, Ok(Flushed::Pending));
        let again = slot.parked && (!answers.is_empty() || (was_pending && !slot.pending));
        if again {
            slot.parked = false;
            slot.readable = true;
        }
        self.note(key, outcome.map(drop));
        again
    }

    /// Drops a client that is done.
    fn note(&mut self, key: usize, outcome: Result<(), ClientError>) {
        if let Err(error) = outcome {
            self.endings.lock().unwrap().push(error.to_string());
            self.slots[key] = None;
        }
    }

    fn poll_for(&mut self) {
        for (key, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot else { continue };
            let mut interest = EventFlags::empty();
            interest.set(EventFlags::IN, !slot.parked);
            interest.set(EventFlags::OUT, slot.pending);
            if interest != slot.interest {
                slot.interest = interest;
                let data = EventData::new_u64(key as u64);
                epoll::modify(&self.epoll, slot.client.fd(), data, interest).unwrap();
            }
        }
    }
}

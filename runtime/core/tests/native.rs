//! A VCP compiled into the host: it is served as any other, and refused what only a sandbox
//! gives.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vcp_core::native::{
    Areas, Completion, Effects, Events, Geometry, NativeVcp, Network, Notice, Operation, Request,
    Span, Start, Status as Answer,
};
use vcp_core::{
    Cache, Engine, Event, Fault, InjectError, Injection, Module, ReloadError, Settings, Vcp, World,
};
use vcp_queue::Status;

use support::{Driver, PATIENCE, next, settings_for};

const SIZE: u32 = 1 << 20;
const DATA: u32 = 1 << 20;
/// Where its areas begin, as far as the host knows.
const BASE: u32 = 0x4000;

/// A disk in memory. A read at this offset makes it panic.
const POISON: u64 = SIZE as u64 - 512;
/// A read at this offset makes only the first instance panic.
const POISON_ONCE: u64 = POISON - 512;

#[derive(Default)]
struct Disk {
    contents: Vec<u8>,
    data: Vec<u8>,
    announced: bool,
    generation: u32,
    /// The identities of the device that instances were told, by generation.
    told: Arc<Mutex<Vec<(u32, String)>>>,
}

impl NativeVcp for Disk {
    fn init(&mut self, start: &Start, network: Option<&Network>) -> Result<Areas, String> {
        assert!(network.is_none() && start.seed.len() == 32);
        if start.config.iter().any(|(key, _)| key == "refuse") {
            return Err("config.refuse: as asked".to_owned());
        }
        self.generation = start.generation;
        let told = (start.generation, start.identity.clone());
        self.told.lock().unwrap().push(told);
        self.contents = vec![0; SIZE as usize];
        self.data = vec![0; DATA as usize];
        Ok(Areas {
            data: Span {
                address: BASE,
                length: DATA,
            },
            receive: Span {
                address: 0,
                length: 0,
            },
        })
    }

    fn process(&mut self, events: &Events) -> Effects {
        let first = !std::mem::replace(&mut self.announced, true);
        let completions = events.requests.iter().map(|request| self.answer(request));
        let mut effects = Effects {
            completions: completions.collect(),
            notices: Vec::new(),
            frames: Vec::new(),
            connects: Vec::new(),
            sends: Vec::new(),
            closes: Vec::new(),
            deadline: None,
        };
        effects
            .notices
            .extend(first.then(|| Notice::Ready(geometry())));
        effects
            .notices
            .extend(events.commands.first().map(|_| Notice::Stopped));
        effects
    }

    fn bytes(&self, span: Span) -> Option<&[u8]> {
        self.data.get(range(span)?)
    }

    fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        self.data.get_mut(range(span)?)
    }
}

impl Disk {
    fn answer(&mut self, request: &Request) -> Completion {
        let at = request.offset as usize..request.offset as usize + request.length as usize;
        assert!(request.operation != Operation::Read || request.offset != POISON);
        assert!(self.generation > 1 || request.offset != POISON_ONCE);
        let data = range(request.data).unwrap();
        match request.operation {
            Operation::Read => self.data[data].copy_from_slice(&self.contents[at]),
            Operation::Write => self.contents[at].copy_from_slice(&self.data[data]),
            _ => {}
        }
        Completion {
            tag: request.tag,
            status: Answer::Ok,
            data: Span {
                address: 0,
                length: 0,
            },
        }
    }
}

fn range(span: Span) -> Option<std::ops::Range<usize>> {
    let start = match span.length {
        0 => 0,
        _ => span.address.checked_sub(BASE)? as usize,
    };
    Some(start..start + span.length as usize)
}

fn geometry() -> Geometry {
    Geometry {
        size: u64::from(SIZE),
        block_size: 512,
        preferred_block_size: 4096,
        max_transfer: DATA,
        max_discard: 0,
        max_write_zeroes: 0,
        extents: false,
        read_only: false,
        write_cache: false,
        identity: "native".to_owned(),
    }
}

fn module() -> Module {
    Module::native("disk", World::Device, || Box::new(Disk::default()))
}

fn start(config: &[(&str, &str)]) -> (Vcp, tokio::sync::mpsc::UnboundedReceiver<Event>) {
    let mut settings: Settings = settings_for(module(), config);
    settings.restart.min_run = std::time::Duration::ZERO;
    settings.reports.core_dumps = true;
    Vcp::start(&Engine::new(true).unwrap(), settings).unwrap()
}

#[test]
fn it_serves_and_ends_as_any_other() {
    let (vcp, mut events) = start(&[]);
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let driver = Driver::attach(&vcp);
    let payload: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    driver.write(1, 512, payload.clone());
    assert_eq!(driver.answer(), (1, Status::Ok, Vec::new()));
    driver.ask(2, vcp_queue::Operation::Read, 512, 300_000, Vec::new());
    assert_eq!(driver.answer(), (2, Status::Ok, payload));
    let stats = vcp.stats();
    assert_eq!((stats.completed, stats.fuel, stats.memory), (2, 0, 0));
    vcp.stop();
    assert_eq!(next(&mut events), Event::Stopped);
}

#[test]
fn a_panic_is_the_end_of_the_instance_only() {
    let (vcp, mut events) = start(&[]);
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let driver = Driver::attach(&vcp);
    driver.ask(1, vcp_queue::Operation::Read, POISON, 512, Vec::new());
    let Event::Fault { fault, .. } = next(&mut events) else {
        panic!("no fault")
    };
    let Fault::Trap(why) = fault else {
        panic!("{fault}")
    };
    assert!(why.starts_with("panicked: assertion failed"), "{why}");
    vcp.stop();
}

/// A spare made before it was known is no exception; only an operator's restart forgets it.
#[test]
fn the_next_instance_is_told_what_the_device_is() {
    for spare in [false, true] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&told);
        let module = Module::native("disk", World::Device, move || {
            Box::new(Disk {
                told: Arc::clone(&all),
                ..Disk::default()
            })
        });
        let mut settings: Settings = settings_for(module, &[]);
        settings.restart.min_run = Duration::ZERO;
        settings.restart.spare = spare;
        let (vcp, mut events) = Vcp::start(&Engine::new(true).unwrap(), settings).unwrap();
        let mut serves = |from: u32| {
            let began = Instant::now();
            while !matches!(next(&mut events), Event::Ready(_)) {}
            while spare && !vcp.status().spare {
                assert!(began.elapsed() < PATIENCE, "no spare");
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(vcp.status().generation, from);
        };
        serves(1);
        let driver = Driver::attach(&vcp);
        let read = vcp_queue::Operation::Read;
        driver.ask(1, read, POISON_ONCE, 512, Vec::new());
        serves(2);
        assert_eq!(vcp.restart().blocking_recv().unwrap(), Ok(3));
        serves(3);
        vcp.stop();
        let told = told.lock().unwrap();
        let of = |generation| {
            let last = told.iter().rfind(|(of, _)| *of == generation);
            last.map(|(_, identity)| identity.as_str())
        };
        assert_eq!([of(1), of(2), of(3)], [Some(""), Some("native"), Some("")]);
    }
}

#[test]
fn what_it_refuses_at_its_start_is_its_own_word() {
    let (_vcp, mut events) = start(&[("refuse", "yes")]);
    let Event::Fault { fault, .. } = next(&mut events) else {
        panic!("no fault")
    };
    assert_eq!(fault, Fault::Init("config.refuse: as asked".to_owned()));
}

#[test]
fn injections_and_reloads_are_refused() {
    let engine = Engine::new(true).unwrap();
    let (vcp, mut events) = start(&[]);
    assert!(matches!(next(&mut events), Event::Ready(_)));
    for what in Injection::NAMED {
        let refused = vcp.inject(what).blocking_recv().unwrap();
        assert_eq!(refused, Err(InjectError::Native));
    }
    vcp.inject(Injection::Cut(1));
    vcp.inject(Injection::Crossing(1));
    let bytes = vcp_builtin::find("ramdisk").unwrap().bytes;
    let boxed = Module::load(&engine, &Cache::of_user(), "ramdisk", bytes).unwrap();
    for module in [module(), boxed.clone()] {
        let refused = vcp.reload(module).blocking_recv().unwrap().unwrap_err();
        assert_eq!(refused.to_string(), "the VCP is compiled into the host");
    }
    let driver = Driver::attach(&vcp);
    driver.ask(1, vcp_queue::Operation::Flush, 0, 0, Vec::new());
    assert_eq!(driver.answer().1, Status::Ok);
    assert_eq!((vcp.stats().generation, vcp.reports().len()), (1, 0));

    // Nor does it take the place of a VCP in a sandbox.
    let settings = settings_for(boxed, &[("size", "1048576")]);
    let (guarded, mut news) = Vcp::start(&engine, settings).unwrap();
    assert!(matches!(next(&mut news), Event::Ready(_)));
    let refused = guarded.reload(module()).blocking_recv().unwrap();
    assert!(matches!(refused, Err(ReloadError::NotNow(_))));
}

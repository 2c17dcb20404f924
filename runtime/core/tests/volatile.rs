//! A device that lives in the memory of its VCP: which of its contents survive what.

mod support;

use std::sync::LazyLock;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{
    Cache, Engine, Event, Injection, Module, ReloadError, Reloaded, Settings, State, Vcp,
};
use vcp_queue::{Operation, Status};

use support::{Driver, PATIENCE, next, settings_for};

const MIB: u64 = 1 << 20;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(true).unwrap());

fn ramdisk() -> Module {
    let found = vcp_builtin::find("ramdisk").unwrap();
    Module::load(&ENGINE, &Cache::of_user(), "ramdisk", found.bytes).unwrap()
}

fn sized(size: u64) -> Settings {
    settings_for(ramdisk(), &[("size", &size.to_string())])
}

fn start(settings: Settings) -> (Vcp, UnboundedReceiver<Event>, Driver) {
    let (vcp, mut events) = Vcp::start(&ENGINE, settings).unwrap();
    let event = next(&mut events);
    assert!(matches!(event, Event::Ready(_)), "{event:?}");
    let driver = Driver::attach(&vcp);
    (vcp, events, driver)
}

/// Why it failed, after events that are not of interest; it is never ready before.
fn failed(events: &mut UnboundedReceiver<Event>) -> String {
    loop {
        match next(events) {
            Event::Failed(why) => break why,
            Event::Ready(_) => panic!("it serves"),
            _ => {}
        }
    }
}

fn read(driver: &Driver, offset: u64) -> (Status, Vec<u8>) {
    driver.ask(99, Operation::Read, offset, 4096, Vec::new());
    let (_, status, data) = driver.answer();
    (status, data)
}

fn write(driver: &Driver, offset: u64, bytes: usize) {
    driver.write(98, offset, vec![7; bytes]);
    assert_eq!(driver.answer(), (98, Status::Ok, Vec::new()));
}

fn reload(vcp: &Vcp) -> Result<Reloaded, ReloadError> {
    vcp.reload(ramdisk()).blocking_recv().unwrap()
}

/// This holds whatever the instance died of, with and without a spare.
#[test]
fn after_a_fault_it_is_not_served_blank() {
    for (what, spare) in [
        (Injection::Trap, false),
        (Injection::Kill, false),
        (Injection::Hang, false),
        (Injection::Trap, true),
    ] {
        let mut settings = sized(MIB);
        settings.restart.spare = spare;
        let (vcp, mut events, driver) = start(settings);
        write(&driver, 8192, 4096);
        let began = Instant::now();
        while vcp.status().spare != spare {
            assert!(began.elapsed() < PATIENCE, "no spare");
        }
        vcp.inject(what);
        let why = failed(&mut events);
        assert_eq!(
            why,
            "the contents of the disk were lost with generation 1; `vcp restart` makes a new, \
             blank disk of it"
        );
        assert_eq!(read(&driver, 8192).0, Status::IoError, "{what}");
        assert_eq!(vcp.status().state, State::Held(why));
        // A new version of the module does not have the contents, either.
        assert!(matches!(reload(&vcp), Err(ReloadError::RolledBack(_))));
        assert!(failed(&mut events).contains("were lost"));
        // An operator's restart accepts a blank disk.
        vcp.restart();
        assert!(matches!(next(&mut events), Event::Ready(_)));
        assert_eq!(read(&driver, 8192), (Status::Ok, vec![0; 4096]));
        write(&driver, 8192, 4096);
        vcp.inject(Injection::Trap);
        assert!(failed(&mut events).contains("were lost"));
    }
}

#[test]
fn one_that_may_come_back_blank_does() {
    let config = [("size", "1048576"), ("after-fault", "blank")];
    let (vcp, mut events, driver) = start(settings_for(ramdisk(), &config));
    write(&driver, 8192, 4096);
    vcp.inject(Injection::Trap);
    assert!(matches!(next(&mut events), Event::Fault { .. }));
    assert!(matches!(next(&mut events), Event::Ready(_)));
    assert_eq!(read(&driver, 8192), (Status::Ok, vec![0; 4096]));
}

/// At first there is more than a state can have, and then as much as it can.
#[test]
fn what_can_not_be_handed_over_is_not_given_up() {
    let (vcp, mut events, driver) = start(sized(32 * MIB));
    for at in 0..16 {
        write(&driver, at * MIB, MIB as usize);
    }
    let refused = reload(&vcp).unwrap_err();
    assert!(
        matches!(&refused, ReloadError::NotTakenOver(_)),
        "{refused}"
    );
    let text = refused.to_string();
    assert!(text.contains("contents of 16793625 bytes"), "{text}");
    assert_eq!(read(&driver, 15 * MIB), (Status::Ok, vec![7; 4096]));
    assert_eq!((vcp.status().generation, vcp.stats().faults), (1, 0));
    driver.ask(1, Operation::Discard, 0, 2 << 20, Vec::new());
    assert_eq!(driver.answer().1, Status::Ok);
    assert!(reload(&vcp).unwrap().handed_over);
    assert_eq!(read(&driver, 15 * MIB), (Status::Ok, vec![7; 4096]));
    assert_eq!(read(&driver, 0), (Status::Ok, vec![0; 4096]));
    while !matches!(next(&mut events), Event::Reloaded(_)) {}
}

/// A disk as large as its memory allows: there is no room for a copy of its contents.
#[test]
fn near_its_limit_it_is_handed_over_or_goes_on() {
    for (memory, handed_over) in [(20 * MIB, false), (29 * MIB, true)] {
        let mut settings = sized(8 * MIB);
        settings.memory = Some(memory as usize);
        let (vcp, _events, driver) = start(settings);
        for at in 0..8 {
            write(&driver, at * MIB, MIB as usize);
        }
        match reload(&vcp) {
            Ok(reloaded) => assert!(handed_over && reloaded.handed_over),
            Err(ReloadError::NotTakenOver(why)) => {
                assert!(!handed_over && why.contains("raise `memory`"), "{why}");
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(read(&driver, 7 * MIB), (Status::Ok, vec![7; 4096]));
        assert_eq!(vcp.stats().faults, 0);
    }
}

#[test]
fn it_has_the_memory_that_its_size_takes() {
    for mib in [1, 64, 1024] {
        let (vcp, _events, driver) = start(sized(mib * MIB));
        write(&driver, (mib - 1) * MIB, MIB as usize);
        assert_eq!(read(&driver, mib * MIB - 4096), (Status::Ok, vec![7; 4096]));
        let (used, limit) = (vcp.stats().memory, vcp.stats().memory_limit);
        assert!(used > mib * MIB && used <= limit, "{used} of {limit}");
        assert!(limit <= (mib + 64) * MIB, "{limit}");
    }
}

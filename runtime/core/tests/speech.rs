//! What a guest writes to its standard output and standard error is in the log of the host.
//! The test has a process of its own, whose log is read here.

#[path = "support/mod.rs"]
mod support;

use std::io;
use std::sync::{Arc, Mutex};

use support::{Driver, next, settings_for};
use tracing_subscriber::fmt::MakeWriter;
use vcp_core::{Cache, Engine, Event, Module, Vcp};
use vcp_queue::{Operation, Status};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn output_of_a_guest_is_logged_by_line() {
    let kept = Kept::default();
    tracing_subscriber::fmt()
        .with_writer(kept.clone())
        .with_ansi(false)
        .with_env_filter("warn,vcp::guest=info")
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_test_guests::MISBEHAVE_WASI;
    let module = Module::load(&engine, &Cache::of_user(), "wasi", bytes).unwrap();
    let (vcp, mut events) =
        Vcp::start(&engine, settings_for(module, &[("fault", "speech")])).unwrap();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let driver = Driver::attach(&vcp);
    driver.ask(1, Operation::Flush, 0, 0, Vec::new());
    assert_eq!(driver.answer(), (1, Status::Ok, Vec::new()));
    drop(vcp);
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let has = |level: &str, text: &str| {
        let line = log
            .lines()
            .find(|line| line.ends_with(text) || line.contains(&format!("{text} vcp=")));
        let line = line.unwrap_or_else(|| panic!("no {text:?} in\n{log}"));
        assert!(
            line.contains(level) && line.contains("vcp::guest"),
            "{line}"
        );
        assert!(line.contains("generation=1"), "{line}");
    };
    has("INFO", "a line of output");
    has("INFO", "a line in two pieces, \u{fffd}[31mred");
    has("WARN", "a line of error");
    has("INFO", "flood 0");
    has("INFO", "the beginning of a line");
    assert!(log.contains("messages dropped"), "{log}");
    assert!(!log.contains('\u{1b}'));
    let flood = log.matches("flood ").count();
    assert!((200..1000).contains(&flood), "{flood} of 2000 lines");
}

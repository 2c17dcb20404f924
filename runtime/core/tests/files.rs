//! The file VCP: what a granted directory opens, and that nothing else is open.

mod support;

use std::path::Path;

use vcp_core::{Cache, DirectoryGrant, Engine, Event, Injection, Module, Vcp};
use vcp_queue::{Operation, Status};

use support::{Driver, next, settings_for};

/// Starts the file VCP on `path`, with `granted` under `/data` if there is one.
fn start(path: &str, granted: Option<(&Path, bool)>) -> (Vcp, Event) {
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_builtin::find("file").unwrap().bytes;
    let module = Module::load(&engine, &Cache::of_user(), "file", bytes).unwrap();
    let config: &[_] = match granted {
        Some((_, true)) => &[("path", path), ("read-only", "true")],
        _ => &[("path", path), ("size", "1MiB")],
    };
    let mut settings = settings_for(module, config);
    let open = |(host, read_only)| DirectoryGrant::open(host, "/data", read_only).unwrap();
    settings.grants = granted.map(open).into_iter().collect();
    let (vcp, mut events) = Vcp::start(&engine, settings).unwrap();
    let outcome = loop {
        match next(&mut events) {
            Event::Fault { .. } => {}
            event => break event,
        }
    };
    (vcp, outcome)
}

#[test]
fn a_granted_directory_holds_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (vcp, ready) = start("/data/disk.img", Some((directory.path(), false)));
    assert!(matches!(ready, Event::Ready(geometry) if geometry.size == 1 << 20));
    let driver = Driver::attach(&vcp);
    driver.write(1, 4096, vec![7; 8192]);
    assert_eq!(driver.answer().1, Status::Ok);
    driver.ask(2, Operation::Flush, 0, 0, Vec::new());
    assert_eq!(driver.answer().1, Status::Ok);
    let contents = std::fs::read(directory.path().join("disk.img")).unwrap();
    assert_eq!(contents.len(), 1 << 20);
    assert!(contents[4096..12288].iter().all(|byte| *byte == 7));
    assert!(contents[..4096].iter().all(|byte| *byte == 0));

    // The next instance finds what this one wrote.
    vcp.inject(Injection::Kill);
    driver.ask(3, Operation::Read, 4096, 8192, Vec::new());
    assert_eq!(driver.answer(), (3, Status::Ok, vec![7; 8192]));
    drop(vcp);

    let (vcp, ready) = start("/data/disk.img", Some((directory.path(), true)));
    assert!(matches!(ready, Event::Ready(geometry) if geometry.read_only));
    let driver = Driver::attach(&vcp);
    driver.write(1, 0, vec![1; 512]);
    assert_eq!(driver.answer().1, Status::NotPermitted);
}

#[test]
fn what_is_not_granted_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("granted");
    std::fs::create_dir(&inner).unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, [0; 4096]).unwrap();
    std::os::unix::fs::symlink(&secret, inner.join("link")).unwrap();
    let outside = secret.to_str().unwrap();
    for (path, granted) in [
        (outside, None),
        ("/data/disk.img", None),
        (outside, Some((&*inner, false))),
        ("/data/../secret", Some((&*inner, false))),
        ("/data/link", Some((&*inner, false))),
        ("/proc/self/environ", Some((&*inner, false))),
    ] {
        let (_vcp, outcome) = start(path, granted);
        let Event::Failed(why) = outcome else {
            panic!("{path}: {outcome:?}")
        };
        assert!(why.starts_with(&format!("config.path: {path}: ")), "{why}");
    }
    assert_eq!(std::fs::read(&secret).unwrap(), [0; 4096]);
}

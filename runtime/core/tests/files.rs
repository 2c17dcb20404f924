//! The file VCP: a granted directory gives it files, and nothing else does.

mod support;

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use vcp_core::{Cache, DirectoryGrant, Engine, Event, Injection, Module, Vcp};
use vcp_queue::{ClientRequest, Extent, Modifiers, Operation, Status};

use support::{Driver, next, request, settings_for};

const MIB: u64 = 1 << 20;

/// Starts the file VCP on `path`, with `granted` under `/data` if there is one.
fn start(path: &str, granted: Option<(&Path, bool)>) -> (Vcp, Event) {
    let config: &[_] = match granted {
        Some((_, true)) => &[("path", path), ("read-only", "true")],
        _ => &[("path", path), ("size", "1MiB")],
    };
    configured(config, granted)
}

fn configured(config: &[(&str, &str)], granted: Option<(&Path, bool)>) -> (Vcp, Event) {
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_builtin::find("file").unwrap().bytes;
    let module = Module::load(&engine, &Cache::of_user(), "file", bytes).unwrap();
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

/// Serves an existing file as a disk.
fn serve(directory: &Path, name: &str) -> (Vcp, Driver) {
    let path = format!("/data/{name}");
    let (vcp, ready) = configured(&[("path", &path)], Some((directory, false)));
    assert!(matches!(ready, Event::Ready(_)), "{ready:?}");
    let driver = Driver::attach(&vcp);
    (vcp, driver)
}

fn told(driver: &Driver, offset: u64, length: u32) -> Vec<(u32, bool)> {
    driver.ask(99, Operation::Extents, offset, length, Vec::new());
    let (_, status, bytes) = driver.answer();
    assert_eq!(status, Status::Ok);
    let extents = Extent::parse(&bytes).map(|extent| (extent.length, extent.hole && extent.zero));
    extents.collect()
}

fn zeroes(offset: u64, length: u32, no_unmap: bool) -> ClientRequest {
    let modifiers = Modifiers {
        fua: true,
        no_unmap,
    };
    ClientRequest {
        modifiers,
        ..request(1, Operation::WriteZeroes, offset, length, Vec::new())
    }
}

#[test]
fn space_comes_back_and_is_seen_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.img");
    let file = File::create(&path).unwrap();
    file.set_len(8 * MIB).unwrap();
    let blocks = || std::fs::metadata(&path).unwrap().blocks();
    let (_vcp, driver) = serve(directory.path(), "disk.img");
    let all = (8 * MIB) as u32;
    assert_eq!(told(&driver, 0, all), [(all, true)]);
    driver.write(1, MIB, vec![7; 3 << 20]);
    assert_eq!(driver.answer().1, Status::Ok);
    assert_eq!(
        told(&driver, 0, all),
        [(1 << 20, true), (3 << 20, false), (4 << 20, true)]
    );
    let full = blocks();
    assert!(full >= 3 << 11, "{full}");

    driver.ask(1, Operation::Discard, MIB, 1 << 20, Vec::new());
    assert_eq!(driver.answer().1, Status::Ok);
    driver.ask_all([zeroes(2 * MIB, 1 << 20, false)]);
    assert_eq!(driver.answer().1, Status::Ok);
    assert_eq!(
        told(&driver, 0, all),
        [(3 << 20, true), (1 << 20, false), (4 << 20, true)]
    );
    assert!(full - blocks() >= 2 << 11, "{full} and {}", blocks());

    // Space that is to be kept is kept, and reads as zeroes all the same.
    let before = blocks();
    driver.ask_all([zeroes(3 * MIB, 1 << 20, true)]);
    assert_eq!(driver.answer().1, Status::Ok);
    assert!(blocks() >= before, "{before} and {}", blocks());
    assert!(std::fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
}

/// The bytes are compared with a model, while the instance dies in between.
#[test]
fn bytes_are_those_of_a_model() {
    const SIZE: usize = 3 * 65536 + 1;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("odd.img");
    let mut model: Vec<u8> = (0..SIZE).map(|n| n as u8 | 1).collect();
    std::fs::write(&path, &model).unwrap();
    let (vcp, driver) = serve(directory.path(), "odd.img");
    let mut seed = 7_u64;
    let mut dice = |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % sides
    };
    for n in 0..400 {
        let start = dice(SIZE);
        let length = 1 + dice((SIZE - start).min(20_000));
        let range = start..start + length;
        let (at, bytes) = (start as u64, length as u32);
        let asked = match dice(5) {
            0 => request(1, Operation::Write, at, bytes, vec![n as u8; length]),
            1 => zeroes(at, bytes, false),
            2 => zeroes(at, bytes, true),
            3 => request(1, Operation::Discard, at, bytes, Vec::new()),
            _ => request(1, Operation::Read, at, bytes, Vec::new()),
        };
        match asked.operation {
            Operation::Write => model[range.clone()].fill(n as u8),
            Operation::Read => {}
            // What is discarded from a file reads as zeroes.
            _ => model[range.clone()].fill(0),
        }
        let reads = asked.operation == Operation::Read;
        driver.ask_all([asked]);
        if n % 50 == 49 {
            vcp.inject(Injection::Kill);
        }
        let (_, status, data) = driver.answer();
        assert_eq!(status, Status::Ok, "{n}");
        assert!(!reads || data == model[range], "{n}");
        // There is no hole where there is data.
        let mut at = start;
        for (length, hole) in told(&driver, start as u64, bytes) {
            let run = &model[at..at + length as usize];
            assert!(!hole || run.iter().all(|byte| *byte == 0), "{n}");
            at += length as usize;
        }
    }
    assert!(std::fs::read(&path).unwrap() == model);
}

#[test]
fn the_last_bytes_of_a_file_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("odd.img");
    std::fs::write(&path, [5; 1001]).unwrap();
    let (_vcp, driver) = serve(directory.path(), "odd.img");
    driver.write(1, 999, vec![6, 7]);
    assert_eq!(driver.answer().1, Status::Ok);
    driver.ask(2, Operation::Read, 998, 3, Vec::new());
    assert_eq!(driver.answer(), (2, Status::Ok, vec![5, 6, 7]));
    driver.write(3, 1000, vec![1, 2]);
    assert_eq!(driver.answer().1, Status::NoSpace);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 1001);
}

/// If others change the file meanwhile, that is an error for clients and no fault.
#[test]
fn a_file_that_is_cut_off_is_an_error_of_the_medium() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.img");
    std::fs::write(&path, vec![5; 1 << 20]).unwrap();
    let (vcp, driver) = serve(directory.path(), "cut.img");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(4096).unwrap();
    driver.ask(1, Operation::Read, 0, 8192, Vec::new());
    assert_eq!(driver.answer().1, Status::IoError);
    // Bytes that are not there are no hole, and writing to them does not bring them back.
    assert_eq!(told(&driver, 0, 1 << 20), [(4096, false)]);
    let asked = |operation, offset, length| request(2, operation, offset, length, Vec::new());
    for request in [
        asked(Operation::Extents, 4096, 4096),
        asked(Operation::Extents, 65536, 65536),
        asked(Operation::Discard, 65536, 65536),
        asked(Operation::Discard, 0, 65536),
        zeroes(65536, 65536, false),
        zeroes(0, 65536, true),
        request(2, Operation::Write, 4095, 2, vec![1, 2]),
        request(2, Operation::Write, 65536, 2, vec![1, 2]),
    ] {
        let what = format!("{request:?}");
        driver.ask_all([request]);
        assert_eq!(driver.answer().1, Status::IoError, "{what}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096, "{what}");
    }
    // The bytes that are there are served as before.
    driver.ask_all([zeroes(0, 4096, false)]);
    assert_eq!(driver.answer().1, Status::Ok);
    driver.write(3, 4000, vec![9; 96]);
    assert_eq!(driver.answer().1, Status::Ok);
    file.write_all_at(&[6; 10], 8182).unwrap();
    driver.ask(3, Operation::Read, 8182, 10, Vec::new());
    assert_eq!(driver.answer(), (3, Status::Ok, vec![6; 10]));
    assert_eq!(vcp.stats().faults, 0);
}

#[test]
fn only_files_are_opened_and_as_granted() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path();
    std::fs::create_dir(inner.join("dir")).unwrap();
    std::fs::write(inner.join("empty"), []).unwrap();
    std::fs::write(inner.join("full"), [0; 4096]).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(inner.join("fifo"))
        .status();
    assert!(fifo.unwrap().success());
    std::os::unix::fs::symlink("full", inner.join("good")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", inner.join("bad")).unwrap();
    let fails = |name: &str, read_only: bool| {
        let path = format!("/data/{name}");
        let flag = if read_only { "true" } else { "false" };
        let config = [("path", &*path), ("read-only", flag)];
        match configured(&config, Some((inner, true))).1 {
            Event::Failed(why) => why,
            event => panic!("{name}: {event:?}"),
        }
    };
    let why = |name: &str, what: &str| format!("config.path: /data/{name}: {what}");
    assert_eq!(fails("fifo", true), why("fifo", "is not a regular file"));
    assert_eq!(fails("dir", true), why("dir", "is not a regular file"));
    assert_eq!(
        fails("empty", true),
        why("empty", "holds nothing; give a size")
    );
    let reading = "the directory was granted for reading only";
    assert_eq!(fails("full", false), why("full", reading));
    assert!(fails("bad", true).starts_with("config.path: /data/bad: "));
    assert!(fails("none", true).contains("No such file"));
    let config = [("path", "/data/good"), ("read-only", "true")];
    let (_vcp, ready) = configured(&config, Some((inner, true)));
    assert!(matches!(ready, Event::Ready(geometry) if geometry.size == 4096));
}

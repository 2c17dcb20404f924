//! Compiled modules for the machine. Compiled there they take most of a minute, and
//! what this machine compiles is refused there: its CPU has more than the emulated
//! one. So the first machine after a change of `vcp` compiles them and hands them
//! out, and the others find them in their cache.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::agent::CACHE;
use super::kernel;
use super::machine::Vm;
use crate::process::poll;
use crate::vcp::binary;

/// The emulated CPU, which compiled code is for.
pub const CPU: &str = "max";

/// How long compiling may take there.
const COMPILE: Duration = Duration::from_secs(300);

/// Names and contents of the files in the cache.
#[derive(Debug)]
pub struct Warm(Vec<(String, Vec<u8>)>);

impl Warm {
    /// What an earlier machine has made, of this very `vcp`.
    #[must_use]
    pub fn find() -> Option<Self> {
        let directory = directory();
        if fs::read_to_string(directory.join("made-by")).ok()? != maker() {
            return None;
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).ok()?.flatten() {
            let name = entry.file_name().into_string().ok()?;
            if name.ends_with(".cwasm") {
                files.push((name, fs::read(entry.path()).ok()?));
            }
        }
        (!files.is_empty()).then_some(Self(files))
    }

    /// Has a machine compile them, and keeps them for the next tests.
    ///
    /// # Panics
    /// When it can't.
    pub fn make(vm: &mut Vm) -> Self {
        let compile = "vcp run ramdisk size=1MiB --run true && \
             { vcp discover iscsi://127.0.0.1:1 || true; }";
        let outcome = vm.ask(compile, COMPILE);
        let seconds = outcome.elapsed.as_secs_f32();
        outcome.expect_success(compile);
        println!("compiled in {seconds:.1} s");
        let directory = directory();
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("making a directory for compiled modules");
        let listing = vm.run(&format!("ls {CACHE}"));
        let names: Vec<&str> = listing
            .lines()
            .filter(|name| name.ends_with(".cwasm"))
            .collect();
        assert!(!names.is_empty(), "nothing was compiled: {listing}");
        let files = names.iter().map(|name| {
            let bytes = fetch(vm, &format!("{CACHE}/{name}"));
            fs::write(directory.join(name), &bytes).expect("writing a compiled module");
            ((*name).to_owned(), bytes)
        });
        let warm = Self(files.collect());
        // Last: what is beside it is whole.
        fs::write(directory.join("made-by"), maker()).expect("noting what they are of");
        warm
    }

    /// Names and contents.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

/// A file out of the machine, by its network: the serial port takes a minute for it.
fn fetch(vm: &mut Vm, path: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let job = vm.start_job(&format!("nc 10.0.2.2 {port} < {path}"));
    listener.set_nonblocking(true).expect("a flag");
    let accepted = poll(Duration::from_secs(30), || listener.accept().ok());
    let (mut stream, _) = accepted.expect("the machine connects");
    stream.set_nonblocking(false).expect("a flag");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a file");
    drop(stream);
    let outcome = vm.end(job, Duration::from_secs(30));
    outcome.expect_success("nc");
    let expected = vm.run(&format!("stat -c %s {path}"));
    assert_eq!(bytes.len().to_string(), expected.trim(), "{path}");
    bytes
}

fn directory() -> PathBuf {
    kernel::directory().join("compiled")
}

/// Changes with the program.
fn maker() -> String {
    let binary = fs::metadata(binary()).expect("it is there");
    format!(
        "{CPU} {} {}.{}",
        binary.size(),
        binary.mtime(),
        binary.mtime_nsec()
    )
}

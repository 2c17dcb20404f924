//! The iSCSI VCP as native code in a shared object (`vcp-native-iscsi`), as the core
//! has VCPs that are compiled in. Loading and calling it is the only unsafe code here;
//! what is loaded was built from this workspace and is trusted as the program is that
//! loads it.

#[path = "../../native/src/abi.rs"]
#[expect(dead_code, reason = "the other side uses the rest")]
mod abi;
mod convert;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use libloading::{Library, Symbol};
use vcp_core::native::{Areas, Effects, Events, NativeVcp, Network, Span, Start};
use vcp_core::{Module, World};

use abi::Functions;
use convert::Flat;

/// The module that runs without a box: the shared object that the environment's
/// `VCP_NATIVE_ISCSI` names, else the one in the workspace's target directory, where
/// `cargo build --profile guest --package vcp-native-iscsi` leaves it.
///
/// # Errors
/// It is not there, or is of another version of this program.
pub fn native_iscsi() -> Result<Module> {
    let built = || {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        benches.join("../target/guest/libvcp_native_iscsi.so")
    };
    let path = std::env::var_os("VCP_NATIVE_ISCSI").map_or_else(built, PathBuf::from);
    let functions = load(&path)?;
    let make = move || Box::new(Instance::new(functions)) as _;
    Ok(Module::native("iscsi", World::Processor, make))
}

/// Loads the shared object, which stays for as long as the process.
fn load(path: &Path) -> Result<&'static Functions> {
    let what = || format!("loading {}", path.display());
    // SAFETY: what it runs when it is loaded is what Rust's standard library does.
    let library = unsafe { Library::new(path) }.with_context(what)?;
    let library: &'static Library = Box::leak(Box::new(library));
    type Entry = unsafe extern "C" fn() -> *const Functions;
    // SAFETY: that is its type, as `abi` has it.
    let entry: Symbol<'_, Entry> = unsafe { library.get(abi::ENTRY) }.with_context(what)?;
    // SAFETY: it returns a static of the library, which is never unloaded. Its first
    // field is the version in all versions.
    let functions = unsafe { &*entry() };
    ensure!(
        functions.version == abi::VERSION,
        "{}: built for another version of this program",
        path.display()
    );
    Ok(functions)
}

/// One instance.
struct Instance {
    functions: &'static Functions,
    own: *mut abi::Instance,
    /// The events of a call, in room that is used again.
    flat: Flat,
}

// SAFETY: the VCP is a value of its own that is called through `&mut`, or read through
// `&`, on one thread at a time; it knows nothing of threads.
unsafe impl Send for Instance {}

impl Instance {
    fn new(functions: &'static Functions) -> Self {
        // SAFETY: it may be called at any time.
        let own = unsafe { (functions.make)() };
        Self {
            functions,
            own,
            flat: Flat::default(),
        }
    }
}

impl NativeVcp for Instance {
    fn init(&mut self, start: &Start, network: Option<&Network>) -> Result<Areas, String> {
        let Some(Network::Frames(link)) = network else {
            return Err("needs a link that carries frames".to_owned());
        };
        let nothing = abi::Span {
            address: 0,
            length: 0,
        };
        let mut areas = abi::Areas {
            data: nothing,
            receive: nothing,
        };
        let refused = convert::with_start(start, link, |start| {
            // SAFETY: the instance is ours, and the arguments are there for the call.
            let why = unsafe { (self.functions.init)(self.own, start, &raw mut areas) };
            // SAFETY: it stays until the next call.
            unsafe { why.entries() }.map(convert::text)
        });
        match refused {
            Some(why) => Err(why),
            None => Ok(convert::areas(&areas)),
        }
    }

    fn process(&mut self, events: &Events) -> Effects {
        let events = self.flat.fill(events);
        // SAFETY: the instance is ours, and what the events name is there.
        let effects = unsafe { (self.functions.process)(self.own, &raw const events) };
        // SAFETY: what they name stays until the next call.
        unsafe { convert::effects(&effects) }
    }

    fn bytes(&self, span: Span) -> Option<&[u8]> {
        // SAFETY: the instance is ours; the bytes stay as they are while it is
        // borrowed.
        unsafe { (self.functions.bytes)(self.own, convert::span_of(span)).entries() }
    }

    fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        // SAFETY: as above, and it is borrowed by one only.
        unsafe { (self.functions.bytes_mut)(self.own, convert::span_of(span)).entries_mut() }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: it is ours, and not used again.
        unsafe { (self.functions.drop)(self.own) };
    }
}

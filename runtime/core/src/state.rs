//! The host's side of a VCP's imports: its log, and of files and WASI only what was granted.
//! (The file operations are in `file`.)

use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{ResourceLimiter, Trap};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

use crate::allotment::Limiter;
use crate::bindings::{block, control, files, frames, log, memory, streams, types};
use crate::file::Patience;
use crate::guest::Boundary;
use crate::logging::{Log, Stream};
use crate::memory::GuestMemory;
use crate::output::Output;

/// A directory of the host that a VCP may use.
///
/// It is opened once, when it is granted: every generation gets the same
/// directory, wherever its path leads by then.
#[derive(Debug, Clone)]
pub struct DirectoryGrant {
    directory: Arc<Dir>,
    guest: String,
    read_only: bool,
}

/// Why a directory can't be granted.
#[derive(Debug, thiserror::Error)]
#[error("directory {}: {error}", path.display())]
pub struct GrantError {
    path: PathBuf,
    error: std::io::Error,
}

impl DirectoryGrant {
    /// Opens `host` to be seen as `guest` by the VCP.
    pub fn open(host: &std::path::Path, guest: &str, read_only: bool) -> Result<Self, GrantError> {
        let directory =
            Dir::open_ambient_dir(host, ambient_authority()).map_err(|error| GrantError {
                path: host.to_owned(),
                error,
            })?;
        Ok(Self {
            directory: Arc::new(directory),
            guest: guest.to_owned(),
            read_only,
        })
    }

    pub(crate) fn directory(&self) -> &Dir {
        &self.directory
    }

    /// The path at which the VCP sees it.
    pub(crate) fn guest(&self) -> &str {
        &self.guest
    }

    pub(crate) fn read_only(&self) -> bool {
        self.read_only
    }
}

/// The data of a VCP's store.
pub(crate) struct State {
    wasi: WasiCtx,
    grants: Vec<DirectoryGrant>,
    /// The instance's linear memory, once there is one.
    memory: Option<GuestMemory>,
    resources: ResourceTable,
    limits: Limiter,
    /// Whether its `init` has yet to return.
    starting: bool,
    log: Log,
    boundary: Arc<Boundary>,
    /// Fuel that host functions may still use in this call.
    fuel: u64,
    /// Time that files may still take in this call.
    patience: Patience,
}

/// What the host's part of a log message costs, in fuel (about 0.14 ns each): the
/// guest's own meter stands still meanwhile.
const MESSAGE_FUEL: u64 = 1000;
const BYTE_FUEL: u64 = 4;

/// Handles to the host's objects that an instance may hold, files among them.
const MAX_HANDLES: usize = 256;
/// Random bytes in one call of a granted WASI.
const MAX_RANDOM: u64 = 1 << 20;

impl State {
    pub(crate) fn new(
        grants: &[DirectoryGrant],
        memory: Option<usize>,
        log: Log,
        boundary: Arc<Boundary>,
    ) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtx::builder();
        // The channel processor is the VCP's own thread, so file operations may
        // as well run on it.
        wasi.allow_blocking_current_thread(true);
        // Even a socket that can't be connected is a descriptor, so there are none.
        wasi.allow_tcp(false).allow_udp(false);
        wasi.max_random_size(MAX_RANDOM);
        let output = |stream| Output {
            log: log.clone(),
            stream,
        };
        wasi.stdout(output(Stream::Out)).stderr(output(Stream::Err));
        for grant in grants {
            let permissions = if grant.read_only {
                FsPerms::ReadOnly
            } else {
                FsPerms::ReadWrite
            };
            let path = format!("/proc/self/fd/{}", grant.directory.as_raw_fd());
            wasi.preopened_dir(path, &grant.guest, permissions)?;
        }
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MAX_HANDLES);
        Ok(Self {
            wasi: wasi.build(),
            grants: grants.to_vec(),
            memory: None,
            resources,
            limits: Limiter::new(memory),
            starting: true,
            log,
            boundary,
            fuel: 0,
            patience: Patience::default(),
        })
    }

    /// Gives host functions as much fuel as the guest has for a call; returns
    /// what was left.
    pub(crate) fn refuel(&mut self, fuel: u64) -> u64 {
        std::mem::replace(&mut self.fuel, fuel)
    }

    fn charge(&mut self, fuel: u64) -> wasmtime::Result<()> {
        self.fuel = self.fuel.checked_sub(fuel).ok_or(Trap::OutOfFuel)?;
        Ok(())
    }

    /// Begins a host function, at this price in fuel.
    pub(crate) fn call(&mut self, fuel: u64) -> wasmtime::Result<()> {
        self.boundary.cross()?;
        self.charge(fuel)
    }

    /// Ends a host function with this value.
    pub(crate) fn back<T>(&self, value: T) -> wasmtime::Result<T> {
        self.boundary.cross()?;
        Ok(value)
    }

    /// The patience for files in this call.
    pub(crate) fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    pub(crate) fn grants(&self) -> &[DirectoryGrant] {
        &self.grants
    }

    pub(crate) fn resources(&mut self) -> &mut ResourceTable {
        &mut self.resources
    }

    /// Lets host functions reach the guest's bytes from now on.
    pub(crate) fn set_linear_memory(&mut self, memory: GuestMemory) {
        self.memory = Some(memory);
    }

    /// The guest's bytes while it waits for a host function, `None` before it has any.
    pub(crate) fn linear_memory(&mut self) -> Option<&mut GuestMemory> {
        self.memory.as_mut()
    }

    pub(crate) fn limits(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }

    /// The most linear memory that it may have, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.limits.memory
    }

    /// Sets the operator's limit of memory, or leaves it to the module.
    pub(crate) fn set_memory(&mut self, given: Option<usize>) {
        self.limits.set_given(given);
    }

    /// Notes that its `init` is over: from now on it gets no memory by asking.
    pub(crate) fn set_started(&mut self) {
        self.starting = false;
    }

    /// The instance's log.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The size of linear memory that it was last refused, in bytes.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.limits.refused
    }

    pub(crate) fn forget_refusal(&mut self) {
        self.limits.refused = None;
    }
}

/// Links everything that a component of any world may import.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    files::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    memory::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.resources,
        }
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.call(MESSAGE_FUEL + BYTE_FUEL * message.len() as u64)?;
        self.log.write(level, &message);
        self.back(())
    }
}

impl memory::Host for State {
    fn request(&mut self, bytes: u64) -> wasmtime::Result<Result<(), String>> {
        self.boundary.cross()?;
        self.charge(MESSAGE_FUEL)?;
        let answer = if self.starting {
            self.limits.request(bytes)
        } else {
            Err("memory is asked for in `init` only".to_owned())
        };
        self.boundary.cross()?;
        Ok(answer)
    }
}

impl types::Host for State {}
impl control::Host for State {}
impl block::Host for State {}
impl frames::Host for State {}
impl streams::Host for State {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_have_a_limit_and_memory_is_asked_for_at_the_start() {
        let mut state = State::new(
            &[],
            Some(1 << 20),
            Log::new("test".into(), 1),
            Arc::default(),
        )
        .unwrap();
        state.refuel(1 << 20);
        let ask = |state: &mut State| memory::Host::request(state, 1 << 19).unwrap();
        assert_eq!(ask(&mut state), Ok(()));
        state.set_started();
        assert!(ask(&mut state).unwrap_err().contains("`init`"));
        for _ in 0..MAX_HANDLES {
            state.resources.push(()).unwrap();
        }
        assert!(state.resources.push(()).is_err());
    }

    #[test]
    fn host_functions_are_paid_for() {
        let mut state = State::new(
            &[],
            Some(1 << 20),
            Log::new("test".into(), 1),
            Arc::default(),
        )
        .unwrap();
        state.refuel(2000);
        state.charge(1500).unwrap();
        assert!(state.charge(501).is_err());
        assert_eq!(state.refuel(0), 500);
    }
}

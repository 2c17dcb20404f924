//! What stands behind a VCP's imports: its log, and of WASI only what was
//! granted.

use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

use crate::bindings::{block, control, frames, log, streams, types};
use crate::engine::Engine;
use crate::logging::Logger;

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
}

/// The data of a VCP's store.
pub(crate) struct State {
    wasi: WasiCtx,
    resources: ResourceTable,
    limits: StoreLimits,
    logger: Logger,
}

impl State {
    pub(crate) fn new(
        grants: &[DirectoryGrant],
        memory: usize,
        logger: Logger,
    ) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtx::builder();
        // The channel processor is the VCP's own thread, so file operations may
        // as well run on it.
        wasi.allow_blocking_current_thread(true);
        for grant in grants {
            let permissions = if grant.read_only {
                FsPerms::ReadOnly
            } else {
                FsPerms::ReadWrite
            };
            let path = format!("/proc/self/fd/{}", grant.directory.as_raw_fd());
            wasi.preopened_dir(path, &grant.guest, permissions)?;
        }
        let limits = StoreLimitsBuilder::new().memory_size(memory).build();
        Ok(Self {
            wasi: wasi.build(),
            resources: ResourceTable::new(),
            limits,
            logger,
        })
    }

    pub(crate) fn limits(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }
}

/// Everything a component of any world may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(&engine.wasmtime);
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
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
    fn write(&mut self, level: log::Level, message: String) {
        self.logger.write(level, &message);
    }
}

impl types::Host for State {}
impl control::Host for State {}
impl block::Host for State {}
impl frames::Host for State {}
impl streams::Host for State {}

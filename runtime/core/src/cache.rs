//! Compiled artifacts, kept on disk and keyed by the component's content and by
//! everything of the engine that matters to compiled code.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engine::Engine;

/// A directory of compiled components.
///
/// Compiled code is native code: whoever can write here can run anything as this
/// user. So the directory must belong to the user and be writable by nobody
/// else, or it is not used.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    directory: Option<PathBuf>,
}

impl Cache {
    /// No cache: everything is compiled anew.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// The user's cache: `$XDG_CACHE_HOME/vcp`, `~/.cache/vcp`, or none when
    /// there is no such place or it is not safe to use.
    pub fn of_user() -> Self {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
        base.map_or_else(Self::disabled, |base| Self::at(&base.join("vcp")))
    }

    /// A cache in `directory`, which is made if it is missing.
    pub fn at(directory: &Path) -> Self {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        match made.and_then(|()| safe(directory)) {
            Ok(true) => Self {
                directory: Some(directory.to_owned()),
            },
            Ok(false) => {
                tracing::warn!(
                    "{}: not ours alone to write, so compiled modules are not cached",
                    directory.display()
                );
                Self::disabled()
            }
            Err(error) => {
                tracing::debug!(
                    "{}: {error}; compiled modules are not cached",
                    directory.display()
                );
                Self::disabled()
            }
        }
    }

    /// The compiled form of `bytes`: from the cache, or compiled and put there.
    pub(crate) fn compile(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
        let path = self
            .directory
            .as_ref()
            .map(|dir| dir.join(key(engine, bytes)));
        if let Some(component) = path.as_ref().and_then(|path| load(engine, path)) {
            return Ok(component);
        }
        let component = Component::from_binary(&engine.wasmtime, bytes)?;
        if let Some(path) = path
            && let Err(error) = store(&component, &path)
        {
            tracing::debug!("{}: {error:#}; not cached", path.display());
        }
        Ok(component)
    }
}

/// Whether only this user (and root) can write in `directory`.
fn safe(directory: &Path) -> std::io::Result<bool> {
    let metadata = fs::metadata(directory)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    Ok(ours && metadata.permissions().mode() & 0o022 == 0)
}

fn key(engine: &Engine, bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    engine
        .wasmtime
        .precompile_compatibility_hash()
        .hash(&mut hasher);
    let digest = Sha256::digest(bytes);
    let content: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{content}-{:016x}.cwasm", hasher.finish())
}

fn load(engine: &Engine, path: &Path) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    // SAFETY: the file lies in a directory that only this user can write to, and
    // only `store` writes there.
    match unsafe { Component::deserialize_file(&engine.wasmtime, path) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::debug!("{}: {error:#}; compiling anew", path.display());
            None
        }
    }
}

/// Writes to a temporary name first: a reader sees all of it or nothing.
fn store(component: &Component, path: &Path) -> anyhow::Result<()> {
    let artifact = component
        .serialize()
        .map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::File::create(&temporary)?;
    let written = file
        .write_all(&artifact)
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error that matters is already in hand.
        let _ = fs::remove_file(&temporary);
    }
    Ok(written?)
}

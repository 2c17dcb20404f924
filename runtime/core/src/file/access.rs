//! Opening a file of a granted directory, and no other.

use std::fs::File;
use std::io;
use std::path::{Component, Path};

use cap_std::fs::{OpenOptions, OpenOptionsExt as _};
use rustix::fs::OFlags;

use crate::bindings::files::Access;
use crate::state::DirectoryGrant;

/// Why a file is not opened: one clause, without its path.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("lies in no directory that was granted")]
    NotGranted,
    #[error("the directory was granted for reading only")]
    ReadOnly,
    #[error("is to be made, but not to be written")]
    Create,
    #[error("is not a regular file")]
    NotAFile,
    #[error("is one more than may be open at a time")]
    TooMany,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens a file, and says whether it may be written.
pub(super) fn open(
    grants: &[DirectoryGrant],
    path: &str,
    access: Access,
) -> Result<(File, bool), OpenError> {
    let write = access.contains(Access::WRITE);
    let create = access.contains(Access::CREATE);
    let (grant, rest) = find(grants, path).ok_or(OpenError::NotGranted)?;
    if create && !write {
        return Err(OpenError::Create);
    }
    if write && grant.read_only() {
        return Err(OpenError::ReadOnly);
    }
    let mut options = OpenOptions::new();
    options.read(true).write(write).create(create);
    // What is no regular file may keep whoever opens it waiting.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed());
    let file = grant.directory().open_with(rest, &options)?.into_std();
    if !file.metadata()?.is_file() {
        return Err(OpenError::NotAFile);
    }
    Ok((file, write))
}

/// The grant whose directory a path lies in, the innermost of them, and the path within.
/// Where that leads is for the directory to say.
fn find<'a>(grants: &'a [DirectoryGrant], path: &'a str) -> Option<(&'a DirectoryGrant, &'a Path)> {
    let depth = |grant: &DirectoryGrant| Path::new(grant.guest()).components().count();
    let within = grants.iter().filter_map(|grant| {
        let rest = Path::new(path).strip_prefix(grant.guest()).ok()?;
        Some((grant, rest))
    });
    within
        .filter(|(_, rest)| matches!(rest.components().next(), Some(Component::Normal(_))))
        .max_by_key(|(grant, _)| depth(grant))
}

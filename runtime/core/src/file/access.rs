//! Opening a file of a granted directory, and no other.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::{MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::OFlags;

use super::OpenFile;
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

/// Opens a file.
pub(super) fn open(
    grants: &[DirectoryGrant],
    path: &str,
    access: Access,
) -> Result<OpenFile, OpenError> {
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
    options.read(true).write(write);
    // Opening something other than a regular file may block.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed());
    let (file, new) = open_or_make(grant, rest, options, create)?;
    let file = Arc::new(file);
    let made = new.then(|| Made {
        grant: grant.clone(),
        path: rest.to_owned(),
        file: Arc::clone(&file),
    });
    if !file.metadata()?.is_file() {
        return Err(OpenError::NotAFile);
    }
    Ok(OpenFile {
        file,
        writable: write,
        _made: made,
    })
}

/// Opens a file or makes it, and says whether it was made: a file that was there is not the
/// VCP's to remove.
fn open_or_make(
    grant: &DirectoryGrant,
    path: &Path,
    mut options: OpenOptions,
    create: bool,
) -> io::Result<(File, bool)> {
    let open = |options: &OpenOptions| grant.directory().open_with(path, options);
    let missing = match open(&options) {
        Ok(file) => return Ok((file.into_std(), false)),
        Err(error) if create && error.kind() == io::ErrorKind::NotFound => error,
        Err(error) => return Err(error),
    };
    match open(options.clone().create_new(true)) {
        Ok(file) => Ok((file.into_std(), true)),
        // Another process has made it meanwhile, or it is a dangling link.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = open(options.create(true)).map_err(|_| missing)?;
            Ok((file.into_std(), false))
        }
        Err(error) => Err(error),
    }
}

/// A file that was made. If it is still empty when it is closed, it never got to its size,
/// and is removed.
pub(super) struct Made {
    grant: DirectoryGrant,
    path: PathBuf,
    file: Arc<File>,
}

impl Drop for Made {
    fn drop(&mut self) {
        let Ok(own) = self.file.metadata() else {
            return;
        };
        let named = self.grant.directory().symlink_metadata(&self.path);
        let same = named.is_ok_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino()));
        if same && own.len() == 0 {
            // A file that can't be removed does no more harm than one that was made.
            let _ = self.grant.directory().remove_file(&self.path);
        }
    }
}

/// The innermost grant whose directory a path lies in, and the path within. The directory
/// decides where that leads.
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

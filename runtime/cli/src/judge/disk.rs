//! The file that the built-in module `file` keeps a disk in.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use vcp_config::{ByteSize, Vcp};

/// The file, as the host sees it.
pub(super) struct File {
    path: PathBuf,
    /// The size to which it is made, or extended.
    wanted: Option<u64>,
    read_only: bool,
}

/// The file of this VCP, if it has such a disk in a directory granted to it.
pub(super) fn file(vcp: &Vcp) -> Option<File> {
    if !vcp.module.is_builtin("file") {
        return None;
    }
    let path = Path::new(vcp.settings.plain("path")?);
    let (grant, rest) = vcp.files.iter().find_map(|grant| {
        let rest = path.strip_prefix(&grant.guest).ok()?;
        Some((grant, rest))
    })?;
    let size: Option<ByteSize> = vcp.settings.plain("size").and_then(|s| s.parse().ok());
    Some(File {
        path: grant.host.join(rest),
        wanted: size.map(ByteSize::bytes),
        read_only: vcp.settings.plain("read-only") == Some("true"),
    })
}

impl File {
    /// Whether a start would create or extend the file.
    pub(super) fn is_to_be_made(&self) -> bool {
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        !self.read_only && self.wanted.is_some_and(|wanted| length < wanted)
    }

    /// Whether the file could be created. An existing one is for the module to open.
    pub(super) fn look(&self) -> Result<(), String> {
        if !self.is_to_be_made() {
            return Ok(());
        }
        let there = self.path.exists();
        let at = match self.path.parent() {
            Some(directory) if !there => directory,
            _ => &self.path,
        };
        access(at, Access::WRITE_OK).map_err(|errno| {
            let why = std::io::Error::from(errno);
            let what = if there { "made longer" } else { "made" };
            format!("{} can't be {what}: {why}", self.path.display())
        })
    }
}

//! The file of a disk that the built-in module `file` keeps in one.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use vcp_config::{ByteSize, Vcp};

/// The file, as the host sees it.
pub(super) struct File {
    path: PathBuf,
    /// Bytes that it is made for, or made longer to.
    wanted: Option<u64>,
    read_only: bool,
}

/// That of this VCP, if it is of such a disk and lies in a directory that is granted to it.
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
    /// Whether a start would make it, or make it longer.
    pub(super) fn is_to_be_made(&self) -> bool {
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        !self.read_only && self.wanted.is_some_and(|wanted| length < wanted)
    }

    /// Whether it could be made. One that is there is for the module to open.
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

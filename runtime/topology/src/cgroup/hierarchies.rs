//! Which control group hierarchies are mounted, and where.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The longest mountinfo that is read; hosts of thousands of containers have 1 MB.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// The controllers that matter here.
const CONTROLLERS: [&str; 2] = ["cpu", "cpuset"];

/// Where the hierarchies are mounted that have to do with CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchies {
    pub(super) v2: Option<PathBuf>,
    /// The mounts by controller; two controllers may share one.
    pub(super) v1: BTreeMap<&'static str, PathBuf>,
}

impl Hierarchies {
    /// Finds what this process sees mounted; nothing if that can't be read.
    pub fn detect() -> Self {
        let mut text = Vec::new();
        if let Ok(file) = File::open("/proc/self/mountinfo") {
            // Text that was read before an error is good.
            let _ = file.take(MAX_BYTES).read_to_end(&mut text);
        }
        Self::parse(&text)
    }

    /// The same from the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    /// Lines that make no sense are left out; of several mounts of one hierarchy
    /// the first counts.
    pub fn parse(mountinfo: &[u8]) -> Self {
        let mut found = Self::default();
        for line in mountinfo.split(|&byte| byte == b'\n') {
            found.take(line);
        }
        found
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        let mount = Mount::parse(line)?;
        match mount.kind {
            b"cgroup2" => {
                self.v2.get_or_insert(mount.point);
            }
            b"cgroup" => {
                let known = CONTROLLERS.into_iter();
                for name in known.filter(|name| mount.has_option(name.as_bytes())) {
                    self.v1.entry(name).or_insert_with(|| mount.point.clone());
                }
            }
            _ => {}
        }
        Some(())
    }

    /// A version 2 hierarchy mounted, or delegated, here.
    pub fn unified(root: impl Into<PathBuf>) -> Self {
        Self {
            v2: Some(root.into()),
            v1: BTreeMap::new(),
        }
    }

    /// Where the version 2 hierarchy is.
    pub fn v2(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    /// Where a version 1 controller, `cpu` or `cpuset`, is.
    pub fn v1(&self, controller: &str) -> Option<&Path> {
        self.v1.get(controller).map(PathBuf::as_path)
    }
}

/// A line of `/proc/self/mountinfo`.
pub(super) struct Mount<'a> {
    /// The part of the file system that is mounted.
    pub(super) root: PathBuf,
    /// The mount point.
    pub(super) point: PathBuf,
    /// The type of file system.
    pub(super) kind: &'a [u8],
    /// The options of the file system, separated by commas.
    options: &'a [u8],
}

impl<'a> Mount<'a> {
    /// `None` if the line makes no sense.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let root = unescape(fields.nth(3)?);
        let point = unescape(fields.next()?);
        // Optional fields end with a dash.
        fields.by_ref().find(|field| *field == b"-")?;
        let (kind, _, options) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            root,
            point,
            kind,
            options,
        })
    }

    /// Whether the file system has this option; of version 1, a controller.
    pub(super) fn has_option(&self, name: &[u8]) -> bool {
        let mut options = self.options.split(|&byte| byte == b',');
        options.any(|option| option == name)
    }
}

/// Spaces, tabs, newlines and backslashes are written `\ooo`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = |d: &u8| (b'0'..=b'7').contains(d);
        match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b, c, tail @ ..]) if octal(b) && octal(c) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

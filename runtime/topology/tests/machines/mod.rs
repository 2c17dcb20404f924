//! Recorded machines: one file of `tests/recorded` each.
//!
//! A line is `PATH: CONTENT`, below `/sys`. `[LIST]` in a path stands for one file
//! for each number, which `{}` in the content stands for. They are written from
//! what is publicly known of such machines, cut down to what the reader looks at.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use vcp_topology::{CpuSet, ReadError, Topology};

/// Writes the lines below `root`.
pub(crate) fn unpack(text: &str, root: &Path) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (path, content) = line.split_once(':').unwrap();
        let content = content.trim_start();
        match path.split_once('[') {
            None => write(&root.join(path), content),
            Some((before, rest)) => {
                let (list, after) = rest.split_once(']').unwrap();
                for number in set(list).iter() {
                    let content = content.replace("{}", &number.to_string());
                    write(&root.join(format!("{before}{number}{after}")), &content);
                }
            }
        }
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{content}\n")).unwrap();
}

pub(crate) fn set(list: &str) -> CpuSet {
    list.parse().unwrap()
}

/// A recorded machine with more lines after its own, as a directory.
pub(crate) fn tree(name: &str, more: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let file = format!("{}/tests/recorded/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    unpack(&fs::read_to_string(file).unwrap(), dir.path());
    unpack(more, dir.path());
    dir
}

/// The same for a process that may use these CPUs.
pub(crate) fn with(name: &str, more: &str, allowed: &str) -> Result<Topology, ReadError> {
    Topology::read(tree(name, more).path(), &set(allowed))
}

//! The kernel that `cargo xtask setup` unpacked, and its modules.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel with its modules' directory.
#[derive(Debug)]
pub struct Kernel {
    /// What to boot.
    pub image: PathBuf,
    /// Its name of itself, as `uname -r` has it.
    pub release: String,
    modules: BTreeMap<String, PathBuf>,
}

/// A module as the machine gets it.
#[derive(Debug)]
pub struct Module {
    /// Name as `modprobe` has it.
    pub name: String,
    /// Not compressed.
    pub bytes: Vec<u8>,
    /// Names of those that it stands on.
    pub depends: Vec<String>,
}

/// Where setup puts things for virtual machines, and tests what they want to
/// find again.
#[must_use]
pub fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = target.map_or_else(|| workspace.join("target"), |dir| workspace.join(dir));
    target.join("vm")
}

/// What was unpacked from packages.
#[must_use]
pub fn root() -> PathBuf {
    directory().join("root")
}

impl Kernel {
    /// The one that setup unpacked; `None` if it has not.
    #[must_use]
    pub fn find() -> Option<Self> {
        if !directory().join("packages").is_file() {
            return None;
        }
        let boot = fs::read_dir(root().join("boot")).ok()?;
        let release = boot.flatten().find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix("vmlinuz-").map(str::to_owned)
        })?;
        let mut modules = BTreeMap::new();
        // Where /lib is a link the package has it under /usr.
        for lib in ["lib/modules", "usr/lib/modules"] {
            collect(&root().join(lib).join(&release), &mut modules);
        }
        Some(Self {
            image: root().join(format!("boot/vmlinuz-{release}")),
            release,
            modules,
        })
    }

    /// Whether it has a module of this name.
    #[must_use]
    pub fn has(&self, module: &str) -> bool {
        self.modules.contains_key(module)
    }

    /// The named modules and all that they stand on; those that the kernel has
    /// built in are left out.
    ///
    /// # Panics
    /// When one can't be read.
    #[must_use]
    pub fn modules(&self, names: &[&str]) -> Vec<Module> {
        let mut found: Vec<Module> = Vec::new();
        let mut wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        while let Some(name) = wanted.pop() {
            if found.iter().any(|module| module.name == name) {
                continue;
            }
            let Some(path) = self.modules.get(&name) else {
                continue;
            };
            let bytes = read(path);
            let depends = depends(&bytes);
            wanted.extend(depends.iter().cloned());
            found.push(Module {
                name,
                bytes,
                depends,
            });
        }
        found
    }
}

fn collect(directory: &Path, modules: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, modules);
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            modules.insert(name.replace('-', "_"), path);
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    let unpack = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    let output = Command::new(unpack).arg("-dc").arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {unpack}: {error}"));
    assert!(output.status.success(), "{unpack} {}", path.display());
    output.stdout
}

/// From the module's own description of itself, as `depmod` reads it: strings
/// that end in a zero byte, one of them `depends=a,b`.
fn depends(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let rest = &module[at + key.len()..];
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
    let list = String::from_utf8_lossy(&rest[..end]).replace('-', "_");
    let names = list.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_stands_on() {
        let module = b"x\0license=GPL\0depends=net-failover,failover\0name=virtio_net\0";
        assert_eq!(depends(module), ["net_failover", "failover"]);
        assert_eq!(depends(b"\0depends=\0name=nbd\0"), [""; 0]);
        assert_eq!(depends(b"no description"), [""; 0]);
    }
}

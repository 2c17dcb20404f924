//! The service's unit files, for a check that is run outside of the service: the
//! credentials it is given, and the directories that are made for it (systemd.unit(5),
//! systemd.exec(5)).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use vcp_config::Sources;

use crate::sources::System;

const SERVICE: &str = "vcp.service";
/// The service manager's directories; the first takes precedence.
const DIRECTORIES: &str = "/etc/systemd/system:/run/systemd/system:\
                           /usr/local/lib/systemd/system:/usr/lib/systemd/system";
/// The variable that names a service's directory of credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The directory where the credentials will be.
const GIVEN: &str = "/run/credentials/vcp.service";

/// The relevant parts of the unit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// The file of each credential; `None` if it comes from elsewhere, or is encrypted.
    credentials: BTreeMap<String, Option<PathBuf>>,
    /// The directories that are made when the service starts.
    made: Vec<PathBuf>,
}

/// The names of the credentials in the unit's files; none where there is no unit. A name
/// may end in `*`.
pub(crate) fn credentials_of_unit() -> BTreeSet<String> {
    let unit = Unit::of_service().unwrap_or_default();
    unit.credentials.into_keys().collect()
}

impl Unit {
    /// The service's unit; `None` where there is none, or this process is the service.
    pub(super) fn of_service() -> Option<Self> {
        // A program that the unit runs beside the host, at a reload, may have the variable
        // set and no access to the directory (systemd 252).
        let own = std::env::var_os(CREDENTIALS).map(std::fs::read_dir);
        if own.is_some_and(|read| read.is_ok()) {
            return None;
        }
        let path = std::env::var_os("SYSTEMD_UNIT_PATH").filter(|path| !path.is_empty());
        let path = path.unwrap_or_else(|| OsString::from(DIRECTORIES));
        let directories: Vec<_> = std::env::split_paths(&path).collect();
        Self::read(&directories)
    }

    fn read(directories: &[PathBuf]) -> Option<Self> {
        let unit = directories.iter().map(|at| at.join(SERVICE));
        let text = unit
            .into_iter()
            .find_map(|file| std::fs::read_to_string(file).ok())?;
        let mut unit = Self::default();
        unit.take(&text);
        for file in drop_ins(directories) {
            // The service manager reports a file that can't be read.
            unit.take(&std::fs::read_to_string(file).unwrap_or_default());
        }
        Some(unit)
    }

    fn take(&mut self, text: &str) {
        let mut section = "";
        let whole = text.replace("\\\n", " ");
        for line in whole.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section == "[Service]"
                && let Some((key, value)) = line.split_once('=')
            {
                self.set(key.trim_end(), value.trim_start());
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "LoadCredential" | "LoadCredentialEncrypted" if value.is_empty() => {
                self.credentials.clear();
            }
            "LoadCredential" => {
                let (name, from) = value.split_once(':').unwrap_or((value, ""));
                // Only the service manager can expand a specifier.
                let seen = from.starts_with('/') && !from.contains('%');
                let file = seen.then(|| PathBuf::from(from));
                self.credentials.insert(name.to_owned(), file);
            }
            "LoadCredentialEncrypted" | "SetCredential" | "SetCredentialEncrypted" => {
                let name = value.split(':').next().unwrap_or_default();
                self.credentials.insert(name.to_owned(), None);
            }
            "ImportCredential" => _ = self.credentials.insert(value.to_owned(), None),
            "RuntimeDirectory" => self.made("/run", value),
            "StateDirectory" => self.made("/var/lib", value),
            "CacheDirectory" => self.made("/var/cache", value),
            _ => {}
        }
    }

    fn made(&mut self, below: &str, names: &str) {
        let names = names.split_whitespace();
        self.made
            .extend(names.map(|name| Path::new(below).join(name)));
    }

    /// Whether this directory will be there once the service has started.
    pub(super) fn makes(&self, directory: &Path) -> bool {
        self.made.iter().any(|made| made == directory)
    }

    /// The unit's entry for a credential, with its file if that can be seen.
    fn credential(&self, name: &str) -> Option<&Option<PathBuf>> {
        self.credentials.get(name).or_else(|| {
            let mut globs = self.credentials.iter();
            let is = |glob: &str| glob.strip_suffix('*').is_some_and(|g| name.starts_with(g));
            globs.find(|(glob, _)| is(glob)).map(|(_, file)| file)
        })
    }
}

/// The drop-ins of the service, in the order of their names; of several with one name,
/// the one in the first directory counts.
fn drop_ins(directories: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for directory in directories {
        let entries = std::fs::read_dir(directory.join(format!("{SERVICE}.d")));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            if Path::new(&name).extension().is_some_and(|e| e == "conf") {
                found.entry(name).or_insert_with(|| entry.path());
            }
        }
    }
    found.into_values().collect()
}

/// The sources of secrets of a service that is started by its unit.
pub(super) struct AsStarted<'a> {
    pub(super) unit: Option<&'a Unit>,
    /// Credentials that the unit names and whose files can't be seen.
    pub(super) unseen: RefCell<Vec<String>>,
}

impl Sources for AsStarted<'_> {
    fn env(&self, variable: &str) -> Option<String> {
        let given = self.unit.filter(|_| variable == CREDENTIALS);
        match given {
            Some(_) => Some(GIVEN.to_owned()),
            None => System.env(variable),
        }
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let (Some(unit), Ok(name)) = (self.unit, path.strip_prefix(GIVEN)) else {
            return System.read(path);
        };
        let name = name.to_string_lossy();
        match unit.credential(&name) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(None) => Ok(self.unseen(&name)),
            Some(Some(file)) => match System.read(file) {
                // The service manager may be able to read it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    Ok(self.unseen(&name))
                }
                read => read.map_err(|error| {
                    let from = file.display();
                    io::Error::other(format!("the unit loads it from {from}: {error}"))
                }),
            },
        }
    }
}

impl AsStarted<'_> {
    /// A stand-in for a credential that can't be read; no VCP gets it.
    fn unseen(&self, name: &str) -> String {
        self.unseen.borrow_mut().push(name.to_owned());
        "unseen".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[Unit]
LoadCredential=no:/no
[Service]
RuntimeDirectory=vcp other
# LoadCredential=comment:/no
LoadCredential=a:/etc/vcp/a
LoadCredential=b:%d/b
LoadCredential=c
LoadCredentialEncrypted=d:/etc/vcp/d
SetCredential=e:text: more
ImportCredential=vcp.*
";

    #[test]
    fn credentials_and_directories_are_found() {
        let mut unit = Unit::default();
        unit.take(TEXT);
        let file = |name: &str| unit.credential(name).cloned();
        assert_eq!(file("a"), Some(Some("/etc/vcp/a".into())));
        for unseen in ["b", "c", "d", "e", "vcp.disk0"] {
            assert_eq!(file(unseen), Some(None), "{unseen}");
        }
        for absent in ["no", "comment", "x"] {
            assert_eq!(file(absent), None, "{absent}");
        }
        assert!(unit.makes(Path::new("/run/vcp")) && unit.makes(Path::new("/run/other")));
        assert!(!unit.makes(Path::new("/run")));
        unit.take("[Service]\nLoadCredential=\nLoadCredential=z:/z\n");
        assert!(unit.credential("a").is_none() && unit.credential("z").is_some());
    }

    #[test]
    fn a_drop_in_hides_one_of_its_name_in_a_later_directory() {
        let root = tempfile::tempdir().unwrap();
        let write = |at: &str, text: &str| {
            let file = root.path().join(at);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let directories = ["etc", "usr"].map(|at| root.path().join(at));
        assert!(Unit::read(&directories).is_none(), "there is no unit");
        write("usr/vcp.service", "[Service]\nLoadCredential=a:/a\n");
        write(
            "etc/vcp.service.d/x.conf",
            "[Service]\nLoadCredential=b:/b\n",
        );
        write(
            "usr/vcp.service.d/x.conf",
            "[Service]\nLoadCredential=c:/c\n",
        );
        write(
            "usr/vcp.service.d/y.txt",
            "[Service]\nLoadCredential=d:/d\n",
        );
        let unit = Unit::read(&directories).unwrap();
        let names: Vec<_> = unit.credentials.keys().collect();
        assert_eq!(names, ["a", "b"]);
    }
}

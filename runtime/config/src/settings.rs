//! The `config` table: a module's settings, and how to give secrets without writing them
//! in the file.
//!
//! A key that ends in `password` is a secret. It can be given directly, as `KEY-file =
//! "PATH"`, as `KEY-credential = "NAME"` of the service manager, or, for the iSCSI
//! module, by the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Module;
use crate::secret::Secret;

/// The built-in module whose logins also come from the environment and from its target's
/// URI.
pub(crate) const ISCSI: &str = "iscsi";

/// The iSCSI module's key for the target to attach to.
pub(crate) const TARGET: &str = "target";
/// The key by which the host tells the iSCSI module the URI's portal.
pub(crate) const PORTAL: &str = "portal";
/// The key by which the host tells the iSCSI module the URI's LUN.
pub(crate) const LUN: &str = "lun";
/// The iSCSI module's CHAP name, and the suffix of the target's.
pub(crate) const USER: &str = "user";
/// Its CHAP secret; every key that ends with this is a secret.
pub(crate) const PASSWORD: &str = "password";

/// Keys of the iSCSI module that the environment can give, by libiscsi's variables.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("user", "LIBISCSI_CHAP_USERNAME"),
    ("password", "LIBISCSI_CHAP_PASSWORD"),
    ("target-user", "LIBISCSI_CHAP_TARGET_USERNAME"),
    ("target-password", "LIBISCSI_CHAP_TARGET_PASSWORD"),
];

/// The variable with the service manager's directory of credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The longest secret that is read from a file, in bytes.
const LONGEST_SECRET: usize = 4096;

/// The value of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A plain value.
    Plain(String),
    /// A secret that was given directly.
    Secret(Secret),
    /// A secret that is the first line of a file.
    SecretFile(PathBuf),
    /// A secret that is the first line of a credential of this name, which the
    /// service manager hands to the host (`LoadCredential=`).
    Credential(String),
}

/// The `config` table of one VCP. A secret's key is without `-file` and `-credential`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(BTreeMap<String, Setting>);

impl Settings {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// The value of `key` if it is not a secret.
    pub fn plain(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Setting::Plain(value)) => Some(value),
            _ => None,
        }
    }

    /// All settings, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Sets `key = value`; the key decides on the kind of the setting. The error
    /// continues `config.KEY: …`.
    pub(crate) fn insert(&mut self, key: &str, value: &str) -> Result<(), String> {
        let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if key.is_empty() || key.len() > 64 || !key.chars().all(inner) {
            return Err(
                "expected a key of up to 64 letters, digits, \".\", \"_\" and \"-\"".into(),
            );
        }
        let of_secret = |suffix| key.strip_suffix(suffix).filter(|key| is_secret(key));
        let (key, setting) = match (of_secret("-file"), of_secret("-credential")) {
            (Some(_), _) if value.is_empty() => return Err("expected a file name".into()),
            (Some(secret), _) => (secret, Setting::SecretFile(value.into())),
            (_, Some(secret)) => (secret, Setting::Credential(credential(value)?)),
            _ if is_secret(key) && value.is_empty() => return Err("expected a secret".into()),
            _ if is_secret(key) => (key, Setting::Secret(Secret::new(value))),
            _ => (key, Setting::Plain(value.to_owned())),
        };
        self.put(key, setting)
    }

    /// Adds a value; a duplicate key is an error.
    pub(crate) fn put(&mut self, key: &str, setting: Setting) -> Result<(), String> {
        if self.0.contains_key(key) {
            return Err(format!("\"{key}\" is given twice"));
        }
        self.0.insert(key.to_owned(), setting);
        Ok(())
    }

    /// Replaces or adds a value.
    pub(crate) fn replace(&mut self, key: &str, setting: Setting) {
        self.0.insert(key.to_owned(), setting);
    }

    /// The settings without the secrets that were given directly; those in files stay, as
    /// they are only named.
    pub(crate) fn without_secrets(&self) -> Self {
        let keep = |(_, setting): &(&String, &Setting)| !matches!(setting, Setting::Secret(_));
        Self(
            self.0
                .iter()
                .filter(keep)
                .map(|(k, s)| (k.clone(), s.clone()))
                .collect(),
        )
    }

    /// All settings of the module, secrets included.
    ///
    /// The configuration wins over the environment, which is used only for the iSCSI
    /// module. A name without a secret, a secret without a name, and mutual
    /// authentication without the one-way kind are errors.
    pub fn resolve(&self, module: &Module, sources: &dyn Sources) -> Result<Resolved, SecretError> {
        let mut resolved = BTreeMap::new();
        for (key, setting) in &self.0 {
            let value = match setting {
                Setting::Plain(value) => value.clone(),
                Setting::Secret(secret) => secret.expose().to_owned(),
                Setting::SecretFile(path) => read_secret(key, "file", path, sources)?,
                Setting::Credential(name) => {
                    let directory = sources.env(CREDENTIALS).filter(|v| !v.is_empty());
                    let directory = directory.ok_or_else(|| SecretError::NoCredentials {
                        key: key.clone(),
                        name: name.clone(),
                    })?;
                    let path = Path::new(&directory).join(name);
                    read_secret(key, "credential", &path, sources)
                        .map_err(|error| error.of_credential(name))?
                }
            };
            resolved.insert(key.clone(), value);
        }
        if module.is_builtin(ISCSI) {
            for (key, variable) in ENVIRONMENT {
                let value = || sources.env(variable).filter(|v| !v.is_empty());
                if !resolved.contains_key(key)
                    && let Some(value) = value()
                {
                    resolved.insert(key.to_owned(), value);
                }
            }
            check_login(&resolved)?;
        }
        Ok(Resolved(resolved.into_iter().collect()))
    }
}

/// Checks the name of a credential: systemd's are names of files (systemd.exec(5)).
fn credential(name: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_graphic() && c != '/';
    let valid = !name.is_empty() && name.len() <= 255 && name.chars().all(inner);
    if valid && name != "." && name != ".." {
        return Ok(name.to_owned());
    }
    let expected = "the name of a credential, up to 255 characters without \"/\"";
    Err(crate::Invalid::new(expected, name).to_string())
}

/// Whether this key's value is never shown.
pub(crate) fn is_secret(key: &str) -> bool {
    key.ends_with(PASSWORD)
}

/// The environment variable that can give this key of the iSCSI module.
pub(crate) fn variable(key: &str) -> Option<&'static str> {
    let entry = ENVIRONMENT.iter().find(|(name, _)| *name == key)?;
    Some(entry.1)
}

/// Reads a secret; `form` is the suffix of the key that names the file.
fn read_secret(
    key: &str,
    form: &'static str,
    path: &Path,
    sources: &dyn Sources,
) -> Result<String, SecretError> {
    let text = sources
        .read(path)
        .map_err(|error| SecretError::Unreadable {
            key: key.to_owned(),
            form,
            path: path.to_owned(),
            error,
        })?;
    let line = text.lines().next().unwrap_or("");
    if line.is_empty() || line.len() > LONGEST_SECRET {
        return Err(SecretError::Empty {
            key: key.to_owned(),
            form,
            path: path.to_owned(),
        });
    }
    Ok(line.to_owned())
}

/// Checks that a login has a name and a secret. For a target that has to authenticate
/// itself the name is optional.
fn check_login(resolved: &BTreeMap<String, String>) -> Result<(), SecretError> {
    let has = |key: &str| resolved.contains_key(key);
    let needs = [
        ("user", "password"),
        ("password", "user"),
        ("target-user", "target-password"),
    ];
    if let Some((other, key)) = needs
        .into_iter()
        .find(|(given, needed)| has(given) && !has(needed))
    {
        let variable = variable(key).expect("all four keys are in ENVIRONMENT");
        return Err(SecretError::Missing {
            key,
            other,
            variable,
        });
    }
    if has("target-password") && !has("user") {
        return Err(SecretError::OneWay);
    }
    Ok(())
}

/// The sources of secrets that the configuration only names.
pub trait Sources {
    /// The value of an environment variable, if it is set and is UTF-8.
    fn env(&self, variable: &str) -> Option<String>;
    /// The contents of a file.
    fn read(&self, path: &Path) -> io::Result<String>;
}

/// Why a module's settings are incomplete. Continues `vcp.NAME.config.`.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A secret's file can't be read.
    #[error("{key}-{form}: {}: {error}", path.display())]
    Unreadable {
        /// The secret's key.
        key: String,
        /// The key's suffix.
        form: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A secret's file is empty.
    #[error("{key}-{form}: {}: expected a secret of 1 to 4096 bytes in the first line", path.display())]
    Empty {
        /// The secret's key.
        key: String,
        /// The key's suffix.
        form: &'static str,
        /// The file's path.
        path: PathBuf,
    },
    /// The service manager has not passed this credential, as it does at the start of a
    /// service.
    #[error(
        "{key}-credential: {name}: the service was not given it when it was started: it takes LoadCredential={name}:FILE in its unit, then \"systemctl daemon-reload\" and \"systemctl restart vcp\""
    )]
    NotGiven {
        /// The secret's key.
        key: String,
        /// The credential's name.
        name: String,
    },
    /// No credentials were passed at all.
    #[error(
        "{key}-credential: {name}: no CREDENTIALS_DIRECTORY in the environment: the service manager hands over credentials that its unit names (LoadCredential=), to a service that is restarted after \"systemctl daemon-reload\""
    )]
    NoCredentials {
        /// The secret's key.
        key: String,
        /// The credential's name.
        name: String,
    },
    /// Half of a login is missing.
    #[error("{key}: missing, though \"{other}\" is given; set it, or {variable} in the environment{}",
        if key.ends_with(PASSWORD) { format!(", or {key}-file") } else { String::new() })]
    Missing {
        /// The missing key.
        key: &'static str,
        /// The key that is present.
        other: &'static str,
        /// The environment variable that can give the missing key.
        variable: &'static str,
    },
    /// The target has to authenticate itself, but the initiator does not; CHAP in iSCSI
    /// has no such exchange (RFC 7143 §12.1.3).
    #[error(
        "target-password: needs \"user\" and \"password\" too: a target proves itself only to an initiator that does"
    )]
    OneWay,
}

impl SecretError {
    /// Makes it an error about a credential: a missing file means that it was not passed.
    fn of_credential(self, name: &str) -> Self {
        match self {
            Self::Unreadable { key, error, .. } if error.kind() == io::ErrorKind::NotFound => {
                let name = name.to_owned();
                Self::NotGiven { key, name }
            }
            other => other,
        }
    }
}

/// A module's complete settings, secrets included; `Debug` shows the keys only.
#[derive(Clone, PartialEq, Eq)]
pub struct Resolved(Vec<(String, String)>);

impl Resolved {
    /// Pairs of key and value, each key once, for `vcp:io/control.start`.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(key, _)| key))
            .finish()
    }
}

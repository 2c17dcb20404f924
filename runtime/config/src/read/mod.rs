//! Reads the configuration file, or the several that make up one configuration.

mod cpu;
mod export;
mod host;
mod places;
mod recovery;
mod table;
mod vcp;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Place};
use crate::export_name::ExportName;
use crate::model::{HostConfig, Name};
pub use places::Places;
use table::{Node, Source, Table};

/// The largest configuration file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

impl HostConfig {
    /// Reads and checks a configuration file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &text_of(path)?)
    }

    /// Reads the configuration of a host that is run as a service: `path`, and then every
    /// `*.toml` in `drop_ins` in the order of their names. A name can be given only once
    /// in all of them. There may be no VCP in them, and the directory may be missing.
    pub fn read_all(path: &Path, drop_ins: &Path) -> Result<Self, ConfigError> {
        Self::parse_all(&texts_of(path, drop_ins)?)
    }

    /// Reads the same, and returns the place of everything in it.
    pub fn read_all_with_places(
        path: &Path,
        drop_ins: &Path,
    ) -> Result<(Self, Places), ConfigError> {
        let texts = texts_of(path, drop_ins)?;
        Ok((Self::parse_all(&texts)?, Places::of(&texts)?))
    }

    /// Checks the text of a configuration file; `path` is for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let source = Source { path, text };
        let document = source.document()?;
        let root = Table::root(&source, &document);
        let mut config = Self::default();
        vcps(&root, &mut config, &mut Names::default())?;
        others(&root, &mut config, &mut Names::default())?;
        if config.vcps.is_empty() {
            return Err(root.missing("vcp", "expected at least one [vcp.NAME]"));
        }
        Ok(config)
    }

    /// Checks the texts of several files that make up one configuration, as
    /// [`HostConfig::read_all`] does.
    pub fn parse_all(files: &[(PathBuf, String)]) -> Result<Self, ConfigError> {
        let sources: Vec<_> = files
            .iter()
            .map(|(path, text)| Source { path, text })
            .collect();
        let documents = sources.iter().map(Source::document);
        let documents = documents.collect::<Result<Vec<_>, _>>()?;
        let roots = || {
            let both = sources.iter().zip(&documents);
            both.map(|(source, document)| Table::root(source, document))
        };
        let mut config = Self::default();
        let (mut of_vcps, mut of_others) = (Names::default(), Names::default());
        for root in roots() {
            vcps(&root, &mut config, &mut of_vcps)?;
        }
        // Names in them may be defined in a later file.
        for root in roots() {
            others(&root, &mut config, &mut of_others)?;
        }
        Ok(config)
    }
}

/// The place where each name was given first.
type Names = BTreeMap<String, Place>;

/// Notes a table's name; fails if another file has it.
fn once(node: &Node<'_>, key: String, names: &mut Names) -> Result<(), ConfigError> {
    if let Some(first) = names.get(&key) {
        return Err(node.key_error(format!("given twice; it is in {first} already")));
    }
    names.insert(key, node.place());
    Ok(())
}

/// Parses `[host]` and `[vcp.*]`, and refuses unknown tables.
fn vcps(root: &Table<'_>, config: &mut HostConfig, names: &mut Names) -> Result<(), ConfigError> {
    root.only(&["host", "vcp", "export"])?;
    if let Some(node) = root.get("host") {
        once(node, "host".to_owned(), names)?;
        (config.host, config.nbd) = host::read(node)?;
    }
    let Some(vcps) = root.get("vcp") else {
        return Ok(());
    };
    for (name, node) in vcps.table()?.entries() {
        let name = name.parse::<Name>().map_err(|e| node.key_error(e))?;
        once(node, format!("vcp.{name}"), names)?;
        config.vcps.insert(name, vcp::read(node)?);
    }
    Ok(())
}

/// Parses the tables that refer to VCPs, all of which are known.
fn others(root: &Table<'_>, config: &mut HostConfig, names: &mut Names) -> Result<(), ConfigError> {
    let Some(exports) = root.get("export") else {
        return Ok(());
    };
    for (name, node) in exports.table()?.entries() {
        let name = name.parse::<ExportName>().map_err(|e| node.key_error(e))?;
        once(node, format!("export.{name}"), names)?;
        let export = export::read(&name, node, config)?;
        config.exports.insert(name, export);
    }
    Ok(())
}

fn unreadable(path: &Path, message: String) -> ConfigError {
    ConfigError {
        place: Place::Unreadable(path.to_owned()),
        key: String::new(),
        message,
    }
}

/// Reads the files of a configuration, in their order.
fn texts_of(path: &Path, drop_ins: &Path) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let mut files = vec![path.to_owned()];
    files.extend(drop_ins_of(drop_ins)?);
    let read = |path: PathBuf| text_of(&path).map(|text| (path, text));
    files.into_iter().map(read).collect()
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let refuse = |error: std::io::Error| unreadable(path, error.to_string());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(refuse)?;
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(refuse)?;
    if text.len() as u64 > LARGEST {
        let message = "longer than 1 MiB; this is no configuration".to_owned();
        return Err(unreadable(path, message));
    }
    Ok(text)
}

/// The files of a directory, by name; none if the directory is missing. Hidden ones are
/// left by editors and skipped.
fn drop_ins_of(directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let refuse = |error: std::io::Error| unreadable(directory, error.to_string());
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(refuse)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(refuse)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".toml") && !name.starts_with('.') {
            // Opening a pipe would wait for whoever writes to it.
            let kind = std::fs::metadata(&path).map_err(|e| unreadable(&path, e.to_string()))?;
            if !kind.is_file() {
                return Err(unreadable(&path, "not a file".to_owned()));
            }
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

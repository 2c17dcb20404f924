//! The configuration file.

mod cpu;
mod export;
mod host;
mod recovery;
mod table;
mod vcp;

use std::io::Read;
use std::path::Path;

use crate::error::{ConfigError, Place};
use crate::model::{HostConfig, Name};
use table::{Source, Table};

/// The largest configuration file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

impl HostConfig {
    /// Reads and checks a configuration file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let refuse = |message: String| ConfigError {
            place: Place::Unreadable(path.to_owned()),
            key: String::new(),
            message,
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|e| refuse(e.to_string()))?;
        file.take(LARGEST + 1)
            .read_to_string(&mut text)
            .map_err(|e| refuse(e.to_string()))?;
        if text.len() as u64 > LARGEST {
            return Err(refuse("longer than 1 MiB; this is no configuration".into()));
        }
        Self::parse(path, &text)
    }

    /// Checks the text of a configuration file; `path` is for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let source = Source { path, text };
        let document = source.document()?;
        let root = Table::root(&source, &document);
        root.only(&["host", "vcp", "export"])?;
        let mut config = Self::default();
        if let Some(host) = root.get("host") {
            config.host = host::read(host)?;
        }
        if let Some(vcps) = root.get("vcp") {
            for (name, node) in vcps.table()?.entries() {
                let name = name.parse::<Name>().map_err(|e| node.key_error(e))?;
                config.vcps.insert(name, vcp::read(node)?);
            }
        }
        if let Some(exports) = root.get("export") {
            for (name, node) in exports.table()?.entries() {
                let name = name.parse::<Name>().map_err(|e| node.key_error(e))?;
                let export = export::read(&name, node, &config)?;
                config.exports.insert(name, export);
            }
        }
        if config.vcps.is_empty() {
            return Err(root.missing("vcp", "expected at least one [vcp.NAME]"));
        }
        Ok(config)
    }
}

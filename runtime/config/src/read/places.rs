//! The places of a configuration's keys, for errors that are found later.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use super::table::{Source, Table, join};
use crate::error::{ConfigError, Place};

/// The place of each key of a configuration, in whichever file it is.
#[derive(Debug, Clone, Default)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// Collects the places in files that were read without an error.
    pub(super) fn of(files: &[(PathBuf, String)]) -> Result<Self, ConfigError> {
        let mut places = Self::default();
        for (path, text) in files {
            let source = Source { path, text };
            let document = source.document()?;
            // This is the place of keys outside of all tables.
            places.0.entry(String::new()).or_insert(source.place(0));
            places.take(&Table::root(&source, &document));
        }
        Ok(places)
    }

    fn take(&mut self, table: &Table<'_>) {
        for (_, node) in table.entries() {
            let place = || node.place();
            self.0.entry(node.key().to_owned()).or_insert_with(place);
            if let Ok(inner) = node.table() {
                self.take(&inner);
            }
        }
    }

    /// Joins parts to a dotted key, as errors name it.
    pub fn key(parts: &[&str]) -> String {
        parts
            .iter()
            .fold(String::new(), |key, part| join(&key, part))
    }

    /// An error under a dotted key, at its place, or at that of the table it would be in.
    pub fn error(&self, key: &str, message: impl Display) -> ConfigError {
        let mut near = key;
        let place = loop {
            if let Some(place) = self.0.get(near) {
                break place.clone();
            }
            near = match near.rsplit_once('.') {
                Some((outer, _)) => outer,
                None if near.is_empty() => break Place::Argument("--config".to_owned()),
                None => "",
            };
        };
        ConfigError {
            place,
            key: key.to_owned(),
            message: message.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_where_it_is_written_or_where_it_would_be() {
        let files = [
            (
                "host.toml",
                "[vcp.a]\nmodule = \"ramdisk\"\nnet = { link = \"host\" }\n",
            ),
            ("b.toml", "\n[export.\"x:y\"]\nvcp = \"a\"\n"),
        ];
        let files = files.map(|(path, text)| (path.into(), text.to_owned()));
        let places = Places::of(&files).unwrap();
        let said = |parts: &[&str]| places.error(&Places::key(parts), "no").to_string();
        assert_eq!(
            said(&["vcp", "a", "module"]),
            "host.toml:2:1: vcp.a.module: no"
        );
        assert_eq!(
            said(&["vcp", "a", "net", "link"]),
            "host.toml:3:9: vcp.a.net.link: no"
        );
        assert_eq!(
            said(&["vcp", "a", "files"]),
            "host.toml:1:6: vcp.a.files: no"
        );
        assert_eq!(
            said(&["export", "x:y", "nbd"]),
            "b.toml:2:9: export.\"x:y\".nbd: no"
        );
        assert_eq!(said(&["host"]), "host.toml:1:1: host: no");
    }
}

//! The sources of secrets that a configuration only names.

use std::path::Path;

/// The process's environment and the file system.
pub(crate) struct System;

impl vcp_config::Sources for System {
    fn env(&self, variable: &str) -> Option<String> {
        std::env::var(variable).ok()
    }

    fn read(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

//! Every error of a configuration file, as the exact line an operator sees.

mod exports;
mod file;
mod iscsi;
mod vcp;

use std::path::Path;

use vcp_config::HostConfig;

const TARGET: &str = "config.target = \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"";
const NET: &str = "net = { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }";

fn error(text: &str) -> String {
    match HostConfig::parse(Path::new("host.toml"), text) {
        Ok(config) => panic!("accepted:\n{text}\nas {config:?}"),
        Err(error) => error.to_string(),
    }
}

/// The error for a RAM disk with one more line in its table, which is line 3 of the file.
fn with(line: &str) -> String {
    error(&format!("[vcp.ram]\nmodule = \"ramdisk\"\n{line}\n"))
}

/// The same for an iSCSI disk: `line` is line 3.
fn iscsi(line: &str) -> String {
    error(&format!("[vcp.disk0]\nmodule = \"iscsi\"\n{line}\n"))
}

#[track_caller]
fn check(found: String, expected: &str) {
    assert_eq!(found, expected);
    assert!(!found.contains('\n'), "one line: {found}");
}

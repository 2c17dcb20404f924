//! The page of the configuration, made from the book's reference, so that it is described
//! in one place.

use anyhow::{Context as _, Result};
use roff::{bold, roman};
use vcp_config::HostConfig;

use crate::markdown;
use crate::page::{Page, subsection, verbatim};

/// The book's page on the configuration.
const REFERENCE: &str = include_str!("../../../../docs/src/reference/configuration.md");

const FILES: &[(&str, &str)] = &[
    ("/etc/vcp/host.toml", "The configuration of vcp-host(1)."),
    (
        "/etc/vcp/conf.d/*.toml",
        "More of it, in the order of the names. A name is given once in all of the files.",
    ),
    (
        "/run/credentials/vcp.service",
        "Secrets that the unit hands over with LoadCredential=.",
    ),
];

/// Titles and texts of example files.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "An iSCSI disk over the TCP of this machine, as a device of the kernel's",
        r#"# /etc/vcp/conf.d/disk0.toml
[vcp.disk0]
module = "iscsi"
net    = { link = "host" }
[vcp.disk0.config]
target = "iscsi://10.77.0.1/iqn.2026-11.example:disk/1"
user   = "joe"
password-credential = "disk0-chap"

[export.disk0]
nbd    = "unix:/run/vcp/disk0.sock"
attach = { device = "/dev/nbd0" }"#,
    ),
    (
        "A disk in memory with a tenth of a CPU, for clients that may ask for 1000 requests a second",
        r#"[vcp.scratch]
module = "ramdisk"
cpu    = { pin = [1], share = "10%" }
config = { size = "1GiB" }

[export.scratch]
nbd    = "unix:/run/vcp/scratch.sock"
limit  = { iops = 1000 }"#,
    ),
];

/// The page of `host.toml`.
pub(crate) fn page() -> Result<Page> {
    let mut page = Page::new("vcp-host.toml", "5", "what vcp runs and whom it serves");
    page.section("SYNOPSIS");
    page.text.text([bold("/etc/vcp/host.toml")]);
    page.text.control("br", []);
    page.text.text([bold("/etc/vcp/conf.d/*.toml")]);
    for part in markdown::parts(REFERENCE) {
        let heading = markdown::plain(part.heading);
        match part.level {
            1 => page.section("DESCRIPTION"),
            2 if heading.starts_with('[') => page.section(&heading),
            2 => page.section(&heading.to_uppercase()),
            _ => subsection(&mut page.text, &heading),
        }
        markdown::body(&mut page.text, part.body, |_| true);
    }
    page.files(FILES.iter().copied());
    page.section("EXAMPLES");
    for (number, (about, file)) in EXAMPLES.iter().enumerate() {
        let known = HostConfig::parse("host.toml".as_ref(), file);
        known.with_context(|| format!("the example {about:?}"))?;
        if number > 0 {
            page.text.control("PP", []);
        }
        page.text.text([roman(format!("{about}:"))]);
        verbatim(&mut page.text, file.lines());
    }
    let also = ["vcp(1)", "vcp-host(1)", "vcp-run(1)", "vcp-set(1)"];
    page.see_also(also.into_iter().chain(["systemd.exec(5)"]));
    Ok(page)
}

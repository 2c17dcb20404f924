//! `vcp logs --crash`: one crash report, and the core dump in it.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use vcp_control::{Client, Request, report};

use super::text::of_crash;
use super::{print, print_json};
use crate::args::{CrashNumber, LogsArguments};

pub(super) async fn show(
    client: &mut Client,
    vcp: String,
    crash: CrashNumber,
    arguments: &LogsArguments,
) -> Result<()> {
    let request = |number, core| Request::Crash {
        vcp: vcp.clone(),
        number,
        core,
    };
    let number = match crash {
        CrashNumber::Number(number) => Some(number),
        CrashNumber::Last => None,
    };
    let report: report::Crash = client.ask(&request(number, false)).await?;
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&of_crash(&report))?;
    }
    let Some(path) = &arguments.core else {
        return Ok(());
    };
    if report.core.is_none() {
        bail!(
            "VCP {vcp}: crash {}: no core dump in the report; \
             crash-reports = {{ core-dumps = true }} keeps them",
            report.line.number
        );
    }
    // The report is asked for by number, as there may be a newer one by now.
    write(client, &request(Some(report.line.number), true), path)
        .await
        .with_context(|| path.display().to_string())
}

/// Writes the dump to a file. It holds the instance's memory, and so may hold secrets.
async fn write(client: &mut Client, request: &Request, path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    let (_, length): (report::Crash, u64) = client.ask_for_bytes(request, &mut file).await?;
    tracing::info!("{length} bytes written to {}", path.display());
    Ok(())
}

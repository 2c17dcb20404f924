//! `vcp rescan`.

use std::process::ExitCode;

use anyhow::Result;
use vcp_config::ByteSize;
use vcp_control::{Request, report};

use super::{find, plain, print, print_json};
use crate::args::RescanArguments;
use crate::run::runtime;

/// Runs `vcp rescan`. Fails when the device was not examined.
pub(crate) fn rescan(arguments: &RescanArguments) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let mut client = find(&arguments.target).await?;
        let vcp = arguments.target.vcp.name.clone();
        let outcome: report::Rescan = client.ask(&Request::Rescan { vcp }).await?;
        if arguments.json {
            print_json(&outcome)?;
        } else {
            print(&format!("{}\n", plain(&words(&outcome))))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn words(outcome: &report::Rescan) -> String {
    let (before, size) = (ByteSize(outcome.size_before), ByteSize(outcome.size));
    let what = match outcome.changed {
        _ if before != size => format!("{size}, was {before}"),
        true => format!("{size} as before; something else about it has changed"),
        false => format!("{size} as before"),
    };
    format!("{}: {what}", outcome.vcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_in_words() {
        let said = |size_before, size, changed| {
            words(&report::Rescan {
                vcp: "disk0".into(),
                size_before,
                size,
                changed,
            })
        };
        assert_eq!(said(1 << 20, 1 << 20, false), "disk0: 1MiB as before");
        assert_eq!(said(1 << 20, 2 << 20, true), "disk0: 2MiB, was 1MiB");
        assert_eq!(
            said(1 << 20, 1 << 20, true),
            "disk0: 1MiB as before; something else about it has changed"
        );
    }
}

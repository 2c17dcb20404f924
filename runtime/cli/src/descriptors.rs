//! The limit of open descriptors. The limit that a shell or a service manager gives is
//! for programs that use select(2); this one does not, and each of its clients takes a
//! descriptor.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vcp_config::HostConfig;

/// Descriptors of a process without clients: its log, its runtime, control sockets.
const PROCESS: u64 = 64;
/// Descriptors of one VCP: a link, files, and a wake-up descriptor.
const VCP: u64 = 16;

/// The limit that this process was started with, if it has raised it.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises the limit to the most that this process may have without privileges.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    BEFORE.get_or_init(|| current);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}

/// Starts another process with the original limit: it may use select(2). Meanwhile no
/// file can be opened here beyond that limit.
pub(crate) fn as_before<T>(start: impl FnOnce() -> T) -> T {
    let now = getrlimit(Resource::Nofile);
    let Some(&current) = BEFORE.get().filter(|before| **before != now.current) else {
        return start();
    };
    let before = Rlimit { current, ..now };
    if let Err(error) = setrlimit(Resource::Nofile, before) {
        tracing::warn!("the limit of open files of a process to start stays raised: {error}");
    }
    let started = start();
    // This was the limit a moment ago.
    let _ = setrlimit(Resource::Nofile, now);
    started
}

/// Warns when a configuration allows more clients than there are descriptors, unless
/// `before` needed as many and was warned of already.
pub(crate) fn check(config: &HostConfig, before: &HostConfig) {
    let limit = getrlimit(Resource::Nofile).current;
    let needed = needed(config);
    if needed != self::needed(before)
        && let Some(warning) = warning(needed, limit)
    {
        tracing::warn!("{warning}");
    }
}

fn warning(needed: u64, limit: Option<u64>) -> Option<String> {
    let limit = limit.filter(|limit| needed > *limit)?;
    Some(format!(
        "host.nbd.connections, at each address, may take {needed} open files, and this process \
         can have {limit}: clients beyond that are refused; raise the limit (LimitNOFILE=, \
         ulimit -n)"
    ))
}

/// The most descriptors that a host of this configuration has open.
fn needed(config: &HostConfig) -> u64 {
    let mut addresses: Vec<String> = config
        .exports
        .values()
        .flat_map(|export| export.nbd.iter().map(ToString::to_string))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let nbd = &config.nbd;
    // The additional one is the listening socket.
    let address = u64::from(nbd.connections) + u64::from(nbd.negotiations) + 1;
    PROCESS + VCP * config.vcps.len() as u64 + address * addresses.len() as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_address_counts_once() {
        let text = "[host]\nnbd = { connections = 1000, negotiations = 9 }\n\
                    [vcp.a]\nmodule = \"ramdisk\"\n\
                    [export.a]\nnbd = [\"unix:/s\", \"unix:/t\"]\n\
                    [export.b]\nvcp = \"a\"\nnbd = \"unix:/s\"\n";
        let config = HostConfig::parse(Path::new("x.toml"), text).unwrap();
        assert_eq!(needed(&config), 64 + 16 + 2 * 1010);
        assert_eq!(needed(&HostConfig::default()), 64);
    }

    #[test]
    fn only_too_few_are_warned_of() {
        assert_eq!(warning(1024, Some(1024)), None);
        assert_eq!(warning(u64::MAX, None), None);
        let warning = warning(1025, Some(1024)).unwrap();
        assert!(
            warning.contains("1025") && warning.contains("1024"),
            "{warning}"
        );
    }
}

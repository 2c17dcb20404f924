//! The command line.

pub(crate) mod devices;
pub(crate) mod help;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

pub(crate) use devices::{AttachArguments, DetachArguments, MountArguments, UmountArguments};
pub(crate) use run::{RunArguments, ServiceArguments};

/// Runs virtual channel processors: I/O subsystems in boxes of their own.
#[derive(Parser)]
// The service manager calls it `@vcp`: see vcp.service.
#[command(name = "vcp", bin_name = "vcp", version, arg_required_else_help = true)]
#[command(after_help = help::modules_and_links())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run VCPs and serve their devices until told to stop
    #[command(after_help = help::modules_and_link_options())]
    Run(Box<RunArguments>),
    /// Run what this machine is configured to, as a service
    Host(ServiceArguments),
    /// Show the whole path at work: an iSCSI disk in memory, through a VCP, out as NBD
    Demo(DemoArguments),
    /// List the targets of an iSCSI portal
    Discover(DiscoverArguments),
    /// Say what a module is and whether this host can run it
    Check(CheckArguments),
    /// List the running VCPs
    Ps(PsArguments),
    /// Show everything about a running VCP
    Inspect(InspectArguments),
    /// Show what a running VCP has died of
    Logs(LogsArguments),
    /// Put another module, or a new version, in the place of a running one
    Reload(ReloadArguments),
    /// Start a fresh instance of a running or held VCP
    Restart(TargetArguments),
    /// Have a running VCP look at its device again, above all how large it is
    Rescan(RescanArguments),
    /// Show who is connected to an export, and end a connection
    Clients(ClientsArguments),
    /// Let a VCP take its leave, for good
    Stop(TargetArguments),
    /// Make a running VCP fail, to see it recover
    Inject(InjectArguments),
    /// Change the budget of a running VCP, or the limit of an export
    Set(SetArguments),
    /// Make an export of a running VCP a block device of this machine, /dev/nbdX
    Attach(AttachArguments),
    /// Flush such a device and take it away again
    Detach(DetachArguments),
    /// Show what the VCPs of a host use, refreshed each second
    Top(TopArguments),
    /// Print the metrics of a host, as Prometheus reads them
    Metrics(WholeHostArguments),
    /// Mount the file system on a running disk, with all that takes
    Mount(MountArguments),
    /// Undo what mount did, in order
    Umount(UmountArguments),
    /// Show this machine's CPUs and what to give to VCPs, or what the service may do
    Doctor(DoctorArguments),
}

/// `vcp demo`.
#[derive(Args)]
pub(crate) struct DemoArguments {
    /// Size of the disk
    #[arg(long, default_value = "256MiB", value_name = "SIZE")]
    pub(crate) size: vcp_config::ByteSize,
    /// Kill the VCP this many times on the way
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) crashes: u32,
    /// Write a capture of the wire, for tshark or Wireshark
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
}

/// `vcp discover`.
#[derive(Args)]
pub(crate) struct DiscoverArguments {
    /// The portal.
    #[arg(
        value_name = "URI",
        help = "The portal: iscsi://[user[%password]@]host[:port]"
    )]
    pub(crate) uri: String,
    /// How to reach it, as for `run`
    #[arg(long, value_name = "SPEC", default_value = "host")]
    pub(crate) link: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp check`.
#[derive(Args)]
pub(crate) struct CheckArguments {
    /// A component's file, or a built-in module
    #[arg(value_name = "MODULE")]
    pub(crate) module: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which host is asked.
#[derive(Args)]
pub(crate) struct HostArguments {
    /// Ask the host with this control socket only
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
}

/// Which VCP is meant.
#[derive(Args)]
pub(crate) struct TargetArguments {
    /// A running VCP; PID/NAME where several hosts have one of this name
    #[arg(value_name = "NAME")]
    pub(crate) vcp: vcp_control::Address,
    #[command(flatten)]
    pub(crate) host: HostArguments,
}

/// `vcp ps`.
#[derive(Args)]
pub(crate) struct PsArguments {
    #[command(flatten)]
    pub(crate) host: HostArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp inspect`.
#[derive(Args)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp logs`.
#[derive(Args)]
pub(crate) struct LogsArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Show one crash report, by its number, or the last
    #[arg(long, value_name = "N|last")]
    pub(crate) crash: Option<CrashNumber>,
    /// Write the report's core dump to a file; it may hold secrets
    #[arg(long, value_name = "FILE", requires = "crash")]
    pub(crate) core: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp reload`.
#[derive(Args)]
pub(crate) struct ReloadArguments {
    /// A running VCP; PID/NAME where several hosts have one of this name
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub(crate) vcp: Option<vcp_control::Address>,
    /// A component's file, or a built-in module; without it what it runs is read again
    #[arg(value_name = "MODULE")]
    pub(crate) module: Option<String>,
    /// Have a host that runs as a service read its configuration again
    #[arg(long, conflicts_with_all = ["vcp", "module"])]
    pub(crate) all: bool,
    /// Print nothing of what the host's log says: for output that goes to the same journal
    #[arg(long, requires = "all", conflicts_with = "json")]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) host: HostArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp doctor`.
#[derive(Args)]
pub(crate) struct DoctorArguments {
    /// Look from the place of the service: what its unit allows, and what it is configured to do
    #[arg(long)]
    pub(crate) service: bool,
    /// The configuration of the service
    #[arg(long, requires = "service", value_name = "FILE", default_value = run::CONFIG)]
    pub(crate) config: PathBuf,
}

/// `vcp clients`.
#[derive(Args)]
pub(crate) struct ClientsArguments {
    /// A running VCP or one of its exports; PID/NAME where several hosts have one of this name
    #[arg(value_name = "NAME")]
    pub(crate) name: vcp_control::Address,
    /// End the connection of the client of this number
    #[arg(long, value_name = "CLIENT")]
    pub(crate) end: Option<u64>,
    #[command(flatten)]
    pub(crate) host: HostArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp rescan`.
#[derive(Args)]
pub(crate) struct RescanArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp inject`.
#[derive(Args)]
pub(crate) struct InjectArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// trap, hang, spin, oom, stack, bad-descriptor, stall, kill, cut:FUEL or crossing:N
    #[arg(value_name = "FAULT")]
    pub(crate) fault: vcp_core::Injection,
}

/// `vcp set`.
#[derive(Args)]
pub(crate) struct SetArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// cpu.share, cpu.period, cpu.slack, memory, queue-depth, limit.iops, limit.bytes, limit.burst
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub(crate) changes: Vec<String>,
}

/// Which host is meant as a whole; `vcp metrics`.
#[derive(Args)]
pub(crate) struct WholeHostArguments {
    /// The host of this VCP, where there are several
    #[arg(value_name = "NAME")]
    pub(crate) vcp: Option<vcp_control::Address>,
    #[command(flatten)]
    pub(crate) host: HostArguments,
}

/// `vcp top`.
#[derive(Args)]
pub(crate) struct TopArguments {
    #[command(flatten)]
    pub(crate) which: WholeHostArguments,
    /// Print lines, a table each second, instead of a screen
    #[arg(long)]
    pub(crate) plain: bool,
    /// Print one table and end
    #[arg(long)]
    pub(crate) once: bool,
}

/// `--crash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrashNumber {
    /// The crash of this number.
    Number(u64),
    /// The newest.
    Last,
}

impl std::str::FromStr for CrashNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            number => number
                .parse()
                .map(Self::Number)
                .map_err(|_| "expected the number of a crash, or \"last\"".to_owned()),
        }
    }
}

/// An error of usage: what the operator wrote makes no sense.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Parses the command line; help ends here, and an error is told by `complain`.
pub(crate) fn parse(complain: impl FnOnce(&str)) -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|error| {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        ) {
            // If stdout is closed, nobody can be shown help.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            let _ = error.print();
            return ExitCode::from(crate::USAGE);
        }
        complain(&one_line(&error.to_string()));
        ExitCode::from(crate::USAGE)
    })
}

/// Clap's message without its usage and tips, in one line.
fn one_line(message: &str) -> String {
    let end = message.find("\n\n").unwrap_or(message.len());
    let words: Vec<_> = message[..end].split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn errors_are_one_line_and_name_the_argument() {
        let message = |words: &[&str]| {
            let parsed = Arguments::try_parse_from(words);
            one_line(&parsed.err().map(|e| e.to_string()).unwrap_or_default())
        };
        assert!(message(&["vcp", "run"]).contains("CONFIG.toml|MODULE"));
        assert_eq!(
            message(&["vcp", "run", "x", "--frobnicate"]),
            "unexpected argument '--frobnicate' found"
        );
    }
}

//! What runs VCPs: `vcp run` and `vcp host`.

use std::path::PathBuf;

use clap::Args;
use vcp_config::Shorthand;

/// `vcp run CONFIG.toml` or `vcp run MODULE [key=value…]`.
#[derive(Args)]
pub(crate) struct RunArguments {
    /// A configuration file (*.toml), a built-in module, or a component's file
    #[arg(value_name = "CONFIG.toml|MODULE")]
    pub(crate) what: String,
    /// The module's settings, such as target=iscsi://10.77.0.1/iqn.2026-11.example:disk/1
    #[arg(value_name = "key=value")]
    pub(crate) settings: Vec<String>,
    /// Its link, and ,key=value options
    #[arg(long, value_name = "SPEC")]
    pub(crate) link: Option<String>,
    /// Serve the device here: unix:PATH or tcp:HOST:PORT (repeatable)
    #[arg(long, value_name = "ADDR")]
    pub(crate) nbd: Vec<String>,
    /// CPUs of its thread and its share of them: 1, core, 1,share=50%,period=5ms,slack=no
    #[arg(long, value_name = "SPEC")]
    pub(crate) cpu: Option<String>,
    /// The most memory it may have, such as 64MiB; otherwise what the module asks for
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// The most requests it is given at a time
    #[arg(long, value_name = "N")]
    pub(crate) queue_depth: Option<u32>,
    /// Directories it may use.
    #[arg(
        long,
        value_name = "GRANT",
        help = "Let it use a directory: HOST:GUEST[:ro] (repeatable)"
    )]
    pub(crate) files: Vec<String>,
    /// How long a request waits that can't be answered: a time, seconds, or "never"
    #[arg(long, value_name = "TIME")]
    pub(crate) replacement_timeout: Option<String>,
    /// After a fault: policy=never, min-run=50ms, backoff=10ms..5s, limit=N, spare=yes, poison-after=N
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub(crate) restart: Option<String>,
    /// Keep a second instance ready to take over
    #[arg(long)]
    pub(crate) spare: bool,
    /// Name of the VCP and its export
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Refuse writes
    #[arg(long)]
    pub(crate) read_only: bool,
    /// The most memory that requests of its clients may hold, such as 64MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) export_memory: Option<String>,
    /// Mode of its unix sockets, in octal: 0660
    #[arg(long, value_name = "MODE")]
    pub(crate) socket_mode: Option<String>,
    /// Group of its unix sockets: a name or a number
    #[arg(long, value_name = "GROUP")]
    pub(crate) socket_group: Option<String>,
    /// Of the process: memory-lock=yes, io-flusher=yes, oom-score-adjust=N, core-dumps=yes
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub(crate) host: Option<String>,
    /// Run a shell command with $uri set, then stop; its exit status is ours
    #[arg(long, value_name = "CMD")]
    pub(crate) run: Option<String>,
    /// Reload a VCP when its module's file changes
    #[arg(long)]
    pub(crate) watch: bool,
    /// Serve metrics for Prometheus here: tcp:127.0.0.1:PORT
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
    /// Where `vcp ps` and the like reach this process: a socket's path, or "none"
    #[arg(long, value_name = "PATH|none")]
    pub(crate) control: Option<PathBuf>,
    /// Print the configuration file this stands for, and exit
    #[arg(long)]
    pub(crate) dump_config: bool,
}

impl RunArguments {
    /// The configuration file, if that is what was given.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.what
            .ends_with(".toml")
            .then(|| PathBuf::from(&self.what))
    }

    /// The first option that only makes sense with a module.
    pub(crate) fn shorthand_option(&self) -> Option<&'static str> {
        let options = [
            ("key=value", !self.settings.is_empty()),
            ("--link", self.link.is_some()),
            ("--nbd", !self.nbd.is_empty()),
            ("--cpu", self.cpu.is_some()),
            ("--memory", self.memory.is_some()),
            ("--queue-depth", self.queue_depth.is_some()),
            ("--files", !self.files.is_empty()),
            ("--replacement-timeout", self.replacement_timeout.is_some()),
            ("--restart", self.restart.is_some()),
            ("--spare", self.spare),
            ("--name", self.name.is_some()),
            ("--read-only", self.read_only),
            ("--export-memory", self.export_memory.is_some()),
            ("--socket-mode", self.socket_mode.is_some()),
            ("--socket-group", self.socket_group.is_some()),
            ("--host", self.host.is_some()),
        ];
        options
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(option, _)| option)
    }

    pub(crate) fn shorthand(&self) -> Shorthand {
        Shorthand {
            module: self.what.clone(),
            settings: self.settings.clone(),
            link: self.link.clone(),
            nbd: self.nbd.clone(),
            cpu: self.cpu.clone(),
            memory: self.memory.clone(),
            queue_depth: self.queue_depth,
            files: self.files.clone(),
            replacement_timeout: self.replacement_timeout.clone(),
            restart: self.restart.clone(),
            spare: self.spare,
            name: self.name.clone(),
            read_only: self.read_only,
            export_memory: self.export_memory.clone(),
            socket_mode: self.socket_mode.clone(),
            socket_group: self.socket_group.clone(),
            host: self.host.clone(),
        }
    }
}

/// The configuration of a machine.
pub(super) const CONFIG: &str = "/etc/vcp/host.toml";

/// `vcp host`.
#[derive(Args)]
pub(crate) struct ServiceArguments {
    /// The configuration; every *.toml in conf.d beside it belongs to it
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub(crate) config: PathBuf,
    /// Serve metrics for Prometheus here: tcp:127.0.0.1:PORT
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
    /// Where `vcp ps` and the like reach this process: a socket's path, or "none"
    #[arg(long, value_name = "PATH|none")]
    pub(crate) control: Option<PathBuf>,
    /// Print the configuration as it was understood, and exit
    #[arg(long)]
    pub(crate) dump_config: bool,
    /// Judge the configuration as a start would, and exit: 1 if anything is wrong
    #[arg(long, conflicts_with = "dump_config")]
    pub(crate) check: bool,
}

impl ServiceArguments {
    /// The configuration file, and the directory of those that belong to it.
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        (self.config.clone(), self.config.with_file_name("conf.d"))
    }
}

//! Everything a VCP is started with.

use std::sync::Arc;
use std::time::Duration;

use vcp_queue::Link;
use vcp_sched::Budget;
use vcp_supervisor::Policy;

use crate::module::Module;
use crate::peers::Peers;
use crate::processor::Place;
use crate::state::DirectoryGrant;

/// Everything a VCP is started with.
pub struct Settings {
    /// Its name, for logs.
    pub name: String,
    /// The module that it runs.
    pub module: Module,
    /// Its configuration, handed to it as it is.
    pub config: Vec<(String, String)>,
    /// The most linear memory it may have, in bytes. `None`: 64 MiB, or what its module
    /// asks for, up to half of what the machine, or its control group, has to spare then.
    pub memory: Option<usize>,
    /// The most requests it is given at a time.
    pub queue_depth: usize,
    /// Where it runs, and for how much of the time.
    pub cpu: CpuSettings,
    /// The limits on its calls and requests.
    pub watchdog: WatchdogSettings,
    /// Directories it may use.
    pub grants: Vec<DirectoryGrant>,
    /// Its network, if it needs one.
    pub network: Option<Network>,
    /// What happens when its instance dies.
    pub restart: RestartSettings,
    /// How another module takes its place.
    pub reload: ReloadSettings,
    /// The crash reports that are kept.
    pub reports: ReportSettings,
}

impl Settings {
    /// A VCP with every default, of this name and module.
    pub fn new(name: &str, module: Module) -> Self {
        Self {
            name: name.to_owned(),
            module,
            config: Vec::new(),
            memory: None,
            queue_depth: 256,
            cpu: CpuSettings::default(),
            watchdog: WatchdogSettings::default(),
            grants: Vec::new(),
            network: None,
            restart: RestartSettings::default(),
            reload: ReloadSettings::default(),
            reports: ReportSettings::default(),
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        let restart = &self.restart;
        Policy {
            restart: restart.always,
            min_run: nanoseconds(restart.min_run),
            backoff_min: nanoseconds(restart.backoff_min),
            backoff_max: nanoseconds(restart.backoff_max),
            limit: restart.limit,
            replacement_timeout: restart.replacement_timeout.map(nanoseconds),
            ready_within: nanoseconds(self.reload.ready),
            probation: nanoseconds(self.reload.probation),
        }
    }
}

/// Where a VCP runs, and for how much of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSettings {
    /// CPUs that its thread may run on; empty for all. VCPs of one and the same CPU
    /// share a channel processor, any other has one of its own.
    pub pin: Vec<usize>,
    /// The CPU time that is reserved for it, and its share of the rest.
    pub budget: Budget,
    /// The longest that it may spin in a wait before it sleeps.
    pub poll: Duration,
    /// The longest that it may let frames and requests gather before it looks again,
    /// where it has many requests on their way.
    pub coalesce: Duration,
    /// The real-time priority of its channel processor, if it is to have one.
    pub priority: Option<u8>,
    /// The control group of its channel processor, below the mount.
    pub cgroup: Option<String>,
}

impl Default for CpuSettings {
    /// On any CPU, with no time reserved for it and none kept from it.
    fn default() -> Self {
        Self {
            pin: Vec::new(),
            budget: BEST_EFFORT,
            poll: Duration::ZERO,
            coalesce: Duration::ZERO,
            priority: None,
            cgroup: None,
        }
    }
}

impl CpuSettings {
    /// The channel processor that a VCP of this name is to be on.
    pub(crate) fn place(&self, name: &str) -> Place {
        Place {
            name: match self.pin[..] {
                [cpu] => format!("vcp-cpu{cpu}"),
                _ => format!("vcp-{name}"),
            },
            cpus: self.pin.clone(),
            priority: self.priority,
            cgroup: self.cgroup.clone(),
        }
    }
}

/// The budget without a reservation: an equal share of the time that no other needs.
pub const BEST_EFFORT: Budget = Budget {
    period: 10_000_000,
    slice: 0,
    slack: 100,
};

/// How much a call and a request may take, before it is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchdogSettings {
    /// Fuel that one call may use. `None`: more than any code burns in the time that
    /// the call has.
    pub fuel: Option<u64>,
    /// How long one call may run on the CPU or wait for what a granted interface is to
    /// give, once the instance was ready. Before that, and for a hand-over, it has two
    /// seconds at least.
    pub call: Duration,
    /// How long requests may be held without any being answered, unless it said
    /// that it is suspended. `None`: for ever.
    pub progress: Option<Duration>,
}

impl Default for WatchdogSettings {
    /// A call has a fifth of a second, which is a thousand times what a batch of requests
    /// takes, and no fuel limit that it would reach before. Progress has one minute.
    fn default() -> Self {
        Self {
            fuel: None,
            call: Duration::from_millis(200),
            progress: Some(Duration::from_secs(60)),
        }
    }
}

/// When a VCP whose instance died gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartSettings {
    /// Whether it is restarted at all. Otherwise the first fault is the last.
    pub always: bool,
    /// An instance that ran this long is replaced at once.
    pub min_run: Duration,
    /// The delay before any other is replaced, at first; it doubles each time.
    pub backoff_min: Duration,
    /// The longest such delay.
    pub backoff_max: Duration,
    /// The restarts in a row of instances that did not run for `min_run`, after which the
    /// VCP is held.
    pub limit: Option<u32>,
    /// Whether an instance is kept ready to take over: started, its memory touched.
    pub spare: bool,
    /// How long a request waits that the device can't answer before it fails.
    /// `None`: for ever.
    pub replacement_timeout: Option<Duration>,
    /// The number of instances that die holding a request before it is tried by itself; at
    /// least 1. It fails if an instance dies of it alone. `None`: it is tried by itself
    /// again and again, for as long as the replacement timeout lets it.
    pub poison_after: Option<u8>,
}

/// Deaths after which a request is tried by itself, by default.
const SUSPECT_AFTER: u8 = 3;

impl RestartSettings {
    /// Deaths after which a request is tried by itself.
    pub(crate) fn suspect_after(&self) -> u8 {
        self.poison_after.unwrap_or(SUSPECT_AFTER).max(1)
    }
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self {
            always: true,
            min_run: Duration::from_millis(50),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(5),
            limit: None,
            spare: false,
            replacement_timeout: Some(Duration::from_secs(120)),
            poison_after: Some(SUSPECT_AFTER),
        }
    }
}

/// How a module takes the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadSettings {
    /// How long the old may take to finish what it holds; what is left then is
    /// replayed to the new.
    pub drain: Duration,
    /// How long the new may take to be ready, before the old comes back.
    pub ready: Duration,
    /// How long after that a fault brings the old back.
    pub probation: Duration,
}

impl Default for ReloadSettings {
    fn default() -> Self {
        Self {
            drain: Duration::from_millis(250),
            ready: Duration::from_secs(10),
            probation: Duration::from_secs(5),
        }
    }
}

/// The crash reports that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportSettings {
    /// The most reports; the oldest go first.
    pub keep: usize,
    /// Whether reports hold core dumps. They are as large as what the instance
    /// has written in its memory, and writing one delays the restart.
    pub core_dumps: bool,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            keep: 16,
            core_dumps: false,
        }
    }
}

/// A VCP's way to the network.
pub enum Network {
    /// Frames over a link.
    Frames {
        /// The link that carries them.
        link: Box<dyn Link>,
        /// `address/prefix` of the VCP.
        addresses: Vec<String>,
        /// Default gateways.
        gateways: Vec<String>,
        /// How the link is opened again when its interface was removed and is back.
        /// `None`: it can't be.
        reopen: Option<Reopen>,
    },
    /// Frames over a link that can't be opened yet: its interface is not there, say. It is
    /// tried from the start as a link that vanished is, and the first instance comes when it
    /// is open.
    Awaited {
        /// Why it can't be opened, in one line.
        why: String,
        /// As in [`Network::Frames`].
        addresses: Vec<String>,
        /// As in [`Network::Frames`].
        gateways: Vec<String>,
        /// How the link is opened.
        reopen: Reopen,
    },
    /// Streams over the host's own TCP.
    Streams {
        /// The only addresses that it may connect to.
        peers: Peers,
    },
}

/// Opens a link that vanished or was not there yet, or says in one line why it can't be
/// opened now. It is called on a thread that may be held up, once at a time.
pub type Reopen = Arc<dyn Fn() -> Result<Box<dyn Link>, String> + Send + Sync>;

/// A duration in the clock's unit. One that does not fit becomes as good as for ever.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

//! Loads VCPs, runs each on its channel processor and contains its faults.
//!
//! One VCP is one component instance in a store of its own, on a channel processor:
//! one OS thread, of its own or shared with others by budget, that also polls the
//! VCP's link and its clients' sockets: an I/O crosses no thread. What a guest says is
//! checked where it enters (`guest/boundary.rs` for spans, `vcp-queue` for tags); a
//! violation is a fault of that VCP and never of the host.
//!
//! This crate knows queues, memory, fuel and restarts. It knows nothing of NBD,
//! SCSI or TCP: those are a [`vcp_queue::Client`] above, a guest inside, a
//! [`vcp_queue::Link`] below.
//!
//! Start reading at [`Vcp::start`] in `vcp.rs`, then `channel/` and `processor/`.

mod allotment;
mod alone;
mod bindings;
mod bounds;
mod bucket;
mod cache;
mod channel;
mod clock;
mod engine;
mod event;
mod fault;
mod file;
mod fuel;
mod guest;
mod journal;
mod limit;
mod lines;
mod logging;
mod memory;
mod module;
pub mod native;
mod output;
mod peers;
mod pool;
mod processor;
mod remember;
mod report;
mod settings;
mod state;
mod status;
mod vcp;
mod world;

pub use alone::Alone;
pub use cache::Cache;
pub use channel::ClientStatus;
pub use engine::Engine;
pub use event::{
    Event, InjectError, Next, ReloadError, Reloaded, RescanError, Rescanned, RestartError,
};
pub use fault::Fault;
pub use guest::{Injection, UnknownInjection};
pub use limit::{Limit, Rates, Totals};
pub use module::{Module, ModuleError};
pub use peers::Peers;
pub use pool::{Claim, FREE, Pool};
pub use report::{CrashReport, Entry, What};
pub use settings::{
    BEST_EFFORT, CpuSettings, Network, ReloadSettings, Reopen, ReportSettings, RestartSettings,
    Settings, WatchdogSettings,
};
pub use state::{DirectoryGrant, GrantError};
pub use status::{BUCKETS, Histogram, ReloadState, State, Stats, Status};
pub use vcp::{StartError, Vcp};
pub use vcp_sched::{Budget, Refused};
pub use world::World;

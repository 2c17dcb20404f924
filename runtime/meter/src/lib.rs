//! The resources that the VCPs of a host use, and why they wait: one type for all figures,
//! and the ways to show them.
//!
//! Start reading at [`Snapshot`]: everything that is counted, at one moment. The
//! host fills it in. From there three ways lead out, and each is a file or two:
//! [`prometheus`] turns one snapshot into the text that Prometheus reads,
//! [`http`] serves that to programs of this machine, and [`top`] shows a
//! [`History`] of snapshots on a terminal, as rates between one and the next.
//!
//! This crate measures nothing but its own process ([`Process::read`]), decides nothing and
//! changes nothing: it knows no queues, modules or schedulers, and what it shows is what it
//! was told. Clients over HTTP are foreign: their connections have limits in number, size
//! and time.
#![forbid(unsafe_code)]

mod histogram;
mod history;
pub mod http;
mod process;
mod prometheus;
mod snapshot;
pub mod top;

pub use histogram::Histogram;
pub use history::{Bandwidth, History, Rates};
pub use prometheus::prometheus;
pub use snapshot::{
    Budget, Counters, Export, Limit, Log, Process, Processor, Snapshot, Stalls, Vcp,
};

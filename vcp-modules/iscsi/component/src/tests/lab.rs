//! A VCP, a target, and the host between them, one call at a time.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::sync::Arc;

use vcp_sdk::block::{Notice, Request};
use vcp_sdk::control::Start;
use vcp_sdk::processor::{Effects, Events};
use vcp_sdk::{Handover, Processor};
use vcp_target::Target;
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};

use super::load::{DISK, Load, SLOTS};
use super::network::Way;
use crate::Iscsi;

const NAME: &str = "iqn.2026-11.example:disk";
/// The time between two calls, in nanoseconds.
const STEP: u64 = 50_000;

pub(crate) struct Lab {
    pub(crate) target: Arc<Target>,
    pub(crate) load: Load,
    pub(crate) vcp: Iscsi,
    pub(crate) way: Way,
    pub(crate) notices: Vec<Notice>,
    pub(crate) now: u64,
    generation: u32,
    pub(crate) config: Vec<(String, String)>,
}

impl Lab {
    /// Makes a lab with a configuration of `keys` besides those of the disk's place.
    pub(crate) fn new(way: Way, keys: &[(&str, &str)]) -> Self {
        Self::at(target(|_| ()), way, keys)
    }

    /// Does as `new`, with a given target.
    pub(crate) fn at(target: Arc<Target>, way: Way, keys: &[(&str, &str)]) -> Self {
        let own = [("portal", "10.0.0.1"), ("target", NAME), ("lun", "0")];
        let owned = |(k, v): &(&str, &str)| (k.to_string(), v.to_string());
        let config: Vec<_> = own.iter().chain(keys).map(owned).collect();
        Self {
            target,
            load: Load::new(),
            vcp: instance(1, &config, &way).unwrap(),
            way,
            notices: Vec::new(),
            now: 1_000_000_000,
            generation: 1,
            config,
        }
    }

    /// Makes a lab whose VCP serves.
    pub(crate) fn ready(way: Way, keys: &[(&str, &str)]) -> Self {
        Self::new(way, keys).served()
    }

    /// Waits until the VCP serves.
    pub(crate) fn served(mut self) -> Self {
        self.until(|lab| matches!(lab.notices[..], [Notice::Ready(_)]));
        self.notices.clear();
        self
    }

    /// Makes another instance, as the host does.
    pub(crate) fn next(&mut self) -> Iscsi {
        self.generation += 1;
        instance(self.generation, &self.config, &self.way).unwrap()
    }

    /// Makes one call with these requests, and returns its effects.
    pub(crate) fn call(&mut self, requests: Vec<Request>) -> Effects {
        self.now += STEP;
        let mut events = nothing(self.now);
        events.requests = requests;
        self.way.deliver(self.now, &mut self.vcp, &mut events);
        let effects = self.vcp.process(&events);
        self.way.carry(self.now, &self.vcp, &effects, &self.target);
        let (_, memories) = self.vcp.inside();
        for completion in &effects.completions {
            self.load.complete(completion, &memories.data.0);
        }
        self.notices.extend(effects.notices.iter().cloned());
        effects
    }

    /// Makes a call with as many requests as possible.
    pub(crate) fn busy(&mut self) -> Effects {
        let (_, memories) = self.vcp.inside();
        let requests = self.load.submit(&mut memories.data.0);
        self.call(requests)
    }

    /// Makes calls until the condition holds.
    pub(crate) fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..100_000 {
            if is_so(self) {
                return;
            }
            self.call(Vec::new());
        }
        panic!("it does not come to it: {:?}", self.notices);
    }

    pub(crate) fn drain(&mut self) {
        self.until(|lab| lab.load.outstanding() == 0);
    }

    /// The state, once it can be had.
    pub(crate) fn snapshot(&mut self) -> Vec<u8> {
        let mut refusals = Vec::new();
        // An answer of the target and an acknowledgement may be under way.
        for _ in 0..4 {
            match self.vcp.snapshot(self.now) {
                Ok(state) => return state,
                Err(why) => refusals.push(why),
            }
            self.call(Vec::new());
        }
        panic!("nothing to hand over: {refusals:?}");
    }

    /// Replaces the VCP by its next version.
    pub(crate) fn hand_over(&mut self) {
        self.drain();
        let state = self.snapshot();
        self.resume(&state);
    }

    /// Makes the next version, which takes over a state, and calls it.
    pub(crate) fn resume(&mut self, state: &[u8]) {
        let mut next = self.next();
        next.restore(self.now, state).unwrap();
        self.vcp = next;
        let effects = self.busy();
        assert!(matches!(effects.notices[..], [Notice::Ready(_)]));
        self.notices.clear();
    }

    /// Checks that there was one login, and no violation.
    pub(crate) fn assert_one_session(&self) {
        let sessions = self.target.sessions();
        let handles: Vec<_> = sessions.iter().map(|session| session.tsih).collect();
        assert_eq!(handles, [1]);
        assert_eq!(self.target.violations(), []);
        assert!(self.notices.is_empty(), "{:?}", self.notices);
    }
}

/// The events of a call in which nothing has happened.
pub(crate) fn nothing(now: u64) -> Events {
    Events {
        now,
        commands: Vec::new(),
        requests: Vec::new(),
        frames: Vec::new(),
        stream_data: Vec::new(),
        stream_events: Vec::new(),
    }
}

/// An instance that the host has made and not called.
pub(crate) fn instance(
    generation: u32,
    config: &[(String, String)],
    way: &Way,
) -> Result<Iscsi, String> {
    seeded([generation as u8; 32], generation, config, way)
}

/// The same with a given seed.
pub(crate) fn seeded(
    seed: [u8; 32],
    generation: u32,
    config: &[(String, String)],
    way: &Way,
) -> Result<Iscsi, String> {
    let start = Start {
        generation,
        // This is long before the first call.
        now: 0,
        seed: seed.to_vec(),
        config: config.to_vec(),
        queue_depth: SLOTS as u32,
        identity: String::new(),
    };
    Iscsi::start(start, way.network()).map(|(vcp, _)| vcp)
}

/// A plain target with a change to its configuration.
pub(crate) fn target(change: impl FnOnce(&mut TargetConfig)) -> Arc<Target> {
    let disk = Box::new(SparseMemory::new(DISK));
    let unit = LogicalUnit::new(disk, UnitOptions::default()).unwrap();
    let mut units = Node::default();
    units.insert(0, Arc::new(unit));
    let mut config = TargetConfig::default();
    config.nodes.push(TargetNode::new(NAME, units));
    change(&mut config);
    Target::new(config)
}

//! Everything an instance is made from. It may be made on any thread.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::component::{Instance, InstancePre, Linker};
use wasmtime::{Store, Trap};

use super::{Boundary, Death, Ended, Exports, Guest, Limits, NOTHING, Saboteur};
use crate::bindings::{DeviceWorld, ProcessorWorld, control, processor};
use crate::fault::{self, Fault};
use crate::fuel::Rate;
use crate::logging::{Logger, clean};
use crate::memory::{self, GuestMemory};
use crate::module::{Code, Module};
use crate::native::Make;
use crate::processor::pace::within;
use crate::state::{DirectoryGrant, State};
use crate::world::World;

/// Bytes of entries, lists and text that a call may give or a host function take.
const MAX_BATCH: usize = 16 << 20;

/// What all instances of a VCP have in common.
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) linker: Linker<State>,
    pub(crate) config: Vec<(String, String)>,
    pub(crate) allowance: Allowance,
    pub(crate) limits: Limits,
    pub(crate) grants: Vec<DirectoryGrant>,
    pub(crate) network: Mutex<Option<processor::Network>>,
    /// What the device is known to be, for clients that hold on to it; empty when
    /// nothing is known.
    pub(crate) identity: Mutex<String>,
    pub(crate) saboteur: Saboteur,
    pub(crate) boundary: Arc<Boundary>,
    pub(crate) rate: Arc<Rate>,
}

impl Plan {
    /// What the next instance is told of its network. What is behind the lock is whole
    /// after any panic: it is only ever replaced.
    pub(crate) fn network(&self) -> Option<processor::Network> {
        let network = self.network.lock();
        network.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The link is another one from now on.
    pub(crate) fn set_network(&self, network: processor::Network) {
        let before = self.network.lock();
        *before.unwrap_or_else(PoisonError::into_inner) = Some(network);
    }

    /// What the next instance is told that the device is.
    pub(crate) fn identity(&self) -> String {
        let identity = self.identity.lock();
        identity.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The device is known to be this from now on. Returns whether that is news.
    pub(crate) fn set_identity(&self, identity: &str) -> bool {
        let known = self.identity.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if *known == identity {
            return false;
        }
        identity.clone_into(&mut known);
        true
    }
}

/// What an operator can change while the VCP runs; the next instance is made by it.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Linear memory, in bytes; 0: what its module asks for.
    memory: AtomicUsize,
    /// Requests given at a time.
    pub(crate) queue_depth: AtomicU32,
}

impl Allowance {
    pub(crate) fn new(memory: Option<usize>, queue_depth: u32) -> Self {
        Self {
            memory: memory.unwrap_or(0).into(),
            queue_depth: queue_depth.into(),
        }
    }

    /// Linear memory, in bytes; `None`: what its module asks for.
    pub(crate) fn memory(&self) -> Option<usize> {
        Some(self.memory.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    pub(crate) fn set_memory(&self, given: Option<usize>) {
        self.memory.store(given.unwrap_or(0), Ordering::Relaxed);
    }
}

/// A module that is ready to be instantiated. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Blueprint {
    plan: Arc<Plan>,
    pub(crate) module: Module,
    linked: Linked,
}

#[derive(Clone)]
enum Linked {
    /// A component, its imports resolved once.
    Component(InstancePre<State>),
    Native(Make),
}

impl Blueprint {
    pub(crate) fn new(plan: Arc<Plan>, module: Module) -> Result<Self, Fault> {
        let linked = match &module.code {
            Code::Component(component) => {
                let linked = plan.linker.instantiate_pre(component);
                let linked = linked.map_err(|e| Fault::Instantiate(clean(&format!("{e:#}"))))?;
                Linked::Component(linked)
            }
            Code::Native(make) => Linked::Native(make.clone()),
        };
        Ok(Self {
            plan,
            module,
            linked,
        })
    }

    /// Makes an instance, and calls its `init`.
    pub(crate) async fn build(&self, generation: u32, now: u64) -> Result<Guest, Death> {
        let plan = &*self.plan;
        let limits = plan.limits;
        let start = self.start(generation, now)?;
        let mut store = self.store(generation)?;
        let quantum = plan.rate.quantum();
        let metered = store.set_fuel(limits.fuel(false)).is_ok();
        if metered {
            store
                .fuel_async_yield_interval(Some(quantum))
                .map_err(|e| Fault::Instantiate(format!("{e:#}")))?;
        }
        let made = self.instantiate(&mut store, limits).await?;
        let mut guest = Guest {
            name: Arc::clone(&plan.name),
            store,
            exports: made.exports,
            handover: None,
            memory: made.memory,
            areas: control::Areas {
                data: NOTHING,
                receive: NOTHING,
            },
            limits,
            ready: false,
            metered,
            queue_depth: start.queue_depth,
            identity: start.identity.clone(),
            fuel: 0,
            cut: None,
            saboteur: Arc::clone(&plan.saboteur),
            boundary: Arc::clone(&plan.boundary),
            rate: Arc::clone(&plan.rate),
            quantum,
            backtrace: String::new(),
            core: None,
            lost: false,
        };
        if let Some(instance) = made.instance {
            guest.find_handover(instance);
        }
        match guest.prepare(&start, plan.network().as_ref()).await {
            Ok(()) => {
                guest.store.data_mut().set_started();
                Ok(guest)
            }
            Err(fault) => Err(Death {
                fault,
                autopsy: guest.autopsy().await,
            }),
        }
    }

    /// Makes what is called, and the memory that goes with it.
    async fn instantiate(&self, store: &mut Store<State>, limits: Limits) -> Result<Made, Fault> {
        let linked = match &self.linked {
            Linked::Component(linked) => linked,
            Linked::Native(make) => return Ok(Made::native(make)),
        };
        let instantiate = linked.instantiate_async(&mut *store);
        let (instance, memories) = memory::collect(within(instantiate, limits.time(false))).await;
        let instance = instance
            .map_err(|_late| too_late(limits.time(false)))?
            .map_err(|error| failed(&error, limits.fuel(false)))?;
        Ok(Made {
            exports: self.exports(store, instance)?,
            memory: Some(only(memories)?),
            instance: Some(instance),
        })
    }

    fn start(&self, generation: u32, now: u64) -> Result<control::Start, Fault> {
        let mut seed = vec![0; 32];
        rustix::rand::getrandom(&mut seed[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Fault::Instantiate(format!("reading random bytes: {e}")))?;
        Ok(control::Start {
            generation,
            now,
            seed,
            config: self.plan.config.clone(),
            queue_depth: self.plan.allowance.queue_depth.load(Ordering::Relaxed),
            identity: self.plan.identity(),
        })
    }

    fn store(&self, generation: u32) -> Result<Store<State>, Fault> {
        let plan = &*self.plan;
        let logger = Logger::new(Arc::clone(&plan.name), generation);
        let boundary = Arc::clone(&plan.boundary);
        let memory = plan.allowance.memory();
        let state = State::new(&plan.grants, memory, logger, boundary)
            .map_err(|e| Fault::Instantiate(format!("{e:#}")))?;
        let mut store = Store::new(plan.linker.engine(), state);
        store.limiter(State::limits);
        store.set_hostcall_fuel(MAX_BATCH);
        store.data_mut().refuel(plan.limits.fuel(false));
        Ok(store)
    }

    fn exports(&self, store: &mut Store<State>, instance: Instance) -> Result<Exports, Fault> {
        let exports = match self.module.world {
            World::Device => DeviceWorld::new(store, &instance).map(Exports::Device),
            World::Processor => ProcessorWorld::new(store, &instance).map(Exports::Processor),
        };
        exports.map_err(|e| Fault::Instantiate(clean(&format!("{e:#}"))))
    }
}

/// An instance before its `init`.
struct Made {
    exports: Exports,
    /// Its linear memory; what is native has none.
    memory: Option<GuestMemory>,
    instance: Option<Instance>,
}

impl Made {
    fn native(make: &Make) -> Self {
        Self {
            exports: Exports::Native(make()),
            memory: None,
            instance: None,
        }
    }
}

impl Guest {
    async fn prepare(
        &mut self,
        start: &control::Start,
        network: Option<&processor::Network>,
    ) -> Result<(), Fault> {
        let areas = self
            .init(start, network)
            .await?
            .map_err(|why| Fault::Init(clean(&why)))?;
        self.check_areas(&areas, network.is_some())?;
        self.areas = areas;
        Ok(())
    }
}

fn too_late(limit: Duration) -> Fault {
    Fault::Watchdog { limit }
}

/// Why an instance was not made: code of its own ran, or it could not be.
fn failed(error: &wasmtime::Error, fuel: u64) -> Fault {
    if error.is::<Ended>() {
        return Fault::Injected;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::Fuel { limit: fuel },
        Some(Trap::StackOverflow) => Fault::Stack { shadow: false },
        Some(_) => Fault::Trap(fault::describe(error)),
        None => Fault::Instantiate(clean(&format!("{error:#}"))),
    }
}

fn only(mut memories: Vec<GuestMemory>) -> Result<GuestMemory, Fault> {
    match (memories.pop(), memories.len()) {
        (Some(memory), 0) => Ok(memory),
        (None, _) => Err(Fault::Instantiate("has no linear memory".to_owned())),
        (Some(_), more) => Err(Fault::Instantiate(format!(
            "has {} linear memories, a VCP has one",
            more + 1
        ))),
    }
}

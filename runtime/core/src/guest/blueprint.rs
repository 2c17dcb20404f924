//! Everything an instance is made from. It may be made on any thread.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, Trap};

use super::{Autopsy, Boundary, Death, Ended, Exports, Guest, Limits, NOTHING, Saboteur};
use crate::bindings::{DeviceWorld, ProcessorWorld, control, processor};
use crate::fault::{self, Fault};
use crate::fuel::Rate;
use crate::logging::{Log, clean};
use crate::memory::{self, GuestMemory};
use crate::module::{Code, Module};
use crate::native::Make;
use crate::processor::pace::within;
use crate::state::{DirectoryGrant, State};
use crate::world::World;

/// Bytes of entries, lists and text that a call may give or a host function take.
pub(super) const MAX_BATCH: usize = 16 << 20;

/// What all instances of a VCP have in common.
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    pub(crate) engine: wasmtime::Engine,
    pub(crate) config: Vec<(String, String)>,
    pub(crate) allowance: Allowance,
    pub(crate) limits: Limits,
    pub(crate) grants: Vec<DirectoryGrant>,
    pub(crate) network: Mutex<Option<processor::Network>>,
    /// The identity of the device that clients hold on to; empty when it is not known.
    pub(crate) identity: Mutex<String>,
    pub(crate) saboteur: Saboteur,
    pub(crate) boundary: Arc<Boundary>,
    pub(crate) rate: Arc<Rate>,
}

impl Plan {
    /// The network that the next instance is told. The value behind the lock is whole after
    /// any panic: it is only ever replaced.
    pub(crate) fn network(&self) -> Option<processor::Network> {
        let network = self.network.lock();
        network.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the network of another link.
    pub(crate) fn set_network(&self, network: processor::Network) {
        let before = self.network.lock();
        *before.unwrap_or_else(PoisonError::into_inner) = Some(network);
    }

    /// The identity of the device that the next instance is told.
    pub(crate) fn identity(&self) -> String {
        let identity = self.identity.lock();
        identity.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the identity of the device. Returns whether it is a new one.
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

/// The settings that an operator can change while the VCP runs; the next instance is made by
/// them.
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
}

impl Blueprint {
    pub(crate) fn new(plan: Arc<Plan>, module: Module) -> Self {
        Self { plan, module }
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
            said: Vec::new(),
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

    /// Makes the exports that are called, and the memory that goes with them.
    async fn instantiate(&self, store: &mut Store<State>, limits: Limits) -> Result<Made, Death> {
        let linked = match &self.module.code {
            Code::Component(linked) => linked,
            Code::Native(make) => return Ok(Made::native(make)),
        };
        let (instance, memories) = instantiate(linked, store, limits).await?;
        let memory = only(memories)?;
        store.data_mut().set_linear_memory(memory.within());
        Ok(Made {
            exports: self.exports(store, instance)?,
            memory: Some(memory),
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
        let log = Log::new(Arc::clone(&plan.name), generation);
        let boundary = Arc::clone(&plan.boundary);
        let memory = plan.allowance.memory();
        let state = State::new(&plan.grants, memory, log, boundary)
            .map_err(|e| Fault::Instantiate(format!("{e:#}")))?;
        let mut store = Store::new(&plan.engine, state);
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
    /// Its linear memory; a native VCP has none.
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

/// Makes an instance of a component, with its memories. Its own code runs in this already,
/// and what it dies of is found out as for a call.
async fn instantiate(
    linked: &InstancePre<State>,
    store: &mut Store<State>,
    limits: Limits,
) -> Result<(Instance, Vec<GuestMemory>), Death> {
    let instantiate = linked.instantiate_async(&mut *store);
    let (instance, memories) = memory::collect(within(instantiate, limits.time(false))).await;
    let (fault, backtrace) = match instance {
        Ok(Ok(instance)) => return Ok((instance, memories)),
        Ok(Err(error)) => {
            let fault = failed(&error, limits.fuel(false), store.data());
            (fault, fault::backtrace(&error))
        }
        Err(_late) => (
            Fault::Watchdog {
                limit: limits.time(false),
            },
            String::new(),
        ),
    };
    let left = store.get_fuel().unwrap_or(limits.fuel(false));
    let autopsy = Autopsy {
        backtrace,
        said: store.data().log().last_words(),
        fuel: limits.fuel(false).saturating_sub(left),
        memory: memories.iter().map(GuestMemory::size).sum(),
        core: None,
    };
    Err(Death { fault, autopsy })
}

/// Why an instance was not made: its own code failed, or it could not be instantiated.
fn failed(error: &wasmtime::Error, fuel: u64, state: &State) -> Fault {
    if error.is::<Ended>() {
        return Fault::Injected;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::Fuel { limit: fuel },
        Some(Trap::StackOverflow) => Fault::Stack { shadow: false },
        Some(_) => Fault::Trap(fault::describe(error)),
        // An initial memory that is too large is refused as growth is later.
        None if let Some(wanted) = state.refused() => Fault::Memory {
            limit: state.memory(),
            wanted,
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::processor::pace::block_on;
    use wasmtime::component::Component;

    /// A component with one core module, whose start function traps.
    #[rustfmt::skip]
    const TRAPS_AT_START: &[u8] = &[
        // A component, and in it a core module of 28 bytes:
        0, b'a', b's', b'm', 0x0d, 0, 1, 0, 1, 28, 0, b'a', b's', b'm', 1, 0, 0, 0,
        // the type of a function, the function, the start,
        1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 8, 1, 0,
        // and its code: unreachable, end.
        10, 5, 1, 3, 0, 0x00, 0x0b,
        // An instance of it.
        2, 4, 1, 0, 0, 0,
    ];

    #[test]
    fn a_trap_at_the_start_is_found_out_about() {
        let engine = Engine::new(true).unwrap();
        let component = Component::from_binary(&engine.wasmtime, TRAPS_AT_START).unwrap();
        let linked = engine.linker.instantiate_pre(&component).unwrap();
        let log = Log::new("test".into(), 1);
        log.stream(crate::logging::Stream::Err, b"what for");
        let state = State::new(&[], Some(1 << 20), log, Arc::default()).unwrap();
        let mut store = Store::new(&engine.wasmtime, state);
        store.set_fuel(1000).unwrap();
        let limits = Limits {
            fuel: Some(1000),
            call: std::time::Duration::from_secs(10),
            core_dumps: false,
        };
        let made = block_on(instantiate(&linked, &mut store, limits));
        let Err(Death { fault, autopsy }) = made else {
            panic!("it was made");
        };
        assert_eq!(fault.kind(), "trap");
        assert!(
            autopsy.backtrace.contains("<wasm function 0>"),
            "{autopsy:?}"
        );
        assert_eq!(autopsy.said, ["what for"]);
        assert!(autopsy.fuel > 0);
    }
}

//! One instance of a VCP, and the calls into it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use wasmtime::component::Linker;
use wasmtime::{Store, Trap};

use crate::bindings::{DeviceWorld, ProcessorWorld, control, device, processor, types};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::memory::{self, GuestMemory};
use crate::module::Module;
use crate::state::State;
use crate::world::World;

/// Fuel after which a call gives way for a moment, about 0.1 ms.
const YIELD_INTERVAL: u64 = 1_000_000;
/// Bytes of entries, lists and text that a call may give or a host function take.
const MAX_BATCH: usize = 16 << 20;
/// How long a call may wait for what a granted interface is to give.
const WAIT_SECONDS: u64 = 10;
/// The least a data and a receive area may have, as `vcp:io/control` says.
const MIN_DATA: u32 = 64 << 10;
const MIN_RECEIVE: u32 = 128 << 10;

pub(crate) use processor::{Effects, Events};

enum Exports {
    Device(DeviceWorld),
    Processor(ProcessorWorld),
}

/// A running instance.
pub(crate) struct Guest {
    store: Store<State>,
    exports: Exports,
    pub(crate) memory: GuestMemory,
    pub(crate) areas: control::Areas,
    fuel_limit: u64,
    metered: bool,
    /// Fuel used in all calls so far.
    pub(crate) fuel: u64,
}

impl Guest {
    /// Instantiates `module` and calls its `init`. Takes effect on this thread,
    /// on which all later calls must come.
    pub(crate) fn start(
        engine: &Engine,
        linker: &Linker<State>,
        module: &Module,
        state: State,
        start: &control::Start,
        network: Option<&processor::Network>,
        fuel_limit: u64,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(&engine.wasmtime, state);
        store.limiter(State::limits);
        store.set_hostcall_fuel(MAX_BATCH);
        store.data_mut().refuel(fuel_limit);
        let metered = store.set_fuel(fuel_limit).is_ok();
        if metered {
            store
                .fuel_async_yield_interval(Some(YIELD_INTERVAL))
                .map_err(|e| Fault::Instantiate(format!("{e:#}")))?;
        }
        let instantiate = async {
            Ok::<_, wasmtime::Error>(match module.world {
                World::Device => Exports::Device(
                    DeviceWorld::instantiate_async(&mut store, &module.component, linker).await?,
                ),
                World::Processor => Exports::Processor(
                    ProcessorWorld::instantiate_async(&mut store, &module.component, linker)
                        .await?,
                ),
            })
        };
        let (exports, memories) = memory::collect(|| run(instantiate));
        let exports = exports?.map_err(|error| match error.downcast_ref::<Trap>() {
            Some(_) => Fault::from_call(error, fuel_limit),
            None => Fault::Instantiate(crate::logging::clean(&format!("{error:#}"))),
        })?;
        let memory = only(memories)?;
        let areas = control::Areas {
            data: NOTHING,
            receive: NOTHING,
        };
        let mut guest = Self {
            store,
            exports,
            memory,
            areas,
            fuel_limit,
            metered,
            fuel: 0,
        };
        let areas = guest
            .init(start, network)?
            .map_err(|why| Fault::Init(crate::logging::clean(&why)))?;
        guest.check_areas(&areas, network.is_some())?;
        guest.areas = areas;
        Ok(guest)
    }

    fn init(
        &mut self,
        start: &control::Start,
        network: Option<&processor::Network>,
    ) -> Result<Result<control::Areas, String>, Fault> {
        self.refuel();
        let result =
            match (&self.exports, network) {
                (Exports::Device(world), _) => {
                    run(world.vcp_block_device().call_init(&mut self.store, start))
                }
                (Exports::Processor(world), Some(network)) => run(world
                    .vcp_net_processor()
                    .call_init(&mut self.store, start, network)),
                (Exports::Processor(_), None) => {
                    return Err(Fault::Init("needs a network: give it a link".to_owned()));
                }
            };
        self.account();
        result?.map_err(|error| Fault::from_call(error, self.fuel_limit))
    }

    /// One batch of events in, one batch of effects out.
    pub(crate) fn process(&mut self, events: &Events) -> Result<Effects, Fault> {
        self.refuel();
        let result = match &self.exports {
            Exports::Device(world) => run(world.vcp_block_device().call_process(
                &mut self.store,
                events.now,
                &events.commands,
                &events.requests,
            ))
            .map(|result| result.map(from_device)),
            Exports::Processor(world) => run(world
                .vcp_net_processor()
                .call_process(&mut self.store, events)),
        };
        self.account();
        result?.map_err(|error| Fault::from_call(error, self.fuel_limit))
    }

    /// The bytes of a span that the guest named; `what` says where it did.
    pub(crate) fn bytes(&self, what: &'static str, span: types::Span) -> Result<&[u8], Fault> {
        let types::Span { address, length } = span;
        self.memory.slice(address, length).map_err(|_| Fault::Span {
            what,
            address,
            length,
        })
    }

    fn refuel(&mut self) {
        if self.metered {
            // It succeeds exactly when metering is on.
            let _ = self.store.set_fuel(self.fuel_limit);
        }
        self.store.data_mut().refuel(self.fuel_limit);
    }

    fn account(&mut self) {
        if self.metered {
            let limit = self.fuel_limit;
            let left = self.store.get_fuel().unwrap_or(limit);
            let host = limit - self.store.data_mut().refuel(0);
            self.fuel += limit - left + host;
        }
    }

    fn check_areas(&self, areas: &control::Areas, networked: bool) -> Result<(), Fault> {
        let control::Areas { data, receive } = areas;
        self.bytes("data area", *data)?;
        self.bytes("receive area", *receive)?;
        if data.length < MIN_DATA {
            return Err(Fault::Protocol(format!(
                "data area of {} bytes, which is less than {MIN_DATA}",
                data.length
            )));
        }
        if networked && receive.length < MIN_RECEIVE {
            return Err(Fault::Protocol(format!(
                "receive area of {} bytes, which is less than {MIN_RECEIVE}",
                receive.length
            )));
        }
        let end = |span: &types::Span| u64::from(span.address) + u64::from(span.length);
        let apart =
            end(data) <= u64::from(receive.address) || end(receive) <= u64::from(data.address);
        if receive.length > 0 && !apart {
            return Err(Fault::Protocol("data and receive areas overlap".to_owned()));
        }
        Ok(())
    }
}

const NOTHING: types::Span = types::Span {
    address: 0,
    length: 0,
};

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

fn from_device(effects: device::Effects) -> Effects {
    Effects {
        completions: effects.completions,
        notices: effects.notices,
        frames: Vec::new(),
        connects: Vec::new(),
        sends: Vec::new(),
        closes: Vec::new(),
        deadline: effects.deadline,
    }
}

/// Wakes the thread that runs a guest.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    static UNPARK: Arc<Unpark> =
        Arc::new(Unpark { thread: std::thread::current(), woken: AtomicBool::new(false) });
}

/// Runs a call to its end on this thread. A call is pending when it yields for
/// fuel, which wakes it at once, or waits for a granted WASI operation. That may
/// never end, and is given up in time; the store is of no use afterwards.
fn run<F: Future>(future: F) -> Result<F::Output, Fault> {
    let patience = Duration::from_secs(WAIT_SECONDS);
    let mut waited = Duration::ZERO;
    let unpark = UNPARK.with(Arc::clone);
    let waker = Waker::from(Arc::clone(&unpark));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        while !unpark.woken.swap(false, Ordering::Acquire) {
            let since = Instant::now();
            std::thread::park_timeout(patience.saturating_sub(waited));
            waited += since.elapsed();
            if waited >= patience {
                return Err(Fault::Stuck {
                    seconds: WAIT_SECONDS,
                });
            }
        }
    }
}

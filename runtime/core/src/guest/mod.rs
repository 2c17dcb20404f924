//! One instance of a VCP, and the calls into it.
//!
//! `blueprint` makes one, `reach` reaches its bytes, `death` finds out
//! what it died of, `handover` moves its state to another, `sabotage` and
//! `boundary` kill it on request.

mod blueprint;
mod boundary;
mod calibrate;
mod death;
mod handover;
mod reach;
mod sabotage;

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

use crate::bindings::{DeviceWorld, ProcessorWorld, control, device, processor, types};
use crate::fault::Fault;
use crate::file::Patience;
use crate::fuel::{Rate, plenty};
use crate::memory::GuestMemory;
use crate::native::{NativeVcp, guarded};
use crate::processor::pace::{Late, within};
use crate::state::State;
use handover::Handover;

use blueprint::MAX_BATCH;
pub(crate) use blueprint::{Allowance, Blueprint, Plan};
pub(crate) use boundary::{Boundary, Ended};
pub(crate) use calibrate::calibrate;
pub(crate) use death::{Autopsy, Death};
pub(crate) use handover::{Handed, Refusal};
pub(crate) use sabotage::Saboteur;
pub use sabotage::{Injection, UnknownInjection};

/// The least a data and a receive area may have, as `vcp:io/control` says.
const MIN_DATA: u32 = 64 << 10;
const MIN_RECEIVE: u32 = 128 << 10;

pub(crate) use processor::{Effects, Events};

enum Exports {
    Device(DeviceWorld),
    Processor(ProcessorWorld),
    /// Compiled in, for measurements.
    Native(Box<dyn NativeVcp>),
}

/// The least time for a call of an instance that is not ready yet, or hands over.
const START: Duration = Duration::from_secs(2);

/// The limits on an instance's calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Fuel in one call; `None`: more than its time allows.
    pub(crate) fuel: Option<u64>,
    /// Time in one call of an instance that was ready.
    pub(crate) call: Duration,
    /// Whether core dumps are written.
    pub(crate) core_dumps: bool,
}

impl Limits {
    /// Time in one call.
    pub(crate) fn time(&self, ready: bool) -> Duration {
        if ready {
            self.call
        } else {
            self.call.max(START)
        }
    }

    /// Fuel in one call.
    pub(crate) fn fuel(&self, ready: bool) -> u64 {
        self.fuel.unwrap_or_else(|| plenty(self.time(ready)))
    }
}

/// A running instance. It can be made on one thread and used on another.
pub(crate) struct Guest {
    name: Arc<str>,
    store: Store<State>,
    exports: Exports,
    handover: Option<Handover>,
    /// Its linear memory. A native VCP has none, and resolves its spans itself.
    memory: Option<GuestMemory>,
    pub(crate) areas: control::Areas,
    limits: Limits,
    /// Whether it serves, so that its calls are to be short.
    ready: bool,
    metered: bool,
    /// The most requests that it was told to expect.
    pub(crate) queue_depth: u32,
    /// The identity of the device that it was told.
    pub(crate) identity: String,
    /// Fuel used in all calls so far.
    pub(crate) fuel: u64,
    /// The next call gets no more fuel than this.
    cut: Option<u64>,
    saboteur: Saboteur,
    boundary: Arc<Boundary>,
    rate: Arc<Rate>,
    /// Fuel after which it gives the thread back.
    quantum: u64,
    /// What a failed call left behind.
    backtrace: String,
    said: Vec<String>,
    core: Option<Vec<u8>>,
    /// A call was given up in the middle: the store can't be entered again.
    lost: bool,
}

impl Guest {
    async fn init(
        &mut self,
        start: &control::Start,
        network: Option<&processor::Network>,
    ) -> Result<Result<control::Areas, String>, Fault> {
        self.enter()?;
        let limit = self.time();
        let store = &mut self.store;
        let result = match (&mut self.exports, network) {
            (Exports::Device(world), _) => {
                within(world.vcp_block_device().call_init(store, start), limit).await
            }
            (Exports::Processor(world), Some(network)) => {
                let processor = world.vcp_net_processor();
                within(processor.call_init(store, start, network), limit).await
            }
            (Exports::Processor(_), None) => {
                return Err(Fault::Init("needs a network: give it a link".to_owned()));
            }
            (Exports::Native(vcp), network) => {
                Ok(guarded(|| vcp.init(start, network)).map_err(Into::into))
            }
        };
        self.leave(result)
    }

    /// Passes one batch of events in, and one batch of effects out.
    pub(crate) async fn process(&mut self, events: &Events) -> Result<Effects, Fault> {
        self.enter()?;
        let limit = self.time();
        *self.store.data_mut().patience() = Patience::of_call(events.requests.len(), limit);
        let store = &mut self.store;
        let result = match &mut self.exports {
            Exports::Device(world) => {
                let device = world.vcp_block_device();
                let (now, commands) = (events.now, &events.commands);
                let call = device.call_process(store, now, commands, &events.requests);
                let result = within(call, limit).await;
                result.map(|result| result.map(from_device))
            }
            Exports::Processor(world) => {
                within(world.vcp_net_processor().call_process(store, events), limit).await
            }
            Exports::Native(vcp) => Ok(guarded(|| vcp.process(events)).map_err(Into::into)),
        };
        self.leave(result)
    }

    /// Begins a call.
    fn enter(&mut self) -> Result<(), Fault> {
        self.boundary.cross()?;
        self.store.data().log().begin();
        self.refuel();
        *self.store.data_mut().patience() = Patience::of_call(0, self.time());
        Ok(())
    }

    /// Ends a call of the VCP's own.
    fn leave<T>(&mut self, result: Result<wasmtime::Result<T>, Late>) -> Result<T, Fault> {
        let value = self.conclude(result)?;
        self.boundary.cross()?;
        Ok(value)
    }

    /// Ends a call: accounts for its cost, and finds out what it died of, if it did.
    fn conclude<T>(&mut self, result: Result<wasmtime::Result<T>, Late>) -> Result<T, Fault> {
        self.account();
        let result = match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.died(&error)),
            Err(late) => Err(self.late(late)),
        };
        self.cut = None;
        result
    }

    fn late(&mut self, _: Late) -> Fault {
        self.lost = true;
        Fault::Watchdog { limit: self.time() }
    }

    /// The time limit of the call under way, or of the next one.
    fn time(&self) -> Duration {
        self.limits.time(self.ready)
    }

    /// Sets whether it serves, so that its calls are to be short.
    pub(crate) fn set_ready(&mut self, ready: bool) {
        self.ready = ready;
    }

    /// Sets the operator's limit of linear memory; memory in use is kept.
    pub(crate) fn set_memory(&mut self, given: Option<usize>) {
        self.store.data_mut().set_memory(given);
    }

    /// The most linear memory that it may have, in bytes.
    pub(crate) fn memory_limit(&self) -> usize {
        self.store.data().memory()
    }

    /// The next call dies after so much fuel.
    pub(crate) fn cut(&mut self, fuel: u64) {
        self.cut = Some(fuel);
    }

    fn refuel(&mut self) {
        let fuel = self.allowance();
        if self.metered {
            // These succeed exactly when metering is on.
            let _ = self.store.set_fuel(fuel);
            let quantum = self.rate.quantum();
            if quantum.abs_diff(self.quantum) > self.quantum / 4 {
                self.quantum = quantum;
                let _ = self.store.fuel_async_yield_interval(Some(quantum));
            }
        }
        self.store.data_mut().refuel(fuel);
        self.store.data_mut().forget_refusal();
    }

    fn allowance(&self) -> u64 {
        self.cut
            .unwrap_or(u64::MAX)
            .min(self.limits.fuel(self.ready))
    }

    fn account(&mut self) {
        if self.metered {
            let given = self.allowance();
            let left = self.store.get_fuel().unwrap_or(given);
            let host = given - self.store.data_mut().refuel(0);
            self.fuel += given - left + host;
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

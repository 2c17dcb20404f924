//! `vcp:io/handover`: the state that one version hands to the next.

use wasmtime::component::{ComponentType, Lift, TypedFunc};

use super::{Guest, MAX_BATCH};
use crate::fault::Fault;
use crate::processor::pace::within;

/// The optional exports of a module.
#[derive(Clone, Copy)]
pub(super) struct Handover {
    snapshot: TypedFunc<(u64,), (Taken,)>,
    restore: TypedFunc<(u64, Vec<u8>), (Restored,)>,
}

/// Done, or the guest's reason why not.
type Restored = Result<(), String>;

/// A state, or the guest's reason why there is none.
type Taken = Result<Handed, Refusal>;

/// `vcp:io/handover.handed`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Handed {
    pub(crate) state: Vec<u8>,
    /// A successor without it can't serve.
    #[component(name = "only-copy")]
    pub(crate) only_copy: bool,
}

/// `vcp:io/handover.refusal`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Refusal {
    /// It may be asked again.
    #[component(name = "not-now")]
    NotNow(String),
    /// A successor without it can't serve.
    #[component(name = "never")]
    Never(String),
}

/// The longest state that goes from one version to the next, in bytes.
pub(crate) const MAX_STATE: usize = MAX_BATCH;

/// The interface's name.
const INTERFACE: &str = "vcp:io/handover@0.1.0";

impl Handed {
    /// Why it is too long to go to the next version, if it is.
    pub(crate) fn too_long(&self) -> Option<String> {
        let length = self.state.len();
        (length > MAX_STATE).then(|| {
            format!("its state has {length} bytes; no more than {MAX_STATE} can be handed over")
        })
    }
}

impl Guest {
    pub(super) fn find_handover(&mut self, instance: wasmtime::component::Instance) {
        let store = &mut self.store;
        let interface = instance.get_export_index(&mut *store, None, INTERFACE);
        let mut named =
            |name| instance.get_export_index(&mut *store, Some(interface.as_ref()?), name);
        let (snapshot, restore) = (named("snapshot"), named("restore"));
        // A module whose functions are of other types has none of these.
        self.handover = snapshot.zip(restore).and_then(|(snapshot, restore)| {
            Some(Handover {
                snapshot: instance.get_typed_func(&mut *store, snapshot).ok()?,
                restore: instance.get_typed_func(&mut *store, restore).ok()?,
            })
        });
    }

    /// Whether it can hand its state over, and take one over.
    pub(crate) fn hands_over(&self) -> bool {
        self.handover.is_some()
    }

    /// The state of the device. The inner error is the guest's word that there is
    /// none just now.
    pub(crate) async fn snapshot(&mut self, now: u64) -> Result<Taken, Fault> {
        let Some(handover) = self.handover else {
            let why = "the module hands nothing over".to_owned();
            return Ok(Err(Refusal::NotNow(why)));
        };
        // It has the time of a start: nobody is served meanwhile anyway.
        self.set_ready(false);
        self.enter()?;
        let limit = self.time();
        // A state that is too large to be copied is a trap, and no instance goes on after
        // one. So any state is taken, up to the limit of its memory, and its size is checked
        // here.
        let most = self.memory_limit().saturating_add(MAX_BATCH);
        self.store.set_hostcall_fuel(most);
        let call = handover.snapshot.call_async(&mut self.store, (now,));
        let result = within(call, limit).await;
        self.store.set_hostcall_fuel(MAX_BATCH);
        let taken = self.leave(result).map(|(state,)| state);
        self.set_ready(true);
        taken
    }

    /// Gives it the state of its predecessor.
    pub(crate) async fn restore(
        &mut self,
        now: u64,
        state: Vec<u8>,
    ) -> Result<Result<(), String>, Fault> {
        let Some(handover) = self.handover else {
            return Ok(Err("the module takes nothing over".to_owned()));
        };
        self.enter()?;
        let limit = self.time();
        let call = handover.restore.call_async(&mut self.store, (now, state));
        let result = within(call, limit).await;
        self.leave(result).map(|(done,)| done)
    }
}

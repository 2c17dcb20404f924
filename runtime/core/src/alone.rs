//! One instance by itself, called by hand: what a call costs, without a channel
//! processor, clients or a link around it. For measurements, and for asking a module about
//! its configuration.

use std::sync::Arc;

use crate::clock::now;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::guest::{Blueprint, Guest};
use crate::native::{Areas, Effects, Events, Network, Span};
use crate::processor::pace::{Alarm, drive};
use crate::settings::Settings;
use crate::vcp::plan;

/// A started instance of a module, which its owner calls. Its effects are not carried out,
/// and when it has died no other is started. Call it on the thread that started it: that
/// thread is the one that is woken for it.
pub struct Alone {
    guest: Guest,
    alarm: Arc<Alarm>,
}

impl Alone {
    /// Makes an instance as a channel would, from the settings' module, configuration,
    /// memory, queue depth, watchdog and grants, and calls its `init`. `network` takes the
    /// place of the settings' own.
    ///
    /// # Errors
    /// Why it could not be made, or what it died of.
    pub fn start(
        engine: &Engine,
        mut settings: Settings,
        network: Option<Network>,
    ) -> Result<Self, Fault> {
        let plan = plan(engine, &mut settings, network, Arc::new(engine.rate()));
        let blueprint = Blueprint::new(Arc::new(plan), settings.module);
        let alarm = Alarm::new(None);
        let guest = drive(blueprint.build(1, now()), &alarm);
        let guest = guest.map_err(|death| death.fault)?;
        Ok(Self { guest, alarm })
    }

    /// The parts of its memory for data and for what is received.
    #[must_use]
    pub fn areas(&self) -> Areas {
        self.guest.areas
    }

    /// Calls the instance once, on this thread.
    ///
    /// # Errors
    /// The fault that it died of; it can't be called again.
    pub fn process(&mut self, events: &Events) -> Result<Effects, Fault> {
        drive(self.guest.process(events), &self.alarm)
    }

    /// The bytes that a span of an entry names.
    ///
    /// # Errors
    /// The span reaches outside the instance's memory.
    pub fn bytes(&self, span: Span) -> Result<&[u8], Fault> {
        self.guest.bytes("an entry", span)
    }

    /// The bytes of a span of its areas, to write; `None` when it reaches outside.
    pub fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        self.guest.bytes_mut(span)
    }

    /// Fuel used in all calls so far; 0 where nothing is metered.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.guest.fuel
    }
}

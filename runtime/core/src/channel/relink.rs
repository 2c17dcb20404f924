//! A link whose interface vanished, and its return. It is an outage like any other: requests
//! wait, and the link is opened again and again until it is there. Opening may take its time
//! in the kernel, so the helping thread does it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;
use vcp_queue::Link;
use vcp_supervisor::{Decision, Phase};

use super::convert::network_of;
use super::network::Network;
use super::{Channel, Command};
use crate::bindings::processor;
use crate::clock::now;
use crate::event::{Event, ReloadError, Reloaded, RestartError};
use crate::module::Module;
use crate::report::What;
use crate::settings::Reopen;

/// The delay from one attempt to the next, in nanoseconds: the first, which doubles each
/// time, and the longest. A link that lived for less than the longest counts as one that
/// could not be opened.
const FIRST: u64 = 100_000_000;
const MOST: u64 = 1_000_000_000;

/// The least MTUs that a VCP can use, in bytes: as `vcp-netstack` has it, and with an
/// IPv6 address (RFC 8200 §5).
const LEAST_MTU: u32 = 500;
const LEAST_MTU_IPV6: u32 = 1280;

/// What is known of a VCP's link beside the link itself.
pub(super) struct Relink {
    /// How it is opened again, if it can be.
    reopen: Option<Reopen>,
    addresses: Vec<String>,
    gateways: Vec<String>,
    opened_at: u64,
    /// There was no link when the VCP was started, and it waits for one.
    awaited: bool,
    /// When the next attempt is due.
    at: Option<u64>,
    delay: u64,
    /// An attempt is under way.
    pending: bool,
    /// The commands that the next attempt answers.
    waiting: Vec<Waiting>,
    /// Frames that links before have dropped.
    dropped: u64,
}

/// What an operator asked for while there was no link.
pub(super) enum Waiting {
    /// A fresh instance.
    Restart(oneshot::Sender<Result<u32, RestartError>>),
    /// Another module.
    Reload {
        module: Module,
        answer: oneshot::Sender<Result<Reloaded, ReloadError>>,
    },
}

impl Waiting {
    /// Answers that it did not happen. The receiver may be gone.
    fn refuse(self, why: &str) {
        let why = why.to_owned();
        match self {
            Self::Restart(answer) => _ = answer.send(Err(RestartError::Link(why))),
            Self::Reload { answer, .. } => _ = answer.send(Err(ReloadError::Link(why))),
        }
    }
}

impl Relink {
    pub(super) fn new(
        reopen: Option<Reopen>,
        addresses: Vec<String>,
        gateways: Vec<String>,
    ) -> Self {
        Self {
            reopen,
            addresses,
            gateways,
            opened_at: now(),
            awaited: false,
            at: None,
            delay: FIRST,
            pending: false,
            waiting: Vec::new(),
            dropped: 0,
        }
    }

    /// Refuses a link whose MTU is too small: every instance would die in its start, so the
    /// VCP waits for the link to be mended.
    fn check_mtu(&self, mtu: u32) -> Result<(), String> {
        // No other address has a colon.
        let ipv6 = self.addresses.iter().any(|address| address.contains(':'));
        let (least, with) = if ipv6 {
            (LEAST_MTU_IPV6, " with an IPv6 address")
        } else {
            (LEAST_MTU, "")
        };
        if mtu < least {
            return Err(format!(
                "an MTU of {mtu} is less than {least}, the least that a VCP can use{with}"
            ));
        }
        Ok(())
    }
}

impl Channel {
    pub(super) fn link_is_gone(&self) -> bool {
        self.network.is_none() && self.setup.plan.has_frames()
    }

    /// The link's interface vanished, and with it every connection of the instance.
    pub(super) fn lose_link(&mut self, error: &io::Error) {
        let Some(network) = self.network.take() else {
            return;
        };
        self.relink.dropped = network.dropped;
        self.drop_instance();
        self.table.restart();
        if self.leaving() {
            self.cancel_reload("is stopping");
            return self.end_leaving();
        }
        let why = format!("the link is gone: {error}");
        // A VCP that never served is somebody's first attempt, which fails.
        let waits = self.supervisor.served() || self.relink.awaited;
        if self.relink.reopen.is_none() || !waits {
            self.cancel_reload("has lost its link");
            return self.hold(why);
        }
        let time = now();
        match self.supervisor.cut_off(time) {
            // The module on trial had not proved itself yet, and can't now.
            Decision::RollBack => self.roll_back(&why),
            _ => self.cancel_reload("has lost its link"),
        }
        if self.supervisor.phase() == Phase::Held {
            return;
        }
        if time.saturating_sub(self.relink.opened_at) >= MOST {
            self.relink.delay = FIRST;
        }
        self.try_later(time);
        self.run_clocks(time);
        self.wait_for_link(why);
    }

    /// There is no link to begin with. That is an outage from the start, and no instance is
    /// made before there is a link.
    pub(super) fn await_link(&mut self, why: &str) {
        let time = now();
        self.relink.awaited = true;
        self.supervisor.cut_off(time);
        self.try_later(time);
        self.wait_for_link(format!("there is no link yet: {why}"));
    }

    fn wait_for_link(&mut self, why: String) {
        self.why.clone_from(&why);
        self.note(What::Suspended);
        self.emit(Event::Suspended(why));
        self.publish();
    }

    fn try_later(&mut self, time: u64) {
        self.relink.at = Some(time.saturating_add(self.relink.delay));
        self.relink.delay = (self.relink.delay * 2).min(MOST);
    }

    pub(super) fn relink_deadline(&self) -> Option<u64> {
        self.relink.at.filter(|_| !self.leaving())
    }

    /// Has the link opened, if it is time for that.
    pub(super) fn try_relink(&mut self, time: u64) {
        if self.relink.pending || self.relink.at.is_none_or(|at| time < at) {
            return;
        }
        let Some(reopen) = self.relink.reopen.clone() else {
            return;
        };
        let (own, waker) = (self.own.clone(), self.poller.waker());
        let given = self.hands.offer(move || {
            let opened = catch_unwind(AssertUnwindSafe(|| reopen()));
            let opened = opened.unwrap_or_else(|_| Err("the host panicked".to_owned()));
            // A VCP that has ended meanwhile needs no link.
            let _ = own.send(Command::Reopened(opened));
            waker.wake();
        });
        if given {
            self.relink.at = None;
            self.relink.pending = true;
        } else {
            self.try_later(time);
        }
    }

    /// Opens the link at once, for a command that needs one.
    pub(super) fn want_link(&mut self, waiting: Waiting) {
        if self.relink.reopen.is_none() {
            return waiting.refuse("it can't be opened again");
        }
        self.relink.waiting.push(waiting);
        self.relink.delay = FIRST;
        // The result of an attempt under way is an answer, too.
        if !self.relink.pending {
            self.relink.at = Some(now());
        }
    }

    /// An attempt has come to its end.
    pub(super) async fn on_reopened(&mut self, opened: Result<Box<dyn Link>, String>) {
        self.relink.pending = false;
        let waiting = std::mem::take(&mut self.relink.waiting);
        if self.leaving() || !self.link_is_gone() {
            waiting.into_iter().for_each(|w| w.refuse("it is stopping"));
            return;
        }
        match opened.and_then(|link| self.take_link(link)) {
            Ok(()) => self.on_link(waiting).await,
            Err(why) => {
                waiting.into_iter().for_each(|w| w.refuse(&why));
                let so_far = match self.supervisor.served() {
                    true => "the link is gone",
                    false => "there is no link yet",
                };
                self.still_no_link(&format!("{so_far}: {why}"));
            }
        }
    }

    fn still_no_link(&mut self, why: &str) {
        if self.supervisor.phase() == Phase::Held {
            // It was an operator's attempt, or that of a host that perseveres.
            self.relink.at = None;
            return self.hold(why.to_owned());
        }
        self.try_later(now());
        if self.why != why {
            self.wait_for_link(why.to_owned());
        }
    }

    /// Takes a link that was opened, and tells its properties to the next instances: they
    /// need not be what they were.
    fn take_link(&mut self, link: Box<dyn Link>) -> Result<(), String> {
        self.relink.check_mtu(link.properties().mtu)?;
        let told = network_of(
            link.properties(),
            &self.relink.addresses,
            &self.relink.gateways,
        );
        let network = Network::new(link, &self.poller);
        let mut network = network.map_err(|error| format!("polling it: {error}"))?;
        network.dropped = self.relink.dropped;
        self.network = Some(network);
        self.setup.plan.set_network(told);
        self.relink.opened_at = now();
        self.relink.at = None;
        Ok(())
    }

    /// There is a link again, and no instance behind it yet.
    async fn on_link(&mut self, waiting: Vec<Waiting>) {
        let restarts = |waiting: &Waiting| matches!(waiting, Waiting::Restart(_));
        let restarts = waiting.iter().any(restarts);
        if restarts {
            // As in any restart, the operator accepts whatever device is there.
            self.identify("");
        }
        if self.supervisor.phase() != Phase::Held || restarts {
            self.supervisor.revive(now());
            self.start_instance().await;
        }
        let generation = self.supervisor.generation();
        for waiting in waiting {
            match waiting {
                Waiting::Restart(answer) => _ = answer.send(Ok(generation)),
                Waiting::Reload { module, answer } => self.begin_reload(module, answer),
            }
        }
        self.publish();
    }
}

impl crate::guest::Plan {
    fn has_frames(&self) -> bool {
        matches!(self.network(), Some(processor::Network::Frames(_)))
    }
}

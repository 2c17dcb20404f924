//! One turn of the loop: wait, gather, call; `effects` carries out.

use std::sync::atomic::Ordering;

use vcp_queue::{ClientId, Loan, Source, Status};

use super::{Channel, Command, Events, Flow, Phase, STOP_PATIENCE};
use super::{Streams, empty_events, network, now, request_of};
use crate::bindings::control;
use crate::fault::Fault;

impl Channel {
    pub(super) fn turn(&mut self) -> Result<Flow, Fault> {
        let timeout = self.timeout();
        self.again = false;
        let mut ready = std::mem::take(&mut self.ready);
        let woken = match self.poller.wait(timeout, &mut ready) {
            Ok(woken) => woken,
            Err(error) => {
                self.die(format!("polling: {error}"));
                return Ok(Flow::End);
            }
        };
        if woken {
            self.read_mailbox()?;
        }
        let mut events = empty_events();
        let listened = self.listen(&ready, &mut events);
        self.ready = ready;
        listened?;
        if self.advance() == Flow::End {
            return Ok(Flow::End);
        }
        if !self.leaving() {
            self.clients.resume(&mut self.table, &self.poller);
        }
        self.issue(&mut events);
        self.answer_done();
        self.counters
            .clients
            .store(self.clients.len() as u64, Ordering::Relaxed);
        self.call(events)?;
        Ok(Flow::Continue)
    }

    /// How long there is nothing to do but wait.
    fn timeout(&self) -> Option<u64> {
        let phase = match self.phase {
            Phase::Restarting { at } => Some(at),
            Phase::Draining { until } | Phase::Leaving { until } => Some(until),
            Phase::Running | Phase::Dead => None,
        };
        let deadline = self.deadline.filter(|_| self.guest.is_some());
        let news = self
            .streams
            .as_ref()
            .filter(|streams| streams.has_events())
            .map(|_| 0);
        // What clients were let go on with after everything was refused.
        let refuse = matches!(self.phase, Phase::Dead) && !self.table.is_empty();
        let again = (self.again || refuse).then_some(0);
        let next = [phase, deadline, news, again].into_iter().flatten().min()?;
        Some(next.saturating_sub(now()))
    }

    fn read_mailbox(&mut self) -> Result<(), Fault> {
        let mut injected = false;
        while let Ok(command) = self.mailbox.try_recv() {
            match command {
                // Nothing new is taken on, and nobody would read from it.
                Command::Attach(_) if self.leaving() => {}
                Command::Attach(client) => match self.clients.add(client, &self.poller) {
                    // It may have sent something before it was handed over.
                    Ok(id) => self.clients.receive(id, &mut self.table, &self.poller),
                    Err(error) => tracing::error!("polling a client: {error}"),
                },
                Command::Stop => self.begin_stop(),
                Command::Inject => injected |= self.guest.is_some(),
            }
        }
        if injected {
            Err(Fault::Injected)
        } else {
            Ok(())
        }
    }

    /// Whether nothing new is taken on.
    pub(super) fn leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Leaving { .. })
    }

    fn begin_stop(&mut self) {
        if self.leaving() {
            return;
        }
        self.clients.stop_reading(&self.poller);
        let patience = if self.served && self.guest.is_some() {
            STOP_PATIENCE
        } else {
            0
        };
        self.phase = Phase::Draining {
            until: now() + patience,
        };
    }

    /// Takes in what the descriptors have.
    fn listen(&mut self, ready: &[super::Ready], events: &mut Events) -> Result<(), Fault> {
        let mut filled = 0;
        for ready in ready {
            if Streams::owns(ready.token) {
                if let Some(streams) = &mut self.streams {
                    let guest = self.guest.as_mut();
                    let data = &mut events.stream_data;
                    streams.ready(
                        ready.token,
                        ready.write,
                        guest,
                        &mut filled,
                        data,
                        &self.poller,
                    );
                }
                continue;
            }
            if ready.token == network::TOKEN {
                self.receive_frames(ready.read, ready.write, events);
                continue;
            }
            let id = ClientId(ready.token);
            if ready.write {
                self.clients.send(id, &[], &mut self.table, &self.poller);
            }
            if ready.read && !self.leaving() {
                self.clients.receive(id, &mut self.table, &self.poller);
                // One that can't be read from and whose peer is gone would be
                // reported as long as it is there.
                if ready.broken && self.clients.is_blocked(id) {
                    self.clients.drop_lost(id, &mut self.table, &self.poller);
                }
            } else if ready.broken {
                self.clients.drop_lost(id, &mut self.table, &self.poller);
            }
        }
        Ok(())
    }

    fn receive_frames(&mut self, read: bool, write: bool, events: &mut Events) {
        let Some(network) = &mut self.network else {
            return;
        };
        let mut result = Ok(());
        if write {
            result = network.flush();
        }
        if read && result.is_ok() {
            result = match &mut self.guest {
                Some(guest) => network.receive(guest, &mut events.frames),
                None => network.discard(&mut self.scratch),
            };
        }
        if let Err(error) = result.and_then(|()| network.update_interest(&self.poller)) {
            self.lose_link(&error);
        }
    }

    pub(super) fn lose_link(&mut self, error: &std::io::Error) {
        self.network = None;
        self.die(format!("the link is gone: {error}"));
    }

    /// Moves on to the next phase when its time has come.
    fn advance(&mut self) -> Flow {
        let time = now();
        match self.phase {
            Phase::Restarting { at } if time >= at => self.start_instance(),
            Phase::Draining { until } if self.table.is_empty() || time >= until => {
                self.refuse_all(Status::ShuttingDown);
                self.table.restart();
                if self.guest.is_none() {
                    return Flow::End;
                }
                self.commands.push(control::Command::Stop);
                self.phase = Phase::Leaving {
                    until: time + STOP_PATIENCE,
                };
            }
            Phase::Leaving { until } if time >= until => return Flow::End,
            Phase::Dead if !self.table.is_empty() => self.refuse_all(Status::IoError),
            _ => {}
        }
        Flow::Continue
    }

    /// Takes entries from the table and places their data with the guest.
    fn issue(&mut self, events: &mut Events) {
        let Some(guest) = &mut self.guest else { return };
        if !self.ready_now || matches!(self.phase, Phase::Leaving { .. }) {
            return;
        }
        while let Some((entry, source)) = self.table.next(&mut self.area) {
            if let Some(Loan { address, length }) = entry.loan
                && let Ok(room) = guest.memory.slice_mut(address, length)
            {
                match source {
                    Source::Bytes(bytes) => room.copy_from_slice(bytes),
                    Source::Zeroes => room.fill(0),
                    Source::Nothing => {}
                }
            }
            events.requests.push(request_of(&entry));
        }
    }

    /// Calls the guest if there is anything to tell it, and does what it wants.
    fn call(&mut self, mut events: Events) -> Result<(), Fault> {
        let Some(guest) = &mut self.guest else {
            return Ok(());
        };
        events.now = now();
        events.commands = std::mem::take(&mut self.commands);
        if let Some(streams) = &mut self.streams {
            events.stream_events = streams.take_events();
        }
        let due = self.deadline.is_some_and(|deadline| deadline <= events.now);
        let quiet = events.commands.is_empty()
            && events.requests.is_empty()
            && events.frames.is_empty()
            && events.stream_data.is_empty()
            && events.stream_events.is_empty();
        if quiet && !due {
            return Ok(());
        }
        let fuel_before = guest.fuel;
        let effects = guest.process(&events)?;
        let counters = &self.counters;
        counters.calls.fetch_add(1, Ordering::Relaxed);
        counters
            .fuel
            .fetch_add(guest.fuel - fuel_before, Ordering::Relaxed);
        counters
            .requests
            .fetch_add(events.requests.len() as u64, Ordering::Relaxed);
        counters
            .frames_in
            .fetch_add(events.frames.len() as u64, Ordering::Relaxed);
        counters
            .frames_out
            .fetch_add(effects.frames.len() as u64, Ordering::Relaxed);
        self.deadline = effects.deadline;
        self.carry_out(&effects)
    }

    /// Answers what the table finished by itself.
    fn answer_done(&mut self) {
        let done = self.table.take_done();
        if !done.is_empty() {
            let mut finished: Vec<_> = done.into_iter().map(|f| (f, &[][..])).collect();
            self.clients
                .answer(&mut finished, &mut self.table, &self.poller);
        }
    }
}

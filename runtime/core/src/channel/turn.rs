//! One turn of the loop: wait, gather, call, carry out.

use std::sync::atomic::Ordering;

use vcp_queue::{ClientId, Data, Finished, Geometry, Loan, Source, Status};

use super::{Channel, Command, Effects, Events, Flow, Phase, STOP_PATIENCE};
use super::{Streams, empty_events, network, now, request_of, status_of};
use crate::bindings::{block, control, types};
use crate::fault::Fault;
use crate::logging::{clean, line};
use crate::vcp::Event;

/// The most that one batch may hold of what costs the host time to carry out or
/// memory to pass on. (Completions end with the first that answers nothing.)
const MAX_NOTICES: usize = 4096;
const MAX_FRAMES: usize = 1 << 16;
const MAX_STREAM_OPS: usize = 4096;

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

    fn lose_link(&mut self, error: &std::io::Error) {
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

    fn carry_out(&mut self, effects: &Effects) -> Result<(), Fault> {
        check_counts(effects)?;
        self.send_frames(effects)?;
        self.carry_streams(effects)?;
        self.take_completions(&effects.completions)?;
        // A completion may have made room for what waits, here or with a client.
        self.again = !effects.completions.is_empty();
        for notice in &effects.notices {
            // One that was given up has nothing more to say.
            if self.guest.is_none() {
                break;
            }
            self.take_notice(notice)?;
        }
        Ok(())
    }

    fn send_frames(&mut self, effects: &Effects) -> Result<(), Fault> {
        if effects.frames.is_empty() {
            return Ok(());
        }
        let (Some(network), Some(guest)) = (&mut self.network, &self.guest) else {
            return Err(Fault::Protocol("frames to send, but no link".to_owned()));
        };
        let sent = network.send(guest, &effects.frames);
        self.counters
            .frames_dropped
            .store(network.dropped, Ordering::Relaxed);
        let result = match sent {
            Err(network::Trouble::Fault(fault)) => return Err(fault),
            Err(network::Trouble::Link(error)) => Err(error),
            Ok(()) => network.update_interest(&self.poller),
        };
        if let Err(error) = result {
            self.lose_link(&error);
        }
        Ok(())
    }

    fn carry_streams(&mut self, effects: &Effects) -> Result<(), Fault> {
        let Effects {
            connects,
            sends,
            closes,
            ..
        } = effects;
        if connects.is_empty() && sends.is_empty() && closes.is_empty() {
            return Ok(());
        }
        let (Some(streams), Some(guest)) = (&mut self.streams, &self.guest) else {
            return Err(Fault::Protocol(
                "streams, but the host terminates none for it".to_owned(),
            ));
        };
        for close in closes {
            streams.close(close, &self.poller);
        }
        for connect in connects {
            streams.connect(connect, &self.poller)?;
        }
        for send in sends {
            streams.send(send, guest, &self.poller)?;
        }
        Ok(())
    }

    /// Checks completions, answers the clients, takes back the room.
    fn take_completions(&mut self, completions: &[block::Completion]) -> Result<(), Fault> {
        // While it takes its leave, everything has been answered already.
        let late = matches!(self.phase, Phase::Leaving { .. });
        let Some(guest) = self
            .guest
            .as_ref()
            .filter(|_| !completions.is_empty() && !late)
        else {
            return Ok(());
        };
        let mut loans = Vec::with_capacity(completions.len());
        let mut finished: Vec<(Finished, &[u8])> = Vec::with_capacity(completions.len());
        let mut violation = None;
        for completion in completions {
            let taken = guest
                .bytes("completion", self.read_span(completion))
                .and_then(|data| {
                    let status = status_of(completion.status);
                    let (loan, done) = self.table.complete(completion.tag, status, data)?;
                    Ok((loan, done.map(|done| (done, data))))
                });
            match taken {
                Ok((loan, done)) => {
                    loans.extend(loan);
                    finished.extend(done);
                }
                // What was right before it is answered all the same.
                Err(fault) => {
                    violation = Some(fault);
                    break;
                }
            }
        }
        let completed = finished.len() as u64;
        self.counters
            .completed
            .fetch_add(completed, Ordering::Relaxed);
        self.clients
            .answer(&mut finished, &mut self.table, &self.poller);
        for (finished, _) in finished {
            if let Data::Buffer { bytes, .. } = finished.data {
                self.table.recycle(bytes);
            }
        }
        for loan in loans {
            self.area.give_back(loan);
        }
        violation.map_or(Ok(()), Err)
    }

    /// Where the bytes of a completed read are: where it says, or else where it
    /// was told to put them.
    fn read_span(&self, completion: &block::Completion) -> types::Span {
        match self.table.room_of(completion.tag) {
            Some(Loan { address, length })
                if completion.data.length == 0 && completion.status == block::Status::Ok =>
            {
                types::Span { address, length }
            }
            _ => completion.data,
        }
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

    fn take_notice(&mut self, notice: &block::Notice) -> Result<(), Fault> {
        // The first that an instance has to give is not held against it.
        let first = matches!(notice, block::Notice::Ready(_)) && !self.ready_now;
        if !first && !self.notices.take() {
            return Err(Fault::Protocol(
                "more notices than anyone can read".to_owned(),
            ));
        }
        match notice {
            block::Notice::Ready(geometry) => {
                let geometry = geometry_of(geometry)?;
                let smaller = self.table.geometry().is_some_and(|old| {
                    geometry.size < old.size || geometry.block_size != old.block_size
                });
                if smaller {
                    self.die("the device changed its size or block size while in use".to_owned());
                    return Ok(());
                }
                self.table.set_geometry(geometry.clone());
                self.served = true;
                self.ready_now = true;
                self.again = true;
                self.emit(Event::Ready(geometry));
            }
            block::Notice::Suspended(why) => self.emit(Event::Suspended(line(why))),
            block::Notice::Failed(why) => self.die(line(why)),
            block::Notice::Found(what) => self.emit(Event::Found(line(what))),
            block::Notice::Stopped => {
                // One that only finds out has nothing to be told to stop.
                if matches!(self.phase, Phase::Leaving { .. }) || !self.served {
                    self.drop_instance();
                    self.refuse_all(Status::ShuttingDown);
                    self.phase = Phase::Leaving { until: 0 };
                } else {
                    return Err(Fault::Protocol("stopped without being told to".to_owned()));
                }
            }
        }
        Ok(())
    }
}

fn check_counts(effects: &Effects) -> Result<(), Fault> {
    let counts = [
        ("notices", effects.notices.len(), MAX_NOTICES),
        ("frames", effects.frames.len(), MAX_FRAMES),
        ("connects", effects.connects.len(), MAX_STREAM_OPS),
        ("sends", effects.sends.len(), MAX_STREAM_OPS),
        ("closes", effects.closes.len(), MAX_STREAM_OPS),
    ];
    for (what, count, most) in counts {
        if count > most {
            return Err(Fault::Protocol(format!("{count} {what} in one batch")));
        }
    }
    Ok(())
}

/// Checks what a guest says its device is.
fn geometry_of(geometry: &block::Geometry) -> Result<Geometry, Fault> {
    let block = geometry.block_size;
    let sound = block.is_power_of_two()
        && (512..=65536).contains(&block)
        && geometry.size.is_multiple_of(u64::from(block))
        && geometry.size <= i64::MAX as u64
        && geometry.preferred_block_size >= block
        && geometry.preferred_block_size.is_multiple_of(block)
        && geometry.max_transfer >= block
        && geometry.max_transfer.is_multiple_of(block)
        && (geometry.max_discard == 0 || geometry.max_discard >= block)
        && (geometry.max_write_zeroes == 0 || geometry.max_write_zeroes >= block);
    if !sound {
        let geometry = block::Geometry {
            identity: clean(&geometry.identity),
            ..geometry.clone()
        };
        return Err(Fault::Protocol(format!(
            "impossible geometry: {geometry:?}"
        )));
    }
    Ok(Geometry {
        size: geometry.size,
        block_size: block,
        preferred_block_size: geometry.preferred_block_size,
        max_transfer: geometry.max_transfer,
        max_discard: geometry.max_discard,
        max_write_zeroes: geometry.max_write_zeroes,
        read_only: geometry.read_only,
        write_cache: geometry.write_cache,
        identity: clean(&geometry.identity),
    })
}

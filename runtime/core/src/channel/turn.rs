//! One turn of the loop: wait, gather, call; `effects` carries out.

use std::sync::atomic::Ordering;

use rustix::event::Timespec;
use vcp_queue::{ClientId, Entry, Loan, Operation, Source};

use super::convert::request_of;
use super::poller::Woken;
use super::{Channel, Command, Events, Flow, Leave, Streams, empty_events, network};
use crate::bindings::{block, types};
use crate::clock::now;
use crate::fault::Fault;
use crate::processor::pace::{self, Pause};
use crate::report::What;

impl Channel {
    pub(super) async fn turn(&mut self) -> Result<Flow, Fault> {
        let timeout = self.timeout();
        self.again = false;
        let mut ready = std::mem::take(&mut self.ready);
        let woken = match self.rest(timeout, &mut ready).await {
            Ok(woken) => woken,
            Err(error) => {
                self.die(format!("polling: {error}"));
                return Ok(Flow::End);
            }
        };
        if woken {
            self.read_mailbox().await;
        }
        let mut events = empty_events();
        let generation = self.supervisor.generation();
        let listened = self.listen(&ready, &mut events);
        self.ready = ready;
        listened?;
        if self.advance().await == Flow::End {
            return Ok(Flow::End);
        }
        if self.supervisor.generation() != generation {
            // The events refer to the memory of an instance that is gone.
            events = empty_events();
        }
        self.clients.end_stalled(&mut self.table, &self.poller);
        if !self.leaving() {
            self.clients.resume(&mut self.table, &self.poller);
            self.run_clocks_of_new();
        } else if self.clients.refuses() {
            self.clients.resume(&mut self.table, &self.poller);
        }
        self.issue(&mut events);
        self.answer_done();
        self.call(events).await?;
        self.count();
        self.check_progress()?;
        Ok(Flow::Continue)
    }

    /// Waits until something happens or so many nanoseconds have passed, and gives
    /// the thread to others meanwhile.
    async fn rest(
        &mut self,
        timeout: Option<u64>,
        ready: &mut Vec<super::Ready>,
    ) -> std::io::Result<bool> {
        let leave = pace::leave();
        if leave.sleep && leave.back_at > 0 && !self.called {
            let began = now();
            if began < leave.back_at {
                let woken = self.wait(timeout, ready)?;
                self.called = woken.bell;
                return Ok(woken.waker);
            }
        }
        let until = timeout.map(|timeout| now().saturating_add(timeout));
        // A message for the thread is passed on at once.
        let called = std::mem::take(&mut self.called);
        pace::pause(if called {
            Pause::Called
        } else {
            Pause::Rest(until)
        })
        .await;
        let left = if pace::leave().sleep {
            until.map(|until| until.saturating_sub(now()))
        } else {
            Some(0)
        };
        let woken = self.wait(left, ready)?;
        self.called = woken.bell;
        Ok(woken.waker)
    }

    /// Waits on this thread, spinning at first if that pays. With several requests under way
    /// there is something to do soon anyway, and others may need the CPU for it.
    fn wait(
        &mut self,
        timeout: Option<u64>,
        ready: &mut Vec<super::Ready>,
    ) -> std::io::Result<Woken> {
        let outstanding = self.table.outstanding();
        let began = now();
        let stay = self
            .gather
            .left(outstanding, began)
            .min(timeout.unwrap_or(u64::MAX));
        if stay > 0 {
            sleep(stay);
        }
        let timeout = timeout.map(|timeout| timeout - stay);
        let spin = self.spins.get_mut(outstanding);
        let woken = self.poller.wait(timeout, spin, ready);
        self.gather.look(now());
        woken
    }

    /// How long there is nothing to do but wait, in nanoseconds.
    fn timeout(&self) -> Option<u64> {
        let deadline = self.deadline.filter(|_| self.guest.is_some());
        let news = self
            .streams
            .as_ref()
            .filter(|streams| streams.has_events())
            .map(|_| 0);
        // Requests that came in after everything was refused are refused as well.
        let refuse = self.supervisor.refuses() && !self.table.is_empty();
        let resumes = !self.leaving() || self.clients.refuses();
        let go_on = resumes && self.clients.can_go_on(&self.table);
        let again = (self.again || refuse || go_on).then_some(0);
        // A VCP that is stopping is not restarted.
        let supervisor = self.supervisor.next_deadline();
        let supervisor = supervisor.filter(|_| !self.leaving());
        let clocks = self.table.next_deadline().filter(|_| !self.leaving());
        let others = [
            self.leave_deadline(),
            supervisor,
            clocks,
            self.reload_deadline(),
            self.relink_deadline(),
            self.progress_deadline(),
            self.clients.stall_deadline(),
            self.clients.limit_deadline().filter(|_| !self.leaving()),
        ];
        let next = [deadline, news, again].into_iter().chain(others);
        Some(next.flatten().min()?.saturating_sub(now()))
    }

    async fn read_mailbox(&mut self) {
        while let Ok(command) = self.mailbox.try_recv() {
            match command {
                // Nothing new is taken on, and the client would never be read from.
                Command::Attach(..) if self.taking_leave() && self.parking.is_none() => {}
                // It came too late to be served here, and is handed over with the others.
                Command::Attach(client, limit) if self.leaving() && self.parking.is_some() => {
                    match self.clients.add(client, limit, &self.poller) {
                        Ok(_) => self.clients.stop_reading(&self.poller),
                        Err(error) => tracing::error!("polling a client: {error}"),
                    }
                }
                Command::Attach(client, limit) => {
                    match self.clients.add(client, limit, &self.poller) {
                        // It may have sent something before it was handed over.
                        Ok(id) => {
                            if let Some(geometry) = &self.settled {
                                self.clients.tell(geometry);
                            }
                            self.clients.has_come(id);
                        }
                        Err(error) => tracing::error!("polling a client: {error}"),
                    }
                }
                // The receiver may have given up.
                Command::Clients(answer) => _ = answer.send(self.clients.list()),
                Command::EndClient(id, answer) => {
                    let ended = self.clients.end(id, &mut self.table, &self.poller);
                    let _ = answer.send(ended);
                }
                Command::Stop => self.begin_stop(),
                Command::Park(answer) => self.begin_park(answer),
                // A fault does not hold up the commands behind it.
                Command::Inject(what, answer) => {
                    if let Err(fault) = self.inject(what, answer).await {
                        self.on_fault(fault).await;
                    }
                }
                Command::Restart(answer) => self.restart(answer).await,
                Command::Rescan(answer) => self.begin_rescan(answer),
                Command::Reload { module, answer } => self.begin_reload(module, answer),
                Command::Memory(bytes) => self.set_memory(bytes),
                Command::QueueDepth(depth) => self.set_queue_depth(depth),
                Command::Prepared(prepared) => self.on_prepared(prepared).await,
                Command::Reopened(opened) => self.on_reopened(opened).await,
            }
        }
    }

    /// Reads from the descriptors that are ready.
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
            if ready.read && (!self.leaving() || self.clients.refuses()) {
                let (table, poller) = (&mut self.table, &self.poller);
                self.clients.readable(id, ready.broken, table, poller);
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

    /// Does what is due by the clock.
    async fn advance(&mut self) -> Flow {
        let time = now();
        if self.leaving() {
            return self.advance_leave(time);
        }
        self.try_switch().await;
        self.try_relink(time);
        self.supervise(time).await;
        self.expire_due(time).await;
        Flow::Continue
    }

    /// Takes entries from the table and places their data with the guest.
    fn issue(&mut self, events: &mut Events) {
        let Some(guest) = &mut self.guest else { return };
        if !self.ready_now || matches!(self.leave, Leave::Leaving { .. }) {
            return;
        }
        if self.table.outstanding() == 0 {
            self.progress_at = now();
        }
        let (at, generation) = (self.progress_at, self.supervisor.generation());
        let mut work = 0;
        while work < MOST_WORK
            && let Some((entry, source)) = self.table.next(&mut self.area)
        {
            work += work_of(&entry);
            if let Some(Loan { address, length }) = entry.loan
                && let Some(room) = guest.bytes_mut(types::Span { address, length })
            {
                match source {
                    Source::Bytes(bytes) => room.copy_from_slice(bytes),
                    Source::Zeroes => room.fill(0),
                    Source::Nothing => {}
                }
            }
            let what = What::Request {
                tag: entry.tag,
                operation: entry.operation,
                offset: entry.offset,
                length: entry.length,
            };
            self.journal.note(at, generation, what);
            events.requests.push(request_of(&entry));
        }
        // There may be more requests, which it is given with the next call.
        self.again |= work >= MOST_WORK;
    }

    /// Calls the guest if there is anything to tell it, and carries out its effects.
    async fn call(&mut self, mut events: Events) -> Result<(), Fault> {
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
        if self.stalling {
            self.deadline = None;
            return Ok(());
        }
        let fuel_before = guest.fuel;
        let mut effects = guest.process(&events).await?;
        let counters = &self.shared.counters;
        counters.calls.fetch_add(1, Ordering::Relaxed);
        counters.batches.add(events.requests.len());
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
        if std::mem::take(&mut self.corrupting) {
            effects.completions.push(beyond_memory());
        }
        self.carry_out(&effects)
    }

    /// Answers the requests that the table finished by itself.
    pub(super) fn answer_done(&mut self) {
        let done = self.table.take_done();
        if !done.is_empty() {
            self.answer_all(done);
            // A client that was lost with its answer may have kept others waiting.
            self.again |= self.table.has_waiting();
        }
    }
}

/// The most work that one call may be given, in bytes. A device that does its work at once
/// is to be done with it well within the time of a call, and others wait until it is.
const MOST_WORK: u64 = 1 << 20;

/// The cost of making data durable, in bytes: it may take as long as the storage takes.
const DURABLE: u64 = MOST_WORK / 4;

/// The cost of an entry to a device, in bytes.
fn work_of(entry: &Entry) -> u64 {
    let bytes = u64::from(entry.length);
    if entry.operation == Operation::Flush || entry.modifiers.fua {
        bytes + DURABLE
    } else {
        bytes
    }
}

/// Sleeps for so many nanoseconds, or less.
fn sleep(nanoseconds: u64) {
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds.min(999_999_999) as i64,
    };
    // If it is interrupted, the next look is only earlier.
    let _ = rustix::thread::nanosleep(&time);
}

/// A completion with data outside of any memory.
fn beyond_memory() -> block::Completion {
    block::Completion {
        tag: 0,
        status: block::Status::Ok,
        data: types::Span {
            address: u32::MAX,
            length: 4096,
        },
    }
}

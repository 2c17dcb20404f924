//! Carrying out what a guest wants, after checking it.

use std::sync::atomic::Ordering;

use vcp_queue::{Data, Finished, Geometry, Loan};

use super::convert::status_of;
use super::stop::Leave;
use super::{Channel, Effects, network};
use crate::bindings::{block, types};
use crate::clock::now;
use crate::event::Event;
use crate::fault::Fault;
use crate::logging::{clean, line};
use crate::report::What;

/// The most that one batch may hold of what costs the host time to carry out or memory to
/// pass on. (Completions end with the first that answers no request.)
const MAX_NOTICES: usize = 4096;
const MAX_FRAMES: usize = 1 << 16;
const MAX_STREAM_OPS: usize = 4096;

impl Channel {
    pub(super) fn carry_out(&mut self, effects: &Effects) -> Result<(), Fault> {
        check_counts(effects)?;
        self.send_frames(effects)?;
        self.carry_streams(effects)?;
        self.take_completions(&effects.completions)?;
        // A completion may have made room for what waits, here or with a client.
        let waiting = self.table.has_waiting() || self.clients.any_blocked();
        self.again |= waiting && !effects.completions.is_empty();
        for notice in &effects.notices {
            // An instance that was given up has nothing more to say.
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
        self.shared
            .counters
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
        let late = self.taking_leave();
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
        let (at, generation) = (now(), self.supervisor.generation());
        self.progress_at = at;
        let mut newest = 0;
        for completion in completions {
            let taken = guest
                .bytes("completion", self.read_span(completion))
                .and_then(|data| {
                    let status = status_of(completion.status);
                    let (loan, done) = self.table.complete(completion.tag, status, data)?;
                    let tag = completion.tag;
                    self.journal
                        .note(at, generation, What::Completion { tag, status });
                    Ok((loan, done.map(|done| (done, data))))
                });
            match taken {
                Ok((loan, done)) => {
                    newest = newest.max(completion.tag);
                    loans.extend(loan);
                    finished.extend(done);
                }
                // The completions before it were right, and are answered all the same.
                Err(fault) => {
                    violation = Some(fault);
                    break;
                }
            }
        }
        self.gather.answered(finished.len(), at);
        let completed = finished.len() as u64;
        self.shared
            .counters
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
        self.on_answers(newest, at);
        violation.map_or(Ok(()), Err)
    }

    /// Where the bytes of a completed read are: where the completion says, or else where the
    /// request asked for them.
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

    fn take_notice(&mut self, notice: &block::Notice) -> Result<(), Fault> {
        // The first notice that an instance must give, and its last, are not counted.
        let first = matches!(notice, block::Notice::Ready(_)) && !self.ready_now;
        let last = matches!(notice, block::Notice::Stopped);
        if !first && !last && !self.notices.take() {
            return Err(Fault::Protocol(
                "more notices than anyone can read".to_owned(),
            ));
        }
        match notice {
            block::Notice::Ready(geometry) => {
                let geometry = geometry_of(geometry)?;
                if let Some((size, block_size)) = self.clients.contradicts(&geometry) {
                    self.die(format!(
                        "the device changed while in use: it had {size} bytes in blocks of \
                         {block_size}, and has {} in blocks of {} now ({})",
                        geometry.size,
                        geometry.block_size,
                        match geometry.identity.as_str() {
                            "" => "it has no identity",
                            identity => identity,
                        }
                    ));
                    return Ok(());
                }
                let news = self
                    .table
                    .geometry()
                    .is_some_and(|known| *known != geometry);
                let before = self.settled.take();
                self.rescanned(before.as_ref(), &geometry);
                self.settled = before;
                // The geometry that a module on trial reports does not bind those after it.
                if !self.supervisor.on_trial() || self.settled.is_none() {
                    self.settled = Some(geometry.clone());
                    self.identify(&geometry.identity);
                    self.clients.tell(&geometry);
                }
                self.table.set_geometry(geometry.clone());
                if news {
                    // The spare was made when the device was another.
                    self.forget_spare();
                }
                self.on_ready(first || news);
                self.emit(Event::Ready(geometry));
                self.reload_ready();
            }
            block::Notice::Suspended(why) => {
                let why = line(why);
                self.on_suspended(now());
                self.forget_rescans();
                self.why.clone_from(&why);
                self.note(What::Suspended);
                self.publish();
                self.emit(Event::Suspended(why));
            }
            block::Notice::Failed(why) => self.die(line(why)),
            block::Notice::Found(what) => self.emit(Event::Found(line(what))),
            block::Notice::LowSpace(what) => {
                let counters = &self.shared.counters;
                counters.low_space.fetch_add(1, Ordering::Relaxed);
                self.emit(Event::LowSpace(line(what)));
            }
            block::Notice::Stopped => {
                // A VCP that finds out rather than serves ends by itself.
                if self.taking_leave() || !self.supervisor.served() {
                    self.drop_instance();
                    self.dismiss();
                    self.leave = Leave::Leaving { until: 0 };
                } else {
                    return Err(Fault::Protocol("stopped without being told to".to_owned()));
                }
            }
        }
        Ok(())
    }
}

impl Channel {
    /// The instance serves. With `renew`, a spare for the device as it is now may be
    /// missing.
    fn on_ready(&mut self, renew: bool) {
        let time = now();
        self.supervisor.ready(time);
        self.ready_now = true;
        self.again = true;
        self.progress_at = time;
        self.note(What::Ready);
        if let Some(guest) = &mut self.guest {
            guest.set_ready(true);
        }
        if renew {
            self.want_spare();
        }
        self.publish();
    }

    pub(super) fn note(&mut self, what: What) {
        let generation = self.supervisor.generation();
        self.journal.note(now(), generation, what);
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

/// Checks the geometry that a guest reports.
fn geometry_of(geometry: &block::Geometry) -> Result<Geometry, Fault> {
    let block = geometry.block_size;
    let sound = block.is_power_of_two()
        && (1..=65536).contains(&block)
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
        extents: geometry.extents,
        read_only: geometry.read_only,
        write_cache: geometry.write_cache,
        identity: clean(&geometry.identity),
    })
}

//! One connection of an initiator, without I/O: bytes go in, in any pieces, bytes
//! come out, and time is an argument.
//!
//! A driver feeds it with [`Connection::receive`], or reads into
//! [`Connection::spare`] and calls [`Connection::received`]; sends
//! [`Connection::output`]; calls [`Connection::tick`] when [`Connection::deadline`]
//! has passed or the waker was called; and hangs up when [`Connection::is_over`].

mod dialogue;
mod digest;
mod full;
mod input;
mod login;
mod negotiation;
mod output;
mod text;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::{Bhs, Opcode};

use crate::control::{Control, Order, Waker};
use crate::script::Misbehaviour;
use crate::target::Target;

use full::FullFeature;
use input::{Buffer, Cut, Framing, FramingError};
use login::Login;
use output::Output;
use wire::Wire;

pub use wire::End;

/// The longest data segment of a login PDU (RFC 7143 §13.12).
const LOGIN_SEGMENT: u32 = 8192;

/// The most bytes that may wait to be sent.
const MAX_OUTPUT: usize = 4 << 20;

/// One connection. Times are since an instant of the driver's choice.
pub struct Connection {
    wire: Wire,
    input: Buffer,
    /// Bytes of the PDU at the start of `input`, as far as known.
    need: usize,
    phase: Phase,
    end: Option<End>,
}

enum Phase {
    Login(Box<Login>),
    Full(Box<FullFeature>),
    /// Nothing is left but to send the output.
    Over,
}

impl Connection {
    /// Makes a connection that was just accepted. `portal` is the `address:port` that the
    /// initiator came to, for SendTargets; `peer` names it in reports.
    #[must_use]
    pub fn new(target: Arc<Target>, portal: &str, peer: &str, now: Duration) -> Self {
        let control = Arc::new(Control::default());
        target.add_connection(&control);
        let deadline = now + target.config().timing.login;
        let framing = Framing {
            header_digest: false,
            data_digest: false,
            limit: LOGIN_SEGMENT,
        };
        let output = Output::new(Arc::clone(&target));
        let (portal, initiator) = (portal.to_owned(), peer.to_owned());
        let wire = Wire {
            target,
            control,
            output,
            framing,
            now,
            portal,
            initiator,
        };
        let phase = Phase::Login(Box::new(Login::new(deadline)));
        Self {
            wire,
            input: Buffer::default(),
            need: 0,
            phase,
            end: None,
        }
    }

    /// Calls `waker` whenever [`tick`](Self::tick) is due before its deadline.
    pub fn set_waker(&self, waker: Waker) {
        self.wire.control.set_waker(waker);
    }

    /// Room for bytes from the initiator; never empty.
    pub fn spare(&mut self) -> &mut [u8] {
        self.input.spare(self.need)
    }

    /// Notes that `count` bytes were put at the start of [`spare`](Self::spare).
    pub fn received(&mut self, now: Duration, count: usize) {
        self.wire.now = now;
        self.obey_orders();
        self.input.filled_by(count);
        self.drain_input();
        self.pump();
    }

    /// Takes bytes from the initiator. PDUs that are complete in `bytes` are not copied.
    pub fn receive(&mut self, now: Duration, mut bytes: &[u8]) {
        self.wire.now = now;
        self.obey_orders();
        // The rest of a PDU that began earlier comes first, and no more than that.
        while !self.input.is_empty() && !bytes.is_empty() && self.end.is_none() {
            let missing = self.need.saturating_sub(self.input.filled().len()).max(1);
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.input.extend(now);
            bytes = later;
            self.drain_input();
        }
        let used = self.process(bytes);
        if self.end.is_none() {
            self.input.extend(&bytes[used..]);
        }
        self.pump();
    }

    fn drain_input(&mut self) {
        let input = std::mem::take(&mut self.input);
        let used = self.process(input.filled());
        self.input = input;
        self.input.consume(used);
        if self.end.is_some() {
            self.input.clear();
        }
    }

    /// Handles the complete PDUs at the start of `bytes`; returns their total length.
    fn process(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.end.is_none() {
            match self.wire.framing.cut(&bytes[used..]) {
                Ok(Cut::Need(need)) => {
                    self.need = need;
                    return used;
                }
                Ok(Cut::Pdu(pdu, length)) => {
                    used += length;
                    if let Err(end) = self.handle(&pdu) {
                        self.finish(end);
                    }
                }
                Err(error) => {
                    let end = self.wire.violated(describe(error));
                    self.finish(end);
                }
            }
        }
        used
    }

    fn handle(&mut self, pdu: &input::Pdu<'_>) -> Result<(), End> {
        let opcode = Opcode::parse(pdu.header[0])
            .ok()
            .filter(|o| o.from_initiator());
        match opcode.and_then(|opcode| self.wire.output.fault_on(opcode)) {
            Some(Misbehaviour::Omit) => return Ok(()),
            Some(Misbehaviour::Silence) => self.wire.output.silence(),
            Some(Misbehaviour::Drop { .. }) => return Err(End::Scripted),
            Some(Misbehaviour::Reject(reason)) => {
                if let Phase::Full(full) = &mut self.phase {
                    full.reject(&mut self.wire, pdu.header, reason);
                    return Ok(());
                }
            }
            _ => {}
        }
        match &mut self.phase {
            Phase::Login(login) => {
                if let Some(established) = login.handle(&mut self.wire, pdu)? {
                    let full = FullFeature::new(&mut self.wire, established);
                    self.phase = Phase::Full(Box::new(full));
                }
                Ok(())
            }
            Phase::Full(full) => full.handle(&mut self.wire, pdu),
            Phase::Over => Ok(()),
        }
    }

    /// Makes read data while the output has room, and notices the end of the output.
    fn pump(&mut self) {
        if let Phase::Full(full) = &mut self.phase {
            full.pump(&mut self.wire);
        }
        if self.wire.output.is_dropped() && self.end.is_none() {
            self.finish(End::Scripted);
        }
    }

    fn finish(&mut self, end: End) {
        if let Phase::Full(full) = std::mem::replace(&mut self.phase, Phase::Over) {
            full.close(&self.wire);
        }
        self.wire.output.drop_here();
        self.end = Some(end);
    }

    /// The bytes to send to the initiator.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.wire.output.pending()
    }

    /// Notes that `count` bytes of [`output`](Self::output) have been sent.
    pub fn sent(&mut self, count: usize) {
        self.wire.output.advance(count);
        self.pump();
    }

    /// Whether to read from the initiator. Not while much output waits: an initiator that
    /// does not read is not served further.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.end.is_none() && self.output().len() < MAX_OUTPUT
    }

    /// The time at which [`tick`](Self::tick) is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Login(login) => Some(login.deadline()),
            Phase::Full(full) => full.deadline(),
            Phase::Over => None,
        }
    }

    /// Does what is due by the clock, or ordered by another thread.
    pub fn tick(&mut self, now: Duration) {
        self.wire.now = now;
        self.obey_orders();
        let late = match &mut self.phase {
            Phase::Login(login) if login.deadline() <= now => Err(End::TimedOut("login")),
            Phase::Full(full) => full.tick(&mut self.wire),
            Phase::Login(_) | Phase::Over => Ok(()),
        };
        if let Err(end) = late {
            self.finish(end);
        }
        self.pump();
    }

    /// Carries out orders before handling anything from the initiator: an order may have
    /// come first, for example because another session has taken this one's place.
    fn obey_orders(&mut self) {
        for order in self.wire.control.take() {
            let done = self.obey(order);
            if let Err(end) = done
                && self.end.is_none()
            {
                self.finish(end);
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), End> {
        match (&mut self.phase, order) {
            (_, Order::Drop) => {
                // Unsent output is lost with the connection.
                self.wire.output.advance(usize::MAX);
                Err(End::Dropped)
            }
            (Phase::Full(full), order) => full.obey(&mut self.wire, order),
            _ => Ok(()),
        }
    }

    /// Whether everything has been sent: hang up then.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end.is_some() && self.output().is_empty()
    }

    /// Why the connection ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The initiator hung up: its session ends with its only connection.
        self.finish(End::Dropped);
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("initiator", &self.wire.initiator)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

fn describe(error: FramingError) -> String {
    match error {
        FramingError::HeaderDigest => "wrong header digest (RFC 7143 §11.2.3)".into(),
        FramingError::TooLong { length, limit } => format!(
            "DataSegmentLength {length} above MaxRecvDataSegmentLength {limit} (RFC 7143 §13.12)"
        ),
    }
}

/// The name of an opcode for reports, known or not.
fn opcode_name(header: &vcp_iscsi_proto::BhsBytes) -> String {
    Opcode::parse(header[0]).map_or_else(
        |_| format!("opcode {:#04x}", Bhs::parse(header).opcode),
        |o| format!("{o:?}"),
    )
}

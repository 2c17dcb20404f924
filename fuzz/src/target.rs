//! The embedded target (`vcp-target`): connections of an initiator that knows the
//! protocol well enough to get anywhere, and breaks it at every turn.
//!
//! Promised: nothing panics; however the bytes are cut, the answers are the same; what
//! the target sends is whole PDUs that an initiator can parse, with numbers in order,
//! about tags that were used, and with no byte beyond what a command asked for; what
//! waits to be sent is bounded; a connection that is over says nothing more.
//!
//! Input: options, then steps; see [`step`](Session::step).

mod answers;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use vcp_target::config::{Policy, TargetConfig};
use vcp_target::lun::{LogicalUnit, UnitOptions};
use vcp_target::{Connection, Target};

use crate::script::{Script, pieces};
use crate::unit;
use answers::Answers;

/// What may wait to be sent: what the target makes before it looks whether there is
/// room, and the longest answers to the requests of one step.
const MAX_PENDING: usize = 8 << 20;

const SIZE: u64 = 1 << 18;

/// Connections that a script can use.
const CONNECTIONS: usize = 3;

/// Runs one input.
pub fn run(data: &[u8]) {
    let whole = Session::new(data, Cut::Whole).run();
    let seed = data
        .iter()
        .fold(7u32, |hash, &b| hash.wrapping_mul(31) ^ u32::from(b));
    let cut = Session::new(data, Cut::Pieces(seed)).run();
    assert!(whole == cut, "pieces make a difference");
}

/// How bytes are handed to the target.
#[derive(Clone, Copy)]
enum Cut {
    Whole,
    Pieces(u32),
}

struct Session<'a> {
    script: Script<'a>,
    cut: Cut,
    target: Arc<Target>,
    unit: Arc<LogicalUnit>,
    now: Duration,
    peers: Vec<Peer>,
    current: usize,
    /// Connections were dropped, and what waited to be sent with them.
    dropped: bool,
}

/// One connection, and what its initiator knows.
struct Peer {
    connection: Connection,
    answers: Answers,
    cmd_sn: u32,
    next_itt: u32,
    /// All that the target said.
    said: Vec<u8>,
}

impl<'a> Session<'a> {
    fn new(data: &'a [u8], cut: Cut) -> Self {
        let mut script = Script::new(data);
        let options = UnitOptions {
            block_size: 512 << (script.byte() % 4),
            read_only: script.byte() == 1,
            ..UnitOptions::default()
        };
        let config = TargetConfig {
            policy: policy(&mut script),
            ..TargetConfig::default()
        };
        let (target, unit) = unit::target(config, SIZE, options);
        let now = Duration::ZERO;
        let peers = (0..CONNECTIONS).map(|_| Peer::new(&target, now)).collect();
        Self {
            script,
            cut,
            target,
            unit,
            now,
            peers,
            current: 0,
            dropped: false,
        }
    }

    /// Everything that was said on each connection.
    fn run(mut self) -> Vec<Vec<u8>> {
        while let Some(step) = self.script.step() {
            self.step(step);
            for peer in &mut self.peers {
                let pending = peer.connection.output().len();
                assert!(pending <= MAX_PENDING, "{pending} bytes wait to be sent");
            }
        }
        for peer in &mut self.peers {
            peer.drain(usize::MAX);
            peer.answers.check_end(&peer.connection, self.dropped);
        }
        self.peers.into_iter().map(|peer| peer.said).collect()
    }

    /// One step of the script: a PDU, some bytes, taking what was said, time, or an
    /// order of the target's owner.
    fn step(&mut self, step: u8) {
        match step % 16 {
            0..=9 => {
                let bytes =
                    requests::make(step % 16, &mut self.script, &mut self.peers[self.current]);
                self.deliver(&bytes);
            }
            10 => {
                let bytes = self.script.bytes();
                self.deliver(bytes);
            }
            11 => {
                let count = self.script.short();
                self.peers[self.current].drain(usize::from(count));
            }
            12 => {
                self.now += Duration::from_millis(u64::from(self.script.short()) * 8);
                for peer in &mut self.peers {
                    peer.connection.tick(self.now);
                }
            }
            13 => self.order(),
            14 => self.current = usize::from(self.script.byte()) % CONNECTIONS,
            // The initiator hangs up and comes back.
            _ => {
                self.peers[self.current].drain(usize::MAX);
                let said = std::mem::take(&mut self.peers[self.current].said);
                self.peers[self.current] = Peer {
                    said,
                    ..Peer::new(&self.target, self.now)
                };
            }
        }
    }

    fn order(&mut self) {
        match self.script.byte() % 5 {
            0 => self.target.ping(),
            1 => self.target.request_logout(self.script.byte().into()),
            2 => self.target.drop_sessions(),
            3 => {
                self.dropped = true;
                self.target.drop_connections();
            }
            _ => {
                let blocks = u64::from(self.script.byte());
                let faults = vcp_target::lun::Faults {
                    medium_errors: std::iter::once(blocks..blocks + 2).collect(),
                    busy_every: std::num::NonZeroU32::new(self.script.byte().into()),
                    write_delay: Duration::from_millis(self.script.byte().into()),
                    ..vcp_target::lun::Faults::default()
                };
                self.unit.set_faults(faults);
            }
        }
        for peer in &mut self.peers {
            peer.connection.tick(self.now);
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let Peer {
            connection,
            answers,
            ..
        } = &mut self.peers[self.current];
        answers.ask(bytes);
        match self.cut {
            Cut::Whole => connection.receive(self.now, bytes),
            Cut::Pieces(seed) => {
                for (n, piece) in pieces(bytes, seed ^ bytes.len() as u32).enumerate() {
                    if n % 2 == 0 {
                        connection.receive(self.now, piece);
                    } else {
                        fill(connection, self.now, piece);
                    }
                }
            }
        }
    }
}

/// Hands over bytes as a read from a socket does.
fn fill(connection: &mut Connection, now: Duration, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let spare = connection.spare();
        assert!(!spare.is_empty());
        let count = spare.len().min(bytes.len());
        spare[..count].copy_from_slice(&bytes[..count]);
        connection.received(now, count);
        bytes = &bytes[count..];
    }
}

fn policy(script: &mut Script<'_>) -> Policy {
    let (flags, sizes) = (script.byte(), script.byte());
    Policy {
        initial_r2t: flags & 1 != 0,
        immediate_data: flags & 2 == 0,
        max_recv_data_segment: 512 << (sizes % 4),
        max_send_data_segment: 512 << (sizes / 4 % 4),
        max_burst: 4096 << (sizes / 16 % 4),
        first_burst: 512 << (sizes / 64),
        max_outstanding_r2t: if flags & 4 != 0 { 1 } else { 3 },
        collapse_status: flags & 8 == 0,
        text_piece: (flags & 16 != 0).then_some(7),
        keys_per_round: (flags & 32 != 0).then_some(1),
        delay_transit: flags & 64 != 0,
        command_window: if flags & 128 != 0 { 2 } else { 16 },
        ..Policy::default()
    }
}

impl Peer {
    fn new(target: &Arc<Target>, now: Duration) -> Self {
        Self {
            connection: Connection::new(Arc::clone(target), "10.0.0.1:3260", "10.0.0.2", now),
            answers: Answers::default(),
            cmd_sn: 1,
            next_itt: 1,
            said: Vec::new(),
        }
    }

    /// Takes up to so many bytes of what the target says.
    fn drain(&mut self, mut most: usize) {
        // Sending makes room for more; a disk of this size has an end.
        while most > 0 && !self.connection.output().is_empty() {
            let output = self.connection.output();
            let count = output.len().min(most);
            self.answers.read(&output[..count]);
            self.said.extend_from_slice(&output[..count]);
            self.connection.sent(count);
            most -= count;
        }
    }
}

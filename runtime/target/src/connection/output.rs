//! Encodes PDUs into the output: digests, padding, and the faults of the fault script.

use std::sync::Arc;

use vcp_iscsi_proto::bhs::padding;
use vcp_iscsi_proto::{BHS_LEN, BhsBytes, Opcode, TargetPdu};

use super::digest::crc32c;
use crate::script::{Misbehaviour, data_length};
use crate::target::Target;

/// The number of waiting bytes above which no more Data-In is made.
const HIGH_WATER: usize = 1 << 20;

/// The stream to the initiator.
pub(super) struct Output {
    target: Arc<Target>,
    bytes: Vec<u8>,
    sent: usize,
    pub(super) header_digest: bool,
    pub(super) data_digest: bool,
    silent: bool,
    /// The connection ends once everything has gone out.
    dropped: bool,
}

impl Output {
    pub(super) fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            bytes: Vec::new(),
            sent: 0,
            header_digest: false,
            data_digest: false,
            silent: false,
            dropped: false,
        }
    }

    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.bytes.len());
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent > HIGH_WATER {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending().len() >= HIGH_WATER
    }

    /// Whether a fault ended the stream.
    pub(super) fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// Sends nothing from here on.
    pub(super) fn silence(&mut self) {
        self.silent = true;
    }

    /// Ends the stream after the present output.
    pub(super) fn drop_here(&mut self) {
        self.dropped = true;
    }

    /// Appends a PDU.
    pub(super) fn push(&mut self, pdu: &TargetPdu, data: &[u8]) {
        let done: Result<_, ()> = self.push_with(pdu, |out| {
            out.extend_from_slice(data);
            Ok(())
        });
        debug_assert!(done.is_ok());
    }

    /// Appends a PDU whose data segment `fill` appends, `pdu.data_len()` bytes of it.
    /// When `fill` fails nothing is appended. Returns the fault that the script chose for
    /// this PDU.
    pub(super) fn push_with<E>(
        &mut self,
        pdu: &TargetPdu,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Option<Misbehaviour>, E> {
        if self.silent || self.dropped {
            return Ok(None);
        }
        let mut header: BhsBytes = [0; BHS_LEN];
        pdu.emit(&mut header);
        let fault = self.target.script.next(pdu.opcode());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&header);
        if self.header_digest {
            self.bytes.extend_from_slice(&[0; 4]);
        }
        let data_start = self.bytes.len();
        if let Err(error) = fill(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        debug_assert_eq!(self.bytes.len() - data_start, pdu.data_len() as usize);
        if let Some(fault) = fault {
            self.edit(start, data_start, fault);
        }
        self.seal(start, data_start);
        if let Some(fault) = fault {
            self.spoil(start, data_start, fault);
        }
        Ok(fault)
    }

    /// Adds padding and digests to the PDU that begins at `start`.
    fn seal(&mut self, start: usize, data_start: usize) {
        let length = self.bytes.len() - data_start;
        self.bytes.resize(self.bytes.len() + padding(length), 0);
        if self.header_digest {
            let digest = crc32c(&self.bytes[start..start + BHS_LEN]);
            self.bytes[start + BHS_LEN..data_start].copy_from_slice(&digest);
        }
        if self.data_digest && length > 0 {
            let digest = crc32c(&self.bytes[data_start..]);
            self.bytes.extend_from_slice(&digest);
        }
    }

    /// Applies faults that come before padding and digests.
    fn edit(&mut self, start: usize, data_start: usize, fault: Misbehaviour) {
        let header: &mut BhsBytes = self.bytes[start..]
            .first_chunk_mut()
            .expect("the header was just put there");
        fault.edit(header);
        if let Misbehaviour::Length(_) = fault {
            let length = data_length(header) as usize;
            self.bytes.resize(data_start + length, 0);
        }
    }

    /// Applies faults that come after padding and digests.
    fn spoil(&mut self, start: usize, data_start: usize, fault: Misbehaviour) {
        let end = self.bytes.len();
        match fault {
            Misbehaviour::HeaderDigest if self.header_digest => self.bytes[start + BHS_LEN] ^= 1,
            Misbehaviour::DataDigest if self.data_digest && end > data_start => {
                self.bytes[end - 1] ^= 1;
            }
            Misbehaviour::Omit | Misbehaviour::StatusEarly => self.bytes.truncate(start),
            Misbehaviour::Twice => self.bytes.extend_from_within(start..end),
            Misbehaviour::Drop { after } => {
                self.bytes.truncate(end.min(start + after));
                self.dropped = true;
            }
            Misbehaviour::Silence => {
                self.bytes.truncate(start);
                self.silent = true;
            }
            _ => {}
        }
    }

    /// The script's fault for a PDU of the initiator.
    pub(super) fn fault_on(&self, opcode: Opcode) -> Option<Misbehaviour> {
        self.target.script.next(opcode)
    }
}

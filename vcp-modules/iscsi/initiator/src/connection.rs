//! One connection: both directions of the byte stream, the numbers, the negotiated
//! parameters, and what waits to be sent besides commands. It lives from `connected` to
//! the end of the connection; the tasks outlive it.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::bhs::{BHS_LEN, RESERVED_TAG};
use vcp_iscsi_proto::pdu::{DataOut, TargetPdu};

use crate::block::{Memory, Span};
use crate::control::Control;
use crate::login::Params;
use crate::task::{TaskId, Tasks};
use crate::wire::numbers::Numbers;
use crate::wire::rx::Receiver;
use crate::wire::tx::Transmitter;

/// The most bytes kept of data segments other than Data-In. Sense data has at most 254
/// bytes, a rejected header 48 and some; text has a bound of its own.
const MAX_COLLECTED: usize = 256 << 10;

/// A sequence of Data-Outs to be sent: unsolicited, or requested by an R2T.
#[derive(Debug, Clone, Copy)]
struct Burst {
    task: TaskId,
    itt: u32,
    ttt: u32,
    lun: Lun,
    /// The rest of it, as offsets in the command's data.
    from: u32,
    to: u32,
    data_sn: u32,
}

/// The destination of the data segment of the current PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// The memory of this task's request.
    Memory(TaskId, Span),
    /// The answer to a question of the survey, which this task asks, from this offset on.
    Answer(TaskId, u8, u32),
    /// A buffer for the complete segment.
    Collect,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) rx: Receiver,
    pub(crate) numbers: Numbers,
    pub(crate) params: Params,
    /// The PDU whose data segment is coming in.
    pub(crate) pdu: Option<TargetPdu>,
    pub(crate) sink: Sink,
    /// The number of bytes of its data segment so far.
    pub(crate) filled: u32,
    pub(crate) collected: Vec<u8>,
    /// Whether the target has said where its StatSN starts.
    pub(crate) heard: bool,
    /// The time since which received statuses are unacknowledged, in nanoseconds.
    pub(crate) unconfirmed: Option<u64>,
    tx: Transmitter,
    controls: VecDeque<Control>,
    bursts: VecDeque<Burst>,
    /// The task whose payload is being sent.
    sending: Option<TaskId>,
}

impl Connection {
    pub(crate) fn new(cmd_sn: u32, max_data: u32, depth: usize) -> Self {
        Self {
            rx: Receiver::new(max_data),
            numbers: Numbers::new(cmd_sn),
            params: Params::default(),
            pdu: None,
            sink: Sink::Collect,
            filled: 0,
            collected: Vec::new(),
            heard: false,
            unconfirmed: None,
            tx: Transmitter::new(),
            controls: VecDeque::with_capacity(8),
            bursts: VecDeque::with_capacity(depth),
            sending: None,
        }
    }

    /// Applies the negotiated parameters from the next PDU on, in each direction.
    pub(crate) fn configure(&mut self, params: Params, max_data: u32) {
        self.rx
            .configure(params.header_digest, params.data_digest, max_data);
        self.tx.configure(params.header_digest, params.data_digest);
        self.params = params;
    }

    /// Keeps part of a data segment.
    pub(crate) fn collect(&mut self, chunk: &[u8]) -> Result<(), String> {
        if self.collected.len() + chunk.len() > MAX_COLLECTED {
            return Err("a PDU with more data than it can have a use for".to_string());
        }
        self.collected.extend_from_slice(chunk);
        Ok(())
    }

    pub(crate) fn push(&mut self, control: Control) {
        self.controls.push_back(control);
    }

    pub(crate) fn controls(&self) -> usize {
        self.controls.len()
    }

    /// Whether any PDU, or part of one, can be sent besides commands.
    pub(crate) fn has_output(&self) -> bool {
        self.tx.is_busy() || !self.controls.is_empty() || !self.bursts.is_empty()
    }

    /// Whether no PDU is partly received or waiting to be sent.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.rx.is_between_pdus() && !self.has_output()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.tx.is_busy()
    }

    /// Writes bytes of the current PDU.
    pub(crate) fn fill(&mut self, out: &mut [u8], memory: &impl Memory) -> usize {
        self.tx.fill(out, memory)
    }

    pub(crate) fn start(
        &mut self,
        header: &[u8; BHS_LEN],
        payload: crate::wire::tx::Payload,
        owner: Option<TaskId>,
    ) {
        self.sending = owner;
        // Every PDU of an initiator has ExpStatSN, which acknowledges statuses.
        self.unconfirmed = None;
        self.tx.start(header, payload);
    }

    /// Begins the next control request; `false` when there is none.
    pub(crate) fn start_control(&mut self) -> bool {
        let Some(control) = self.controls.pop_front() else {
            return false;
        };
        let (header, payload) = control.emit(&mut self.numbers);
        self.start(&header, payload, None);
        true
    }

    /// Queues a sequence of Data-Outs: bytes `from..to` of the task's data.
    pub(crate) fn push_burst(
        &mut self,
        task: TaskId,
        itt: u32,
        ttt: u32,
        lun: Lun,
        range: (u32, u32),
    ) {
        let (from, to) = range;
        self.bursts.push_back(Burst {
            task,
            itt,
            ttt,
            lun,
            from,
            to,
            data_sn: 0,
        });
    }

    /// Begins the next Data-Out; `false` when there is none.
    pub(crate) fn start_data(&mut self, tasks: &mut Tasks) -> bool {
        let Some(burst) = self.bursts.front_mut() else {
            return false;
        };
        let length = self.params.segment(burst.to - burst.from);
        let is_final = burst.from + length == burst.to;
        let pdu = DataOut {
            is_final,
            data_len: length,
            // Without a TTT the LUN field is reserved (RFC 7143 §11.7.4).
            lun: if burst.ttt == RESERVED_TAG {
                Lun::default()
            } else {
                burst.lun
            },
            itt: burst.itt,
            ttt: burst.ttt,
            exp_stat_sn: self.numbers.exp_stat_sn(),
            data_sn: burst.data_sn,
            offset: burst.from,
        };
        let id = burst.task;
        let task = tasks.get_mut(id);
        let payload = task.command.payload(burst.from, length);
        task.progress.sent += length;
        burst.from += length;
        burst.data_sn += 1;
        if is_final {
            match burst.ttt {
                RESERVED_TAG => task.progress.unsolicited = false,
                _ => task.progress.owed -= 1,
            }
            self.bursts.pop_front();
        }
        let mut header = [0; BHS_LEN];
        pdu.emit(&mut header);
        self.start(&header, payload, Some(id));
        true
    }

    /// Whether payload of a task is being sent.
    pub(crate) fn is_sending(&self, task: TaskId) -> bool {
        self.tx.is_busy() && self.sending == Some(task)
    }

    /// Handles the end of a command: no more of its data is sent, and its memory is not
    /// touched again.
    pub(crate) fn forget(&mut self, task: TaskId, owes: bool) {
        if self.sending == Some(task) {
            self.tx.disown();
            self.sending = None;
        }
        if owes {
            self.bursts.retain(|burst| burst.task != task);
        }
    }
}

//! Tasks: one for each request (and one for each of the initiator's own questions), which
//! runs one SCSI command at a time until it is done. They are in a slab with a queue of
//! those that wait to be sent; I/O does not allocate.

mod table;

pub(crate) use table::{FIRST_CONTROL_PLACE, TaskId, Tasks};

use vcp_iscsi_proto::{Lun, Serial};

use crate::block::{Request, Span};
use crate::wire::tx::{Payload, Short};

/// The owner of a task.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// None: the place is free.
    Free,
    /// A request of the caller.
    Request(Request),
    /// The initiator itself, for the survey's question in this place.
    Survey(u8),
    /// The initiator itself, for START STOP UNIT.
    Start,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for its turn.
    Queued,
    /// Its command was sent and is not answered yet.
    Active,
    /// As `Active`, and the target was asked to abort it.
    Aborting,
    /// It was deferred, and waits for a time.
    Parked,
}

/// The part of a request that the next command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The bytes from `done` on.
    Body,
    /// The cache behind it, for a request with FUA on a unit without.
    Sync,
}

/// The data of a command, seen from the initiator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// None.
    None,
    /// Received into the memory of the request.
    In(Span),
    /// Received into the survey.
    Scratch,
    /// Sent from the memory of the request.
    Out(Span),
    /// A parameter list.
    Parameters(Short),
    /// Zeroes.
    Zeroes,
}

/// A SCSI command ready to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    pub(crate) cdb: [u8; 16],
    pub(crate) data: Data,
    /// The expected data transfer length, in bytes.
    pub(crate) length: u32,
    /// The number of bytes of the request that this command covers.
    pub(crate) covers: u32,
    /// Whether the data is the request's own, byte for byte: a target that counts other
    /// bytes has not carried the command out.
    pub(crate) counted: bool,
    /// Whether its data is on the medium when it ends: it has the FUA bit.
    pub(crate) fua: bool,
    /// Whether it is for logical unit 0, which speaks for the target, and not for ours.
    pub(crate) other_lun: bool,
}

impl Command {
    pub(crate) const NONE: Self = Self {
        cdb: [0; 16],
        data: Data::None,
        length: 0,
        covers: 0,
        counted: false,
        fua: false,
        other_lun: false,
    };

    pub(crate) fn is_write(&self) -> bool {
        self.length > 0 && matches!(self.data, Data::Out(_) | Data::Parameters(_) | Data::Zeroes)
    }

    pub(crate) fn is_read(&self) -> bool {
        self.length > 0 && matches!(self.data, Data::In(_) | Data::Scratch)
    }

    /// Part of the data to send, which the caller has checked to be inside.
    pub(crate) fn payload(&self, offset: u32, length: u32) -> Payload {
        if length == 0 {
            return Payload::None;
        }
        match self.data {
            Data::Out(span) => Payload::Memory(span.part(offset, length)),
            Data::Parameters(short) => Payload::Short(Short {
                bytes: short.bytes,
                from: offset as u8,
                to: (offset + length) as u8,
            }),
            Data::Zeroes => Payload::Zeroes(length),
            Data::None | Data::In(_) | Data::Scratch => Payload::None,
        }
    }
}

/// The progress of the current command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// The LUN it was sent to.
    pub(crate) lun: Lun,
    pub(crate) cmd_sn: Serial,
    pub(crate) sent_at: u64,
    /// The number of bytes that headers of Data-In announced, all from the start of the
    /// data.
    pub(crate) received: u32,
    /// The number of these bytes that have been stored in place.
    pub(crate) stored: u32,
    /// The next DataSN of Data-In, or R2TSN.
    pub(crate) sequence: u32,
    /// The offset at which the next R2T has to start: after all data that was sent
    /// unsolicited or asked for.
    pub(crate) asked: u32,
    /// The number of bytes sent.
    pub(crate) sent: u32,
    /// The number of R2Ts whose last Data-Out is still to be sent.
    pub(crate) owed: u32,
    /// Whether the last unsolicited Data-Out is still to be sent.
    pub(crate) unsolicited: bool,
}

impl Progress {
    const START: Self = Self {
        lun: Lun(0),
        cmd_sn: Serial(0),
        sent_at: 0,
        received: 0,
        stored: 0,
        sequence: 0,
        asked: 0,
        sent: 0,
        owed: 0,
        unsolicited: false,
    };

    pub(crate) fn new(lun: Lun, cmd_sn: Serial, sent_at: u64) -> Self {
        Self {
            lun,
            cmd_sn,
            sent_at,
            ..Self::START
        }
    }

    /// Whether Data-Outs are still to be sent.
    pub(crate) fn owes(&self) -> bool {
        self.owed > 0 || self.unsolicited
    }
}

/// A task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) owner: Owner,
    pub(crate) state: State,
    /// Its number in the order of submission.
    pub(crate) order: u64,
    /// The initiator task tag of its command.
    pub(crate) itt: u32,
    pub(crate) step: Step,
    /// The number of bytes of the request that earlier commands have dealt with.
    pub(crate) done: u32,
    /// Whether any of these commands left its data in the unit's cache.
    pub(crate) cached: bool,
    /// How often the command met a condition that is gone.
    pub(crate) retries: u8,
    /// How often it was not carried out for a reason on the way, on any session.
    pub(crate) aborted: u8,
    /// Whether it met another initiator's reservation.
    pub(crate) conflicted: bool,
    /// How often in a row the target deferred it, and since when.
    pub(crate) waits: u8,
    pub(crate) waiting_since: Option<u64>,
    /// The number of sessions in a row that ended with it under way, and when the first
    /// did.
    pub(crate) lost: u8,
    pub(crate) lost_since: u64,
    /// The number of these sessions that ended while it was under way alone.
    pub(crate) lost_alone: u8,
    /// Whether it was there when a connection was lost: a flush then waits for what was
    /// submitted before it.
    pub(crate) replayed: bool,
    pub(crate) command: Command,
    pub(crate) progress: Progress,
}

impl Task {
    pub(crate) fn new(owner: Owner, order: u64) -> Self {
        Self {
            owner,
            state: State::Queued,
            order,
            itt: 0,
            step: Step::Body,
            done: 0,
            cached: false,
            retries: 0,
            aborted: 0,
            conflicted: false,
            waits: 0,
            waiting_since: None,
            lost: 0,
            lost_since: 0,
            lost_alone: 0,
            replayed: false,
            command: Command::NONE,
            progress: Progress::START,
        }
    }

    /// Starts again: nothing that was done counts.
    pub(crate) fn rewind(&mut self) {
        self.replayed = true;
        self.state = State::Queued;
        self.step = Step::Body;
        self.done = 0;
        self.cached = false;
        self.retries = 0;
        self.waits = 0;
        self.waiting_since = None;
        self.progress = Progress::START;
    }

    /// Notes that a session ended with it under way.
    pub(crate) fn lose(&mut self, now: u64, alone: bool) {
        if self.lost == 0 {
            self.lost_since = now;
        }
        self.lost = self.lost.saturating_add(1);
        self.lost_alone = self.lost_alone.saturating_add(alone.into());
    }

    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.owner {
            Owner::Request(request) => Some(request),
            Owner::Free | Owner::Survey(_) | Owner::Start => None,
        }
    }

    /// Whether its command was sent and is not answered yet.
    pub(crate) fn is_under_way(&self) -> bool {
        !matches!(self.owner, Owner::Free) && matches!(self.state, State::Active | State::Aborting)
    }

    /// Whether every byte of the current command was moved: a read's are stored in place,
    /// a write's were all asked for and sent.
    pub(crate) fn is_complete(&self, sending: bool) -> bool {
        let (command, progress) = (&self.command, &self.progress);
        match () {
            () if command.is_read() => progress.stored == command.length,
            () if command.is_write() => {
                progress.sent == command.length && !sending && !progress.owes()
            }
            () => true,
        }
    }
}

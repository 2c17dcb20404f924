//! A logical unit: SCSI commands (SPC-4, SBC-3) against a backing store.
//!
//! [`LogicalUnit::start`] begins a command and returns an [`Action`]: the transfer that
//! the transport has to make. A unit knows nothing of iSCSI, knows sessions only by a
//! number, and never waits.

mod capacity;
pub mod cdb;
mod faults;
mod inquiry;
mod mode;
mod node;
mod provisioning;
pub mod sense;
mod transfer;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk::Disk;

pub use cdb::Cdb;
pub use faults::Faults;
pub use node::Node;
pub use sense::{Refusal, Sense};

use cdb::opcode;

/// An initiator's view of a unit (an I_T nexus); a session has one.
pub type Nexus = u64;

/// The properties of a unit.
#[derive(Debug, Clone)]
pub struct UnitOptions {
    /// The bytes in a logical block: a power of two, 512 to 65536.
    pub block_size: u32,
    /// The power of two of logical blocks in a physical block.
    pub physical_exponent: u8,
    /// Whether writes end with WRITE PROTECTED.
    pub read_only: bool,
    /// Whether the unit is thin: UNMAP works and unmapped blocks read as zeroes.
    pub thin: bool,
    /// Whether the unit reports a volatile write cache.
    pub write_cache: bool,
    /// The T10 vendor identification, up to 8 characters of ASCII.
    pub vendor: String,
    /// The product identification, up to 16 characters.
    pub product: String,
    /// The unit serial number, up to 32 characters; it identifies the medium.
    pub serial: String,
    /// The longest transfer of one command, in bytes.
    pub max_transfer: u32,
    /// The longest WRITE SAME, in bytes.
    pub max_write_same: u32,
    /// Whether a new session's first command ends with UNIT ATTENTION (power on).
    pub attention_on_login: bool,
}

impl Default for UnitOptions {
    fn default() -> Self {
        Self {
            block_size: 512,
            physical_exponent: 0,
            read_only: false,
            thin: true,
            write_cache: true,
            vendor: "VCP".into(),
            product: "VIRTUAL-DISK".into(),
            serial: "0000000000000001".into(),
            max_transfer: 32 << 20,
            max_write_same: 128 << 20,
            attention_on_login: true,
        }
    }
}

/// Why a unit cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnitError {
    /// The block size is not a power of two from 512 to 65536.
    #[error("block size {0} is not a power of two from 512 to 65536")]
    BlockSize(u32),
    /// The store is not a whole number of blocks, or empty.
    #[error("{size} bytes are not one or more blocks of {block_size}")]
    Size {
        /// The store's size in bytes.
        size: u64,
        /// The block size in bytes.
        block_size: u32,
    },
    /// A name is too long or not printable ASCII.
    #[error("{0:?} is too long or not printable ASCII")]
    Name(String),
}

/// What the transport has to do for a command. Lengths in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the command succeeded.
    Good,
    /// Send these bytes.
    Data(Vec<u8>),
    /// Send `length` bytes of the medium, with [`LogicalUnit::read`].
    Read {
        /// The offset from the start of the medium.
        offset: u64,
        /// The length; may be 0.
        length: u32,
    },
    /// Fetch `length` bytes for the medium, with [`LogicalUnit::write`], and
    /// then call [`LogicalUnit::finish_write`].
    Write {
        /// The offset from the start of the medium.
        offset: u64,
        /// The length; may be 0.
        length: u32,
        /// Whether the data must be durable before the command ends.
        fua: bool,
    },
    /// Fetch `length` bytes and hand them to [`LogicalUnit::finish`].
    Parameters {
        /// The length, at most [`MAX_PARAMETERS`].
        length: u32,
    },
}

/// The longest parameter list (or WRITE SAME block) that a unit takes, in bytes.
pub const MAX_PARAMETERS: u32 = 65536;

/// A logical unit. Shared by all sessions.
pub struct LogicalUnit {
    disk: Box<dyn Disk>,
    options: UnitOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    /// The number of commands since the start, for faults that affect every n-th.
    commands: u32,
    attentions: HashMap<Nexus, VecDeque<Sense>>,
}

/// The most unit attentions kept for one nexus; later ones are lost, as SAM-5 §5.14
/// allows.
const MAX_ATTENTIONS: usize = 8;

impl LogicalUnit {
    /// Makes a unit on `disk`.
    pub fn new(disk: Box<dyn Disk>, options: UnitOptions) -> Result<Self, UnitError> {
        let block_size = options.block_size;
        if !block_size.is_power_of_two() || !(512..=65536).contains(&block_size) {
            return Err(UnitError::BlockSize(block_size));
        }
        let size = disk.size();
        if size == 0 || !size.is_multiple_of(u64::from(block_size)) {
            return Err(UnitError::Size { size, block_size });
        }
        for (name, limit) in [
            (&options.vendor, 8),
            (&options.product, 16),
            (&options.serial, 32),
        ] {
            if name.len() > limit || !name.bytes().all(|b| (0x20..0x7F).contains(&b)) {
                return Err(UnitError::Name(name.clone()));
            }
        }
        Ok(Self {
            disk,
            options,
            state: Mutex::default(),
        })
    }

    /// The unit's store.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The unit's properties.
    #[must_use]
    pub fn options(&self) -> &UnitOptions {
        &self.options
    }

    /// The number of logical blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.disk.size() / u64::from(self.options.block_size)
    }

    // No change of `State` takes two steps, so it is consistent after a panic elsewhere.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the faults, for commands that start from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The current faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// Notes a new nexus.
    pub fn attach(&self, nexus: Nexus) {
        let first = self.options.attention_on_login.then_some(Sense::POWER_ON);
        self.state()
            .attentions
            .insert(nexus, first.into_iter().collect());
    }

    /// Notes the loss of a nexus.
    pub fn detach(&self, nexus: Nexus) {
        self.state().attentions.remove(&nexus);
    }

    /// Makes the next command of every nexus, but for `except`, end with UNIT
    /// ATTENTION.
    pub fn raise_attention(&self, sense: Sense, except: Option<Nexus>) {
        for (nexus, queue) in &mut self.state().attentions {
            if Some(*nexus) != except && queue.len() < MAX_ATTENTIONS {
                queue.push_back(sense);
            }
        }
    }

    /// Begins a command.
    pub fn start(&self, nexus: Nexus, cdb: &Cdb) -> Result<Action, Refusal> {
        match cdb[0] {
            // A unit attention does not keep these from being answered (SPC-4 §6.6,
            // §6.39).
            opcode::INQUIRY => return self.inquiry(cdb),
            opcode::REQUEST_SENSE => return Ok(self.request_sense(nexus, cdb)),
            _ => self.admit(nexus)?,
        }
        match cdb[0] {
            opcode::TEST_UNIT_READY | opcode::START_STOP_UNIT => Ok(Action::Good),
            opcode::READ_6 | opcode::READ_10 | opcode::READ_12 | opcode::READ_16 => {
                self.start_read(cdb)
            }
            opcode::WRITE_6 | opcode::WRITE_10 | opcode::WRITE_12 | opcode::WRITE_16 => {
                self.start_write(cdb)
            }
            opcode::SYNCHRONIZE_CACHE_10 | opcode::SYNCHRONIZE_CACHE_16 => self.synchronize(cdb),
            opcode::READ_CAPACITY_10 => Ok(self.read_capacity_10()),
            opcode::SERVICE_ACTION_IN_16 => self.service_action_in(cdb),
            opcode::UNMAP => self.start_unmap(cdb),
            opcode::WRITE_SAME_10 | opcode::WRITE_SAME_16 => self.start_write_same(cdb),
            opcode::MODE_SENSE_6 | opcode::MODE_SENSE_10 => self.mode_sense(cdb),
            _ => Err(Sense::INVALID_OPCODE.into()),
        }
    }

    /// Ends a command whose parameters have come.
    pub fn finish(&self, cdb: &Cdb, parameters: &[u8]) -> Result<(), Refusal> {
        match cdb[0] {
            opcode::UNMAP => self.unmap(parameters),
            opcode::WRITE_SAME_10 | opcode::WRITE_SAME_16 => self.write_same(cdb, parameters),
            _ => Err(Sense::INVALID_OPCODE.into()),
        }
    }

    /// Refuses for unit attentions and faults, which come before the command itself.
    fn admit(&self, nexus: Nexus) -> Result<(), Refusal> {
        let mut state = self.state();
        if let Some(sense) = state
            .attentions
            .get_mut(&nexus)
            .and_then(VecDeque::pop_front)
        {
            return Err(sense.into());
        }
        state.commands = state.commands.wrapping_add(1);
        state.faults.turn_away(state.commands)
    }

    /// Answers REQUEST SENSE (SPC-4 §6.39) with the pending unit attention, and clears
    /// that.
    fn request_sense(&self, nexus: Nexus, cdb: &Cdb) -> Action {
        let pending = self
            .state()
            .attentions
            .get_mut(&nexus)
            .and_then(VecDeque::pop_front);
        let sense = pending.unwrap_or(Sense::NONE);
        let descriptors = cdb[1] & 1 != 0;
        let bytes = if descriptors {
            sense.to_descriptors()
        } else {
            sense.to_fixed().to_vec()
        };
        reply(bytes, cdb[4].into())
    }
}

/// Parameter data, cut to the allocation length of the CDB.
fn reply(mut bytes: Vec<u8>, allocation: u32) -> Action {
    bytes.truncate(allocation as usize);
    Action::Data(bytes)
}

impl std::fmt::Debug for LogicalUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogicalUnit")
            .field("size", &self.disk.size())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Command descriptor blocks: what an initiator asks a block device for.

mod emit;
mod name;
mod parse;

pub use name::Opcode;

/// A CDB in readable form. [`Command::parse`] reads any length of a command;
/// [`Command::emit`] writes the shortest of 10 and 16 bytes that holds it.
///
/// LBAs and lengths count logical blocks, allocation lengths bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// TEST UNIT READY (SPC-4 §6.47).
    TestUnitReady,
    /// REQUEST SENSE (SPC-4 §6.39).
    RequestSense {
        /// Sense data in descriptor format.
        descriptor: bool,
        /// Room for the answer.
        alloc_len: u8,
    },
    /// INQUIRY (SPC-4 §6.6).
    Inquiry {
        /// A page of vital product data instead of standard data.
        vpd: Option<u8>,
        /// Room for the answer.
        alloc_len: u16,
    },
    /// REPORT LUNS (SPC-4 §6.33).
    ReportLuns {
        /// The logical units to report.
        select: LunSelection,
        /// Room for the answer, at least 16.
        alloc_len: u32,
    },
    /// MODE SENSE(6) and (10) (SPC-4 §6.11, §6.12). The forms answer differently.
    ModeSense {
        /// The form of the command.
        form: ModeForm,
        /// Leave block descriptors out.
        no_block_descriptors: bool,
        /// The kind of values of the page.
        control: PageControl,
        /// The page; 3Fh: all pages.
        page: u8,
        /// The subpage.
        subpage: u8,
        /// Room for the answer; at most 255 in the form of 6 bytes.
        alloc_len: u16,
    },
    /// READ CAPACITY(10) (SBC-3).
    ReadCapacity10,
    /// READ CAPACITY(16) (SBC-3).
    ReadCapacity16 {
        /// Room for the answer.
        alloc_len: u32,
    },
    /// READ(6), (10), (12) and (16) (SBC-3).
    Read {
        /// First block.
        lba: u64,
        /// How many blocks; 0 is none.
        blocks: u32,
        /// Force unit access: from the medium, not from a volatile cache.
        fua: bool,
        /// Disable page out: the blocks need not stay in the cache.
        dpo: bool,
    },
    /// WRITE(6), (10), (12) and (16) (SBC-3).
    Write {
        /// First block.
        lba: u64,
        /// How many blocks; 0 is none.
        blocks: u32,
        /// Force unit access: to the medium before the status.
        fua: bool,
        /// Disable page out: the blocks need not stay in the cache.
        dpo: bool,
    },
    /// SYNCHRONIZE CACHE(10) and (16) (SBC-3).
    SynchronizeCache {
        /// First block.
        lba: u64,
        /// How many blocks; 0 is all to the end.
        blocks: u32,
        /// Status at once, before the work is done.
        immediate: bool,
    },
    /// UNMAP (SBC-3).
    Unmap {
        /// Anchor the blocks rather than deallocating them.
        anchor: bool,
        /// Length of the parameter list.
        list_len: u16,
    },
    /// WRITE SAME(10) and (16) (SBC-3).
    WriteSame {
        /// First block.
        lba: u64,
        /// How many blocks; 0 is all to the end, if the device allows that.
        blocks: u32,
        /// The device may unmap instead of writing.
        unmap: bool,
        /// Anchor the blocks rather than deallocating them; goes with `unmap`.
        anchor: bool,
        /// There is no data-out buffer: the block is all zeros. Only in 16 bytes.
        no_data: bool,
    },
    /// START STOP UNIT (SBC-3).
    StartStopUnit {
        /// To the active power condition, or to the stopped one.
        start: bool,
        /// Status at once, before the work is done.
        immediate: bool,
    },
    /// GET LBA STATUS (SBC-3).
    GetLbaStatus {
        /// First block.
        lba: u64,
        /// Room for the answer.
        alloc_len: u32,
    },
}

/// The logical units that REPORT LUNS reports (SPC-4 §6.33).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LunSelection {
    /// 00h: all but well-known ones.
    Addressed,
    /// 01h: well-known ones only.
    WellKnown,
    /// 02h: all.
    All,
}

/// The two forms of MODE SENSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeForm {
    /// A CDB of 6 bytes, an answer with a header of 4.
    Six,
    /// A CDB of 10 bytes, an answer with a header of 8.
    Ten,
}

/// The kind of values of a mode page (SPC-4 §6.11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PageControl {
    /// The current values.
    Current = 0,
    /// A mask of what can be changed.
    Changeable = 1,
    /// The default values of the factory.
    Default = 2,
    /// The saved values, which survive power-off.
    Saved = 3,
}

/// Why a CDB can't be carried out. A device answers with sense data: see
/// [`Sense::from`](super::Sense).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CdbError {
    /// The operation code, or its service action, is unknown.
    #[error("unsupported SCSI operation code {opcode:#04x}")]
    UnsupportedOpcode {
        /// The operation code.
        opcode: u8,
    },
    /// A field holds a value that is reserved or not supported here.
    #[error("SCSI command {opcode:#04x}: invalid field in byte {byte}")]
    InvalidField {
        /// The operation code.
        opcode: u8,
        /// The byte of the CDB.
        byte: u8,
    },
}

/// Operation codes (SPC-4 §E.3), shared by parser and emitter.
mod op {
    pub(super) const TEST_UNIT_READY: u8 = 0x00;
    pub(super) const REQUEST_SENSE: u8 = 0x03;
    pub(super) const READ_6: u8 = 0x08;
    pub(super) const WRITE_6: u8 = 0x0a;
    pub(super) const INQUIRY: u8 = 0x12;
    pub(super) const MODE_SENSE_6: u8 = 0x1a;
    pub(super) const START_STOP_UNIT: u8 = 0x1b;
    pub(super) const READ_CAPACITY_10: u8 = 0x25;
    pub(super) const READ_10: u8 = 0x28;
    pub(super) const WRITE_10: u8 = 0x2a;
    pub(super) const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    pub(super) const WRITE_SAME_10: u8 = 0x41;
    pub(super) const UNMAP: u8 = 0x42;
    pub(super) const MODE_SENSE_10: u8 = 0x5a;
    pub(super) const READ_16: u8 = 0x88;
    pub(super) const WRITE_16: u8 = 0x8a;
    pub(super) const SYNCHRONIZE_CACHE_16: u8 = 0x91;
    pub(super) const WRITE_SAME_16: u8 = 0x93;
    pub(super) const SERVICE_ACTION_IN_16: u8 = 0x9e;
    pub(super) const REPORT_LUNS: u8 = 0xa0;
    pub(super) const READ_12: u8 = 0xa8;
    pub(super) const WRITE_12: u8 = 0xaa;
    /// Service actions of [`SERVICE_ACTION_IN_16`].
    pub(super) const READ_CAPACITY_16: u8 = 0x10;
    pub(super) const GET_LBA_STATUS: u8 = 0x12;
}

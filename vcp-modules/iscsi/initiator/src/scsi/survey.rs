//! Finding out about a logical unit: one question after another, each a SCSI
//! command with data in, until there is a [`Device`]. What a unit does not answer
//! it does not have; only size, block size and being a disk are indispensable.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_proto::scsi::{
    BlockLimits, Capacity10, Capacity16, Command as Cdb, Designator, Inquiry,
    LogicalBlockProvisioning, LunSelection, ModeForm, ModeParameters, PageControl,
    PeripheralQualifier, Sense, Vpd, page, parse_luns,
};
use vcp_iscsi_proto::text::value::hex;

use super::Device;
use crate::task::{Command, Data};

/// How a question was answered.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// With this data.
    Data(&'a [u8]),
    /// The logical unit does not know the question.
    Unsupported,
    /// With an error.
    Error(Option<Sense>),
}

/// What comes after an answer.
#[derive(Debug)]
pub(crate) enum Next {
    /// The next question.
    Question,
    /// Nothing more to ask.
    Known(Device),
}

/// Why there is nothing to be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SurveyError(pub(crate) String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Luns,
    Inquiry,
    Ready,
    Pages,
    Page(u8),
    Capacity16,
    Capacity10,
    Mode(ModeForm, u8),
    Done,
}

/// Pages of vital product data that are asked for, if the unit has them.
const PAGES: [u8; 4] = [
    page::SERIAL_NUMBER,
    page::DEVICE_IDENTIFICATION,
    page::BLOCK_LIMITS,
    page::LOGICAL_BLOCK_PROVISIONING,
];
const CACHING_PAGE: u8 = 0x08;
const ALL_PAGES: u8 = 0x3f;
/// Room for an answer; that to REPORT LUNS grows with the number of units.
const ROOM: u32 = 512;
const LUNS_ROOM: u32 = 8 + 8 * 256;
const MOST_LUNS_ROOM: u32 = 8 + 8 * 16384;

/// A survey under way.
#[derive(Debug)]
pub(crate) struct Survey {
    lun: u16,
    question: Question,
    luns_room: u32,
    /// Pages still to be asked for.
    pages: Vec<u8>,
    serial: Option<String>,
    designator: Option<String>,
    capacity: Option<Capacity16>,
    limits: BlockLimits,
    provisioning: Option<LogicalBlockProvisioning>,
    mode: Option<ModeParameters>,
}

impl Survey {
    pub(crate) fn new(lun: u16) -> Self {
        Self {
            lun,
            question: Question::Luns,
            luns_room: LUNS_ROOM,
            pages: Vec::new(),
            serial: None,
            designator: None,
            capacity: None,
            limits: BlockLimits::default(),
            provisioning: None,
            mode: None,
        }
    }

    /// The question to be asked now.
    pub(crate) fn command(&self) -> Command {
        let (cdb, length) = match self.question {
            Question::Luns => {
                let select = LunSelection::Addressed;
                (
                    Cdb::ReportLuns {
                        select,
                        alloc_len: self.luns_room,
                    },
                    self.luns_room,
                )
            }
            Question::Inquiry => (inquiry(None), ROOM),
            Question::Ready | Question::Done => (Cdb::TestUnitReady, 0),
            Question::Pages => (inquiry(Some(page::SUPPORTED_PAGES)), ROOM),
            Question::Page(page) => (inquiry(Some(page)), ROOM),
            Question::Capacity16 => (Cdb::ReadCapacity16 { alloc_len: 32 }, 32),
            Question::Capacity10 => (Cdb::ReadCapacity10, 8),
            Question::Mode(form, page) => (mode_sense(form, page), 252),
        };
        Command {
            cdb: cdb.emit(),
            data: if length > 0 {
                Data::Scratch
            } else {
                Data::None
            },
            length,
            covers: 0,
            other_lun: self.question == Question::Luns,
        }
    }

    /// Takes the answer to the question.
    pub(crate) fn answer(&mut self, answer: Answer<'_>) -> Result<Next, SurveyError> {
        self.question = match self.question {
            Question::Luns => self.luns(answer)?,
            Question::Inquiry => self.inquiry(answer)?,
            Question::Ready => {
                if let Answer::Error(sense) = answer {
                    return Err(self.failed("is not ready", sense));
                }
                Question::Pages
            }
            Question::Pages => self.pages(answer),
            Question::Page(page) => self.page(page, answer),
            Question::Capacity16 => self.capacity16(answer)?,
            Question::Capacity10 => self.capacity10(answer)?,
            Question::Mode(form, page) => self.mode(form, page, answer),
            Question::Done => Question::Done,
        };
        if self.question == Question::Done {
            self.device().map(Next::Known)
        } else {
            Ok(Next::Question)
        }
    }

    fn luns(&mut self, answer: Answer<'_>) -> Result<Question, SurveyError> {
        let Answer::Data(data) = answer else {
            // It does not tell; INQUIRY will.
            return Ok(Question::Inquiry);
        };
        let Ok((count, luns)) = parse_luns(data) else {
            return Ok(Question::Inquiry);
        };
        let mut shown = String::new();
        let mut seen = 0;
        for lun in luns {
            seen += 1;
            if lun.number() == Some(self.lun) {
                return Ok(Question::Inquiry);
            }
            if seen <= 16 {
                shown.push_str(if shown.is_empty() { "" } else { ", " });
                shown.push_str(&lun.to_string());
            }
        }
        let needed = (count as u32).saturating_mul(8).saturating_add(8);
        if seen < count && self.luns_room < needed.min(MOST_LUNS_ROOM) {
            self.luns_room = needed.min(MOST_LUNS_ROOM);
            return Ok(Question::Luns);
        }
        let shown = if shown.is_empty() {
            "none".to_string()
        } else {
            shown
        };
        let more = if seen > 16 { ", …" } else { "" };
        Err(self.error(&format!("does not exist; the target has {shown}{more}")))
    }

    fn inquiry(&mut self, answer: Answer<'_>) -> Result<Question, SurveyError> {
        let data = match answer {
            Answer::Data(data) => data,
            Answer::Unsupported => return Err(self.error("does not answer INQUIRY")),
            Answer::Error(sense) => return Err(self.failed("does not answer INQUIRY", sense)),
        };
        let inquiry =
            Inquiry::parse(data).map_err(|_| self.error("sends INQUIRY data that is cut short"))?;
        if inquiry.qualifier != PeripheralQualifier::Connected {
            return Err(self.error("does not exist"));
        }
        if inquiry.device_type != Inquiry::DIRECT_ACCESS {
            let kind = inquiry.device_type;
            return Err(self.error(&format!("is no disk, but a device of type {kind:#04x}")));
        }
        Ok(Question::Ready)
    }

    fn pages(&mut self, answer: Answer<'_>) -> Question {
        if let Answer::Data(data) = answer
            && let Ok(vpd) = Vpd::parse(data, page::SUPPORTED_PAGES)
        {
            self.pages = PAGES
                .into_iter()
                .rev()
                .filter(|page| vpd.data.contains(page))
                .collect();
        }
        self.next_page()
    }

    fn next_page(&mut self) -> Question {
        self.pages
            .pop()
            .map_or(Question::Capacity16, Question::Page)
    }

    fn page(&mut self, page: u8, answer: Answer<'_>) -> Question {
        if let Answer::Data(data) = answer
            && let Ok(vpd) = Vpd::parse(data, page)
        {
            match page {
                page::SERIAL_NUMBER => self.serial = printable(vpd.data),
                page::DEVICE_IDENTIFICATION => self.designator = best_designator(&vpd),
                page::BLOCK_LIMITS => {
                    self.limits = BlockLimits::parse(&vpd).unwrap_or_default();
                }
                _ => self.provisioning = LogicalBlockProvisioning::parse(&vpd).ok(),
            }
        }
        self.next_page()
    }

    fn capacity16(&mut self, answer: Answer<'_>) -> Result<Question, SurveyError> {
        match answer {
            Answer::Data(data) => {
                let capacity = Capacity16::parse(data)
                    .map_err(|_| self.error("sends READ CAPACITY data that is cut short"))?;
                self.capacity = Some(capacity);
                Ok(Question::Mode(ModeForm::Six, CACHING_PAGE))
            }
            Answer::Unsupported => Ok(Question::Capacity10),
            Answer::Error(sense) => Err(self.failed("does not tell its capacity", sense)),
        }
    }

    fn capacity10(&mut self, answer: Answer<'_>) -> Result<Question, SurveyError> {
        let data = match answer {
            Answer::Data(data) => data,
            Answer::Unsupported => return Err(self.error("does not tell its capacity")),
            Answer::Error(sense) => return Err(self.failed("does not tell its capacity", sense)),
        };
        let capacity = Capacity10::parse(data)
            .map_err(|_| self.error("sends READ CAPACITY data that is cut short"))?;
        if capacity.last_lba == u32::MAX {
            return Err(self.error("is larger than it can tell: it has no READ CAPACITY (16)"));
        }
        self.capacity = Some(Capacity16 {
            last_lba: capacity.last_lba.into(),
            block_len: capacity.block_len,
            protection: false,
            physical_exponent: 0,
            provisioning: false,
            reads_zeros: false,
            lowest_aligned: 0,
        });
        Ok(Question::Mode(ModeForm::Six, CACHING_PAGE))
    }

    /// The caching page, or failing that any, for the sake of the header. In 10
    /// bytes where it can't be had in 6.
    fn mode(&mut self, form: ModeForm, page: u8, answer: Answer<'_>) -> Question {
        if let Answer::Data(data) = answer
            && let Ok(mode) = ModeParameters::parse(form, data)
        {
            self.mode = Some(mode);
            return Question::Done;
        }
        match (form, page) {
            (ModeForm::Six, CACHING_PAGE) => Question::Mode(ModeForm::Ten, CACHING_PAGE),
            (ModeForm::Ten, CACHING_PAGE) => Question::Mode(ModeForm::Six, ALL_PAGES),
            _ => Question::Done,
        }
    }

    fn device(&self) -> Result<Device, SurveyError> {
        let capacity = self
            .capacity
            .ok_or_else(|| self.error("does not tell its capacity"))?;
        let block = capacity.block_len;
        if !block.is_power_of_two() || !(512..=65536).contains(&block) {
            return Err(self.error(&format!(
                "has blocks of {block} bytes, which nobody can use"
            )));
        }
        if capacity.byte_len().is_none() {
            return Err(self.error("has a capacity beyond all reason"));
        }
        let mode = self.mode.unwrap_or_default();
        let cache = mode.caching.map(|page| page.write_cache);
        let provisioning = self.provisioning.unwrap_or_default();
        let (max_unmap, max_write_same) = self.provisioning_limits(&capacity);
        Ok(Device {
            block_size: block,
            blocks: capacity.last_lba + 1,
            physical_block_size: (block << capacity.physical_exponent.min(15)).min(1 << 20),
            identity: self
                .designator
                .clone()
                .or(self.serial.clone())
                .unwrap_or_default(),
            read_only: mode.write_protected,
            write_cache: cache.unwrap_or(true),
            write_cache_known: cache == Some(true),
            fua: mode.fua,
            synchronize: true,
            max_transfer: match self.limits.max_transfer {
                0 => u32::MAX / block * block,
                blocks => blocks.min(u32::MAX / block) * block,
            },
            max_unmap,
            max_write_same,
            write_same_unmaps: provisioning.write_same_16,
            unmapped_is_zero: provisioning.reads_zeros || capacity.reads_zeros,
        })
    }

    /// Most blocks of one UNMAP and one WRITE SAME (SBC-3 §6.5.3). There is no sure
    /// sign that a unit has WRITE SAME; it is tried, and given up when refused.
    fn provisioning_limits(&self, capacity: &Capacity16) -> (u32, u32) {
        let limits = &self.limits;
        let has_unmap = self.provisioning.map_or(capacity.provisioning, |p| p.unmap);
        let max_unmap = if has_unmap && limits.max_unmap_descriptors > 0 {
            limits.max_unmap_blocks
        } else {
            0
        };
        let max_write_same = match limits.max_write_same {
            0 => u32::MAX,
            blocks => u32::try_from(blocks).unwrap_or(u32::MAX),
        };
        (max_unmap, max_write_same)
    }

    fn error(&self, what: &str) -> SurveyError {
        SurveyError(format!("logical unit {} {what}", self.lun))
    }

    fn failed(&self, what: &str, sense: Option<Sense>) -> SurveyError {
        match sense {
            Some(sense) => self.error(&format!("{what}: {sense}")),
            None => self.error(what),
        }
    }
}

fn inquiry(vpd: Option<u8>) -> Cdb {
    Cdb::Inquiry {
        vpd,
        alloc_len: ROOM as u16,
    }
}

fn mode_sense(form: ModeForm, page: u8) -> Cdb {
    Cdb::ModeSense {
        form,
        no_block_descriptors: true,
        control: PageControl::Current,
        page,
        subpage: 0,
        alloc_len: 252,
    }
}

/// The designator of the logical unit that is most likely to be the only one of
/// its kind: NAA, EUI-64, a SCSI name, the vendor's own.
fn best_designator(vpd: &Vpd<'_>) -> Option<String> {
    let rank = |designator: &Designator<'_>| match designator.kind {
        3 => Some(0),
        2 => Some(1),
        8 => Some(2),
        1 => Some(3),
        _ => None,
    };
    let best = vpd
        .designators()
        .filter(|d| d.association == 0 && !d.id.is_empty() && rank(d).is_some())
        .min_by_key(rank)?;
    let digits = || hex(best.id)[2..].to_string();
    match best.kind {
        3 => Some(format!("naa.{}", digits())),
        2 => Some(format!("eui.{}", digits())),
        8 => printable(best.id),
        _ => Some(match printable(best.id) {
            Some(text) => format!("t10.{text}"),
            None => format!("t10.{}", digits()),
        }),
    }
}

/// ASCII without what surrounds it; `None` when nothing is left or it is none.
fn printable(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(bytes)
        .ok()?
        .trim_matches(|c| c == ' ' || c == '\0');
    let shown = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    shown.then(|| text.to_string())
}

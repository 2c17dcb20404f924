//! Finding out about a logical unit: questions, each a SCSI command with data in,
//! until there is a [`Device`]. All that do not depend on each other are asked at
//! once, so that a survey takes one round trip of a target that knows everything.
//! What a unit does not answer it does not have; only size, block size and being a
//! disk are indispensable.

mod findings;
mod questions;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_proto::scsi::{
    BlockLimits, Capacity10, Capacity16, Inquiry, LogicalBlockProvisioning, ModeForm,
    ModeParameters, PeripheralQualifier, Vpd, page, parse_luns,
};

use super::{Device, Ending, Verdict};
use crate::task::Command;
use questions::{Question, best_designator, printable};

/// How a question was answered.
#[derive(Debug)]
enum Answer<'a> {
    /// With this data.
    Data(&'a [u8]),
    /// The logical unit does not know the question.
    Unsupported,
    /// With an error.
    Error(&'a Ending),
}

/// What comes after an answer.
#[derive(Debug)]
pub(crate) enum Next {
    /// Another question in its place.
    Question,
    /// The answers to others.
    Answers,
    /// Nothing more to ask.
    Known(Device),
}

/// Why there is nothing to be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SurveyError(pub(crate) String);

const CACHING_PAGE: u8 = 0x08;
const ALL_PAGES: u8 = 0x3f;
const LUNS_ROOM: u32 = 8 + 8 * 256;
const MOST_LUNS_ROOM: u32 = 8 + 8 * 16384;

/// What is asked at first. Of several errors the one that comes first here is told,
/// for the others follow from it. Whether the unit has a page is not known yet; it
/// is only asked, and answers about pages that are not listed count for nothing.
const QUESTIONS: [Question; 10] = [
    Question::Luns(LUNS_ROOM),
    Question::Inquiry,
    Question::Ready,
    Question::Capacity16,
    Question::Pages,
    Question::Page(page::SERIAL_NUMBER),
    Question::Page(page::DEVICE_IDENTIFICATION),
    Question::Page(page::BLOCK_LIMITS),
    Question::Page(page::LOGICAL_BLOCK_PROVISIONING),
    Question::Mode(ModeForm::Six, CACHING_PAGE),
];
/// As many as there are.
pub(crate) const SURVEY_DEPTH: usize = QUESTIONS.len();
/// The one that goes first: TEST UNIT READY costs nothing if what it meets is a unit
/// attention.
const FIRST: u8 = 2;

/// A question, and the room for its answer.
#[derive(Debug)]
struct Slot {
    question: Question,
    answer: Vec<u8>,
    open: bool,
    error: Option<SurveyError>,
}

/// A survey under way.
#[derive(Debug)]
pub(crate) struct Survey {
    lun: u16,
    slots: Vec<Slot>,
    /// Pages of vital product data that the unit says it has.
    pages: Vec<u8>,
    serial: Option<String>,
    designator: Option<String>,
    capacity: Option<Capacity16>,
    limits: Option<BlockLimits>,
    provisioning: Option<LogicalBlockProvisioning>,
    mode: Option<ModeParameters>,
}

impl Survey {
    pub(crate) fn new(lun: u16) -> Self {
        let slot = |question| Slot {
            question,
            answer: Vec::new(),
            open: true,
            error: None,
        };
        Self {
            lun,
            slots: QUESTIONS.into_iter().map(slot).collect(),
            pages: Vec::new(),
            serial: None,
            designator: None,
            capacity: None,
            limits: None,
            provisioning: None,
            mode: None,
        }
    }

    /// The places of all questions, in the order in which they are to be asked.
    pub(crate) fn places() -> impl DoubleEndedIterator<Item = u8> {
        let others = (0..QUESTIONS.len() as u8).filter(|place| *place != FIRST);
        core::iter::once(FIRST).chain(others)
    }

    /// The question in a place, which is being asked now.
    pub(crate) fn ask(&mut self, place: u8) -> Command {
        let slot = &mut self.slots[usize::from(place)];
        let command = slot.question.command();
        slot.answer.clear();
        slot.answer.resize(command.length as usize, 0);
        command
    }

    /// Part of the answer, which lies within what was asked for.
    pub(crate) fn store(&mut self, place: u8, offset: u32, bytes: &[u8]) {
        let start = offset as usize;
        let answer = &mut self.slots[usize::from(place)].answer;
        answer[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Whether a unit attention is an answer here. It says nothing about whether the
    /// unit is ready; but READ CAPACITY does, which fails where the medium cannot be
    /// accessed (SBC-3 §5.15) and without which there is no end.
    pub(crate) fn takes_attention(&self, place: u8) -> bool {
        self.slots[usize::from(place)].question == Question::Ready
    }

    /// Takes the answer to the question in a place, of which so many bytes are there.
    pub(crate) fn answer(
        &mut self,
        place: u8,
        verdict: Verdict,
        received: u32,
        ending: &Ending,
    ) -> Result<Next, SurveyError> {
        let slot = &mut self.slots[usize::from(place)];
        let data = core::mem::take(&mut slot.answer);
        let answer = match verdict {
            Verdict::Good => Answer::Data(&data[..received as usize]),
            Verdict::Unsupported => Answer::Unsupported,
            _ => Answer::Error(ending),
        };
        let next = self.next(self.slots[usize::from(place)].question, answer);
        let slot = &mut self.slots[usize::from(place)];
        match next {
            Ok(Some(question)) => {
                slot.question = question;
                return Ok(Next::Question);
            }
            Ok(None) => {}
            Err(error) => slot.error = Some(error),
        }
        slot.open = false;
        self.outcome()
    }

    /// Whether enough was answered to know how it ends.
    fn outcome(&mut self) -> Result<Next, SurveyError> {
        for slot in &mut self.slots {
            if slot.open {
                return Ok(Next::Answers);
            }
            if let Some(error) = slot.error.take() {
                return Err(error);
            }
        }
        self.device().map(Next::Known)
    }

    /// What an answer means; another question if it leads to one.
    fn next(
        &mut self,
        question: Question,
        answer: Answer<'_>,
    ) -> Result<Option<Question>, SurveyError> {
        match question {
            Question::Luns(room) => self.luns(room, answer),
            Question::Inquiry => self.inquiry(answer).map(|()| None),
            Question::Ready => match answer {
                Answer::Error(ending) => Err(self.failed("is not ready", ending)),
                Answer::Data(_) | Answer::Unsupported => Ok(None),
            },
            Question::Capacity16 => self.capacity16(answer),
            Question::Capacity10 => self.capacity10(answer).map(|()| None),
            Question::Pages => {
                if let Answer::Data(data) = answer
                    && let Ok(vpd) = Vpd::parse(data, page::SUPPORTED_PAGES)
                {
                    self.pages = vpd.data.to_vec();
                }
                Ok(None)
            }
            Question::Page(page) => {
                self.page(page, answer);
                Ok(None)
            }
            Question::Mode(form, page) => Ok(self.mode(form, page, answer)),
        }
    }

    fn luns(&mut self, room: u32, answer: Answer<'_>) -> Result<Option<Question>, SurveyError> {
        let Answer::Data(data) = answer else {
            // It does not tell; INQUIRY will.
            return Ok(None);
        };
        let Ok((count, luns)) = parse_luns(data) else {
            return Ok(None);
        };
        let mut shown = String::new();
        let mut seen = 0;
        for lun in luns {
            seen += 1;
            if lun.number() == Some(self.lun) {
                return Ok(None);
            }
            if seen <= 16 {
                shown.push_str(if shown.is_empty() { "" } else { ", " });
                shown.push_str(&lun.to_string());
            }
        }
        let needed = (count as u32).saturating_mul(8).saturating_add(8);
        let needed = needed.min(MOST_LUNS_ROOM);
        if seen < count && room < needed {
            return Ok(Some(Question::Luns(needed)));
        }
        let shown = if shown.is_empty() {
            "none".to_string()
        } else {
            shown
        };
        let more = if seen > 16 { ", …" } else { "" };
        Err(self.error(&format!("does not exist; the target has {shown}{more}")))
    }

    fn inquiry(&mut self, answer: Answer<'_>) -> Result<(), SurveyError> {
        let data = match answer {
            Answer::Data(data) => data,
            Answer::Unsupported => return Err(self.error("does not answer INQUIRY")),
            Answer::Error(ending) => return Err(self.failed("does not answer INQUIRY", ending)),
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
        Ok(())
    }

    fn page(&mut self, page: u8, answer: Answer<'_>) {
        if let Answer::Data(data) = answer
            && let Ok(vpd) = Vpd::parse(data, page)
        {
            match page {
                page::SERIAL_NUMBER => self.serial = printable(vpd.data),
                page::DEVICE_IDENTIFICATION => self.designator = best_designator(&vpd),
                page::BLOCK_LIMITS => self.limits = BlockLimits::parse(&vpd).ok(),
                _ => self.provisioning = LogicalBlockProvisioning::parse(&vpd).ok(),
            }
        }
    }

    fn capacity16(&mut self, answer: Answer<'_>) -> Result<Option<Question>, SurveyError> {
        match answer {
            Answer::Data(data) => {
                let capacity = Capacity16::parse(data)
                    .map_err(|_| self.error("sends READ CAPACITY data that is cut short"))?;
                self.capacity = Some(capacity);
                Ok(None)
            }
            Answer::Unsupported => Ok(Some(Question::Capacity10)),
            Answer::Error(ending) => Err(self.failed("does not tell its capacity", ending)),
        }
    }

    fn capacity10(&mut self, answer: Answer<'_>) -> Result<(), SurveyError> {
        let data = match answer {
            Answer::Data(data) => data,
            Answer::Unsupported => return Err(self.error("does not tell its capacity")),
            Answer::Error(ending) => return Err(self.failed("does not tell its capacity", ending)),
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
        Ok(())
    }

    /// The caching page, or failing that any, for the sake of the header. In 10
    /// bytes where it can't be had in 6.
    fn mode(&mut self, form: ModeForm, page: u8, answer: Answer<'_>) -> Option<Question> {
        if let Answer::Data(data) = answer
            && let Ok(mode) = ModeParameters::parse(form, data)
        {
            self.mode = Some(mode);
            return None;
        }
        match (form, page) {
            (ModeForm::Six, CACHING_PAGE) => Some(Question::Mode(ModeForm::Ten, CACHING_PAGE)),
            (ModeForm::Ten, CACHING_PAGE) => Some(Question::Mode(ModeForm::Six, ALL_PAGES)),
            _ => None,
        }
    }

    fn error(&self, what: &str) -> SurveyError {
        SurveyError(format!("logical unit {} {what}", self.lun))
    }

    fn failed(&self, what: &str, ending: &Ending) -> SurveyError {
        self.error(&format!("{what}: {ending}"))
    }
}

//! Evaluation of answers; an answer may lead to another question.

use alloc::format;
use alloc::vec::Vec;

use vcp_iscsi_proto::scsi::{
    Asc, BlockLimits, Capacity10, Capacity16, Inquiry, LogicalBlockProvisioning, ModeForm,
    ModeParameters, PeripheralQualifier, SenseKey, Vpd, page,
};

use super::questions::{Question, designators, is_whole, printable};
use super::trouble::Trouble;
use super::{CACHING_PAGE, Pages, Survey};
use crate::scsi::identity::Name;
use crate::scsi::{Ending, Verdict};

const ALL_PAGES: u8 = 0x3f;

/// The answer to a question.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// The data of a successful command.
    Data(&'a [u8]),
    /// The logical unit does not support the command.
    Unsupported(&'a Ending),
    /// The command failed.
    Error(&'a Ending),
}

impl<'a> Answer<'a> {
    pub(super) fn new(verdict: Verdict, data: &'a [u8], ending: &'a Ending) -> Self {
        match verdict {
            Verdict::Good => Self::Data(data),
            _ if is_unsupported(ending) => Self::Unsupported(ending),
            _ => Self::Error(ending),
        }
    }

    /// The end of a command that returned no data.
    fn said(&self) -> Option<&'a Ending> {
        match self {
            Self::Data(_) => None,
            Self::Unsupported(ending) | Self::Error(ending) => Some(ending),
        }
    }
}

/// Whether the unit does not support a command, or not with these fields.
fn is_unsupported(ending: &Ending) -> bool {
    ending.sense().is_some_and(|sense| {
        sense.key == SenseKey::IllegalRequest
            && !sense.deferred
            && matches!(sense.asc, Asc::INVALID_OPCODE | Asc(0x24 | 0x26, _))
    })
}

impl Survey {
    pub(super) fn next(
        &mut self,
        question: Question,
        answer: Answer<'_>,
    ) -> Result<Option<Question>, Trouble> {
        match question {
            Question::Luns(room) => self.luns(room, &answer),
            Question::Inquiry => self.inquiry(&answer).map(|()| None),
            Question::Ready => match answer {
                Answer::Error(ending) => Err(self.failed("is not ready", ending)),
                Answer::Data(_) | Answer::Unsupported(_) => Ok(None),
            },
            Question::Capacity16 => self.capacity16(&answer),
            Question::Capacity10 => self.capacity10(&answer).map(|()| None),
            Question::Pages => {
                self.pages(&answer);
                Ok(None)
            }
            Question::Page(page) => {
                self.page(page, &answer);
                Ok(None)
            }
            Question::Mode(form, page) => Ok(self.mode(form, page, &answer)),
        }
    }

    fn inquiry(&mut self, answer: &Answer<'_>) -> Result<(), Trouble> {
        const WHAT: &str = "does not answer INQUIRY";
        let data = match answer {
            Answer::Data(data) => data,
            Answer::Unsupported(ending) => return Err(self.wrong(&format!("{WHAT}: {ending}"))),
            Answer::Error(ending) => return Err(self.failed(WHAT, ending)),
        };
        let inquiry = Inquiry::parse(data).map_err(|_| self.cut("INQUIRY"))?;
        if inquiry.qualifier != PeripheralQualifier::Connected {
            return Err(self.wrong("does not exist"));
        }
        if inquiry.device_type != Inquiry::DIRECT_ACCESS {
            let kind = inquiry.device_type;
            return Err(self.wrong(&format!("is no disk, but a device of type {kind:#04x}")));
        }
        Ok(())
    }

    fn pages(&mut self, answer: &Answer<'_>) {
        self.notes.pages = match answer {
            Answer::Data(data) => match Vpd::parse(data, page::SUPPORTED_PAGES) {
                Ok(vpd) if is_whole(data) => Pages::Listed(vpd.data.to_vec()),
                _ => Pages::Unknown,
            },
            Answer::Unsupported(_) => Pages::Absent,
            Answer::Error(..) => Pages::Unknown,
        };
        self.note_silence(answer);
    }

    fn page(&mut self, page: u8, answer: &Answer<'_>) {
        match page {
            page::SERIAL_NUMBER | page::DEVICE_IDENTIFICATION => self.name(page, answer),
            _ => self.limits(page, answer),
        }
    }

    /// Evaluates a page that identifies the unit.
    fn name(&mut self, page: u8, answer: &Answer<'_>) {
        let mut others = Vec::new();
        let name = match answer {
            Answer::Data(data) => match Vpd::parse(data, page) {
                Ok(vpd) if is_whole(data) => Name::of(match page {
                    page::SERIAL_NUMBER => printable(vpd.data),
                    _ => {
                        let mut all = designators(&vpd).into_iter();
                        let best = all.next();
                        others = all.collect();
                        best
                    }
                }),
                _ => Name::Unknown,
            },
            Answer::Unsupported(_) => Name::Absent,
            Answer::Error(..) => Name::Unknown,
        };
        self.note_silence(answer);
        match page {
            page::SERIAL_NUMBER => self.notes.serial = name,
            _ => {
                self.notes.designator = name;
                self.notes.others = others;
            }
        }
    }

    fn note_silence(&mut self, answer: &Answer<'_>) {
        if let (Some(ending), None) = (answer.said(), &self.notes.unnamed) {
            self.notes.unnamed = Some(*ending);
        }
    }

    fn limits(&mut self, page: u8, answer: &Answer<'_>) {
        let read = match answer {
            Answer::Data(data) => Vpd::parse(data, page).ok(),
            Answer::Unsupported(_) => return,
            Answer::Error(..) => None,
        };
        let notes = &mut self.notes;
        let known = if page == page::BLOCK_LIMITS {
            notes.limits = read.and_then(|vpd| BlockLimits::parse(&vpd).ok());
            notes.limits.is_some()
        } else {
            let read = read.and_then(|vpd| LogicalBlockProvisioning::parse(&vpd).ok());
            notes.provisioning = read;
            read.is_some()
        };
        notes.gaps.limits |= !known;
    }

    fn capacity16(&mut self, answer: &Answer<'_>) -> Result<Option<Question>, Trouble> {
        match answer {
            Answer::Data(data) => {
                let capacity = Capacity16::parse(data).map_err(|_| self.cut("READ CAPACITY"))?;
                self.notes.capacity = Some(capacity);
                Ok(None)
            }
            Answer::Unsupported(_) => Ok(Some(Question::Capacity10)),
            Answer::Error(ending) => Err(self.failed("does not tell its capacity", ending)),
        }
    }

    fn capacity10(&mut self, answer: &Answer<'_>) -> Result<(), Trouble> {
        const WHAT: &str = "does not tell its capacity";
        let data = match answer {
            Answer::Data(data) => data,
            Answer::Unsupported(_) => return Err(self.wrong(WHAT)),
            Answer::Error(ending) => return Err(self.failed(WHAT, ending)),
        };
        let capacity = Capacity10::parse(data).map_err(|_| self.cut("READ CAPACITY"))?;
        if capacity.last_lba == u32::MAX {
            return Err(self.wrong("is larger than it can tell: it has no READ CAPACITY (16)"));
        }
        self.notes.capacity = Some(Capacity16 {
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

    /// Evaluates the caching page or, failing that, any page, for the sake of the header.
    /// Asks for it in 10 bytes if it isn't available in 6.
    fn mode(&mut self, form: ModeForm, page: u8, answer: &Answer<'_>) -> Option<Question> {
        if let Answer::Data(data) = answer
            && let Ok(mode) = ModeParameters::parse(form, data)
        {
            self.notes.mode = Some(mode);
            self.notes.gaps.mode &= page != CACHING_PAGE;
            return None;
        }
        self.notes.gaps.mode |= !matches!(answer, Answer::Unsupported(_));
        match (form, page) {
            (ModeForm::Six, CACHING_PAGE) => Some(Question::Mode(ModeForm::Ten, CACHING_PAGE)),
            (ModeForm::Ten, CACHING_PAGE) => Some(Question::Mode(ModeForm::Six, ALL_PAGES)),
            _ => None,
        }
    }
}

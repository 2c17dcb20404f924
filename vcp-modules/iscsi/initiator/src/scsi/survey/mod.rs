//! Finding out about a logical unit: questions, each a SCSI command with data in, until
//! there is a [`Device`]. All independent questions are asked at once, so that a survey
//! of a target that answers all takes one round trip. A property that a unit denies is
//! absent; one that it could not report is unknown, and of those only size, block size
//! and being a disk are indispensable.

mod answers;
mod findings;
mod luns;
mod questions;
mod trouble;

use alloc::string::String;
use alloc::vec::Vec;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::scsi::{
    BlockLimits, Capacity16, LogicalBlockProvisioning, ModeForm, ModeParameters, page,
};

use super::identity::Name;
use super::{Device, Ending, Verdict};
use crate::task::Command;
use answers::Answer;
pub(crate) use findings::{Found, Gaps};
use questions::Question;
pub(crate) use trouble::SurveyError;
use trouble::Trouble;

/// What follows an answer.
#[derive(Debug)]
pub(crate) enum Next {
    /// Ask another question in its place.
    Question,
    /// Wait for other answers.
    Answers,
    /// Wait for other answers, and ask the questions in these places again: the unit has
    /// another LUN than they were sent to.
    Ask(Vec<u8>),
    /// The survey is done, with this result.
    Known(Found),
    /// The survey is done without a sufficient result; the reason in one line.
    Unclear(String),
    /// The survey of the capacity alone is done; whether something has changed.
    Looked(bool),
}

const CACHING_PAGE: u8 = 0x08;
const LUNS_ROOM: u32 = 8 + 8 * 256;

/// The initial questions. If several fail, the first of them here is reported, for the
/// others follow from it. It is not known yet whether the unit has a page; it is just
/// asked, and answers about pages that are not listed are ignored.
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
/// The number of questions.
pub(crate) const SURVEY_DEPTH: usize = QUESTIONS.len();
/// The first question to be sent: nothing is lost if TEST UNIT READY meets a unit
/// attention.
const FIRST: u8 = 2;

/// A question, and the room for its answer.
#[derive(Debug)]
struct Slot {
    question: Question,
    /// The logical unit that was asked; ours at first.
    lun: Lun,
    answer: Vec<u8>,
    open: bool,
    trouble: Option<Trouble>,
}

/// The pages of vital product data that the unit says it has.
#[derive(Debug, Default)]
enum Pages {
    /// The unit could not tell.
    #[default]
    Unknown,
    /// The unit has no such list, so that no page counts.
    Absent,
    Listed(Vec<u8>),
}

/// The answers so far.
#[derive(Debug, Default)]
struct Notes {
    pages: Pages,
    serial: Name,
    designator: Name,
    others: Vec<String>,
    capacity: Option<Capacity16>,
    limits: Option<BlockLimits>,
    provisioning: Option<LogicalBlockProvisioning>,
    mode: Option<ModeParameters>,
    /// Limits or mode pages that may exist, but a question about them failed.
    gaps: Gaps,
    /// Why the unit did not identify itself.
    unnamed: Option<Ending>,
}

/// A survey under way.
#[derive(Debug)]
pub(crate) struct Survey {
    number: u16,
    /// The LUN at which the unit is asked.
    lun: Lun,
    /// The best of the LUNs with its number in the target's list.
    best: Option<Lun>,
    /// Whether the unit was served before, perhaps by a predecessor: it can only be away.
    served: bool,
    /// The known capacity, for a survey of the capacity alone.
    known: Option<(u32, u64)>,
    /// Whether the unit reported a change.
    alarmed: bool,
    slots: Vec<Slot>,
    notes: Notes,
}

impl Survey {
    /// Makes a survey of the unit of a number, which is asked at `lun` until another LUN
    /// is found.
    pub(crate) fn new(number: u16, lun: Lun, served: bool) -> Self {
        Self::of(&QUESTIONS, number, lun, served)
    }

    /// Makes a survey that only checks whether a served unit still has this capacity.
    pub(crate) fn of_capacity(number: u16, lun: Lun, device: &Device) -> Self {
        let mut survey = Self::of(&[Question::Capacity16], number, lun, true);
        survey.known = Some((device.block_size, device.blocks));
        survey
    }

    fn of(questions: &[Question], number: u16, lun: Lun, served: bool) -> Self {
        let slot = |&question| Slot {
            question,
            lun,
            answer: Vec::new(),
            open: true,
            trouble: None,
        };
        Self {
            number,
            lun,
            best: None,
            served,
            known: None,
            alarmed: false,
            slots: questions.iter().map(slot).collect(),
            notes: Notes::default(),
        }
    }

    /// The places of all questions, in the order in which they are to be asked.
    pub(crate) fn places(&self) -> impl DoubleEndedIterator<Item = u8> + use<> {
        let count = self.slots.len() as u8; // at most ten
        let first = (FIRST < count).then_some(FIRST);
        let others = (0..count).filter(|place| *place != FIRST);
        first.into_iter().chain(others)
    }

    /// The question in a place, which is being asked now, and its LUN.
    pub(crate) fn ask(&mut self, place: u8) -> (Command, Lun) {
        let slot = &mut self.slots[usize::from(place)];
        let command = slot.question.command();
        slot.answer.clear();
        slot.answer.resize(command.length as usize, 0);
        slot.lun = self.lun;
        let lun = match command.other_lun {
            true => Lun::default(),
            false => self.lun,
        };
        (command, lun)
    }

    /// Stores part of an answer, which lies within the requested length.
    pub(crate) fn store(&mut self, place: u8, offset: u32, bytes: &[u8]) {
        let start = offset as usize;
        let answer = &mut self.slots[usize::from(place)].answer;
        answer[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Whether a unit attention is accepted as an answer here. It does not tell whether
    /// the unit is ready; but READ CAPACITY does, which fails where the medium cannot be
    /// accessed (SBC-3 §5.15) and without which a survey cannot end.
    pub(crate) fn takes_attention(&self, place: u8) -> bool {
        self.slots[usize::from(place)].question == Question::Ready
    }

    /// Notes that the unit reported a change in answer to a question.
    pub(crate) fn alarm(&mut self) {
        self.alarmed = true;
    }

    /// Handles the answer to the question in a place, of which `received` bytes are
    /// there.
    pub(crate) fn answer(
        &mut self,
        place: u8,
        verdict: Verdict,
        received: u32,
        ending: &Ending,
    ) -> Result<Next, SurveyError> {
        let slot = &mut self.slots[usize::from(place)];
        let data = core::mem::take(&mut slot.answer);
        if slot.lun != self.lun && !matches!(slot.question, Question::Luns(_)) {
            // Another unit was asked.
            slot.question = QUESTIONS[usize::from(place)];
            return Ok(Next::Question);
        }
        let question = slot.question;
        let answer = Answer::new(verdict, &data[..received as usize], ending);
        let next = self.next(question, answer);
        let slot = &mut self.slots[usize::from(place)];
        match next {
            Ok(Some(question)) => {
                slot.question = question;
                return Ok(Next::Question);
            }
            Ok(None) => slot.open = false,
            Err(trouble) => {
                slot.trouble = Some(trouble);
                slot.open = false;
            }
        }
        if let Some(lun) = self.best.take().filter(|best| *best != self.lun) {
            return Ok(Next::Ask(self.turn_to(lun)));
        }
        self.outcome()
    }

    /// Turns to another LUN: forgets what was answered before. Returns the places of the
    /// questions to be asked again; unanswered ones come back by themselves.
    fn turn_to(&mut self, lun: Lun) -> Vec<u8> {
        self.lun = lun;
        self.notes = Notes::default();
        let mut places = Vec::new();
        for place in self.places() {
            let slot = &mut self.slots[usize::from(place)];
            if !slot.open && !matches!(slot.question, Question::Luns(_)) {
                slot.question = QUESTIONS[usize::from(place)];
                (slot.open, slot.trouble) = (true, None);
                places.push(place);
            }
        }
        places
    }

    /// Whether the answers suffice for a result.
    fn outcome(&mut self) -> Result<Next, SurveyError> {
        let all = self.slots.iter().all(|slot| !slot.open);
        for slot in &mut self.slots {
            if slot.open {
                return Ok(Next::Answers);
            }
            match slot.trouble.take_if(|trouble| all || trouble.is_final()) {
                Some(Trouble::Final(reason)) => return Err(SurveyError(reason)),
                Some(Trouble::Passing(reason)) if self.known.is_none() => {
                    return Ok(Next::Unclear(reason));
                }
                Some(Trouble::Passing(_)) | None => {}
            }
            if slot.trouble.is_some() {
                return Ok(Next::Answers);
            }
        }
        match self.known {
            Some(known) => Ok(Next::Looked(self.alarmed || self.differs_from(known))),
            None => self.found().map(Next::Known),
        }
    }

    /// Whether the capacity differs. An unknown one does not.
    fn differs_from(&self, known: (u32, u64)) -> bool {
        let now = self.notes.capacity.as_ref();
        let now = now.map(|capacity| (capacity.block_len, capacity.last_lba.saturating_add(1)));
        now.is_some_and(|now| now != known)
    }
}

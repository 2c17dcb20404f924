//! Finding out about a logical unit: questions, each a SCSI command with data in,
//! until there is a [`Device`]. All that do not depend on each other are asked at
//! once, so that a survey takes one round trip of a target that knows everything.
//! What a unit says it has not it does not have; what it could not say is unknown,
//! and of that only size, block size and being a disk are indispensable.

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

/// What comes after an answer.
#[derive(Debug)]
pub(crate) enum Next {
    /// Another question in its place.
    Question,
    /// The answers to others.
    Answers,
    /// The answers to others, and to the questions in these places once more: the
    /// unit goes by another number than they were asked under.
    Ask(Vec<u8>),
    /// Nothing more to ask. The unit is where this says.
    Known(Found),
    /// Nothing more to ask, and not enough was said; in one line what was instead.
    Unclear(String),
    /// Of a survey of the capacity alone: whether something has changed.
    Looked(bool),
}

const CACHING_PAGE: u8 = 0x08;
const LUNS_ROOM: u32 = 8 + 8 * 256;

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
    /// Which logical unit was asked; the first time ours is.
    lun: Lun,
    answer: Vec<u8>,
    open: bool,
    trouble: Option<Trouble>,
}

/// The pages of vital product data that the unit says it has.
#[derive(Debug, Default)]
enum Pages {
    /// It could not say.
    #[default]
    Unknown,
    /// It has no such list, and no pages that count.
    Absent,
    Listed(Vec<u8>),
}

/// What was answered so far.
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
    /// There may be limits, or mode pages, but a question about them failed.
    gaps: Gaps,
    /// Why the unit did not say which it is.
    unnamed: Option<Ending>,
}

/// A survey under way.
#[derive(Debug)]
pub(crate) struct Survey {
    number: u16,
    /// Where the unit is asked.
    lun: Lun,
    /// Of all that goes by its number in what the target lists, what suits best.
    best: Option<Lun>,
    /// The unit was served before, perhaps by a predecessor: it can only be away.
    served: bool,
    /// Of the capacity alone: what that is known to be.
    known: Option<(u32, u64)>,
    /// The unit said that it is not what it was.
    alarmed: bool,
    slots: Vec<Slot>,
    notes: Notes,
}

impl Survey {
    /// Of everything about the unit of a number, which is asked at `lun` until it
    /// turns out to be elsewhere.
    pub(crate) fn new(number: u16, lun: Lun, served: bool) -> Self {
        Self::of(&QUESTIONS, number, lun, served)
    }

    /// Only whether a unit that is served still has this capacity.
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

    /// The question in a place, which is being asked now, and whom.
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

    /// The unit says, in answer to a question, that it has changed.
    pub(crate) fn alarm(&mut self) {
        self.alarmed = true;
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
        if slot.lun != self.lun && !matches!(slot.question, Question::Luns(_)) {
            // Somebody else was asked.
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

    /// The unit is elsewhere: forgets what was answered for it. Returns the places of
    /// the questions that are to be asked again; those that are not answered yet
    /// come back of themselves.
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

    /// Whether enough was answered to know how it ends.
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

    /// Whether the capacity is another. One that could not be had is not.
    fn differs_from(&self, known: (u32, u64)) -> bool {
        let now = self.notes.capacity.as_ref();
        let now = now.map(|capacity| (capacity.block_len, capacity.last_lba.saturating_add(1)));
        now.is_some_and(|now| now != known)
    }
}

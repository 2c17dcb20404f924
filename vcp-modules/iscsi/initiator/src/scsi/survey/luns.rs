//! REPORT LUNS: whether the target has the unit, and the eight bytes of its LUN. These
//! have to be sent to the target (SAM-5 §4.7); the unit's number only tells which they
//! are.

use alloc::format;
use alloc::string::{String, ToString};

use vcp_iscsi_proto::scsi::parse_luns;
use vcp_iscsi_proto::{Lun, LunMethod};

use super::Survey;
use super::answers::Answer;
use super::questions::Question;
use super::trouble::Trouble;

const MOST_LUNS_ROOM: u32 = 8 + 8 * 16384;
/// The most units that an error names.
const SHOWN: usize = 16;

impl Survey {
    pub(super) fn luns(
        &mut self,
        room: u32,
        answer: &Answer<'_>,
    ) -> Result<Option<Question>, Trouble> {
        let Answer::Data(data) = answer else {
            // The target does not tell; INQUIRY will.
            return Ok(None);
        };
        let Ok((count, luns)) = parse_luns(data) else {
            return Ok(None);
        };
        let mut shown = Shown::default();
        let (mut seen, mut best) = (0, None);
        for lun in luns {
            seen += 1;
            if lun.number() == Some(self.number) {
                let candidate = (self.rank(lun), lun);
                best = Some(best.map_or(candidate, |best: (u8, Lun)| best.min(candidate)));
            }
            shown.put(lun, self.number);
        }
        // A better one may follow beyond the received part.
        let needed = (count as u32).saturating_mul(8).saturating_add(8);
        let needed = needed.min(MOST_LUNS_ROOM);
        let suits = best.is_some_and(|(rank, _)| rank == 0);
        if !suits && seen < count && room < needed {
            return Ok(Some(Question::Luns(needed)));
        }
        self.best = best.map(|(_, lun)| lun);
        match best {
            Some(_) => Ok(None),
            None => Err(self.wrong(&shown.line())),
        }
    }

    /// The rank of one of several matching LUNs: first the one in use, then the one that
    /// we would make ourselves, and then in the order of methods.
    fn rank(&self, lun: Lun) -> u8 {
        match lun.address() {
            _ if lun == self.lun => 0,
            _ if Lun::new(self.number) == Some(lun) => 1,
            Some((LunMethod::Peripheral, _)) => 2,
            Some((LunMethod::Flat, _)) => 3,
            _ => 4,
        }
    }
}

/// The target's units, for a message.
#[derive(Default)]
struct Shown {
    luns: String,
    count: usize,
    /// The LUN with our number, in a form that is not used for such disks.
    refused: Option<Lun>,
}

impl Shown {
    fn put(&mut self, lun: Lun, number: u16) {
        if lun.number().is_none() && lun.address().is_some_and(|(_, n)| n == u64::from(number)) {
            self.refused.get_or_insert(lun);
        }
        self.count += 1;
        if self.count <= SHOWN {
            self.luns
                .push_str(if self.luns.is_empty() { "" } else { ", " });
            self.luns.push_str(&lun.to_string());
        }
    }

    fn line(&self) -> String {
        let luns = match self.luns.as_str() {
            "" => "none",
            luns => luns,
        };
        let more = if self.count > SHOWN { ", …" } else { "" };
        let refused = match self.refused.and_then(Lun::address) {
            Some((method, number)) => format!("; {number} as {} is not for use", method.name()),
            None => String::new(),
        };
        format!("does not exist; the target has {luns}{more}{refused}")
    }
}

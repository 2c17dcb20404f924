//! The questions of a survey as commands, and names in their answers.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_proto::scsi::{
    Command as Cdb, Designator, LunSelection, ModeForm, PageControl, Vpd, page,
};
use vcp_iscsi_proto::text::value::hex;

use crate::scsi::identity::MOST_OTHERS;
use crate::task::{Command, Data};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// REPORT LUNS with this much room: the answer grows with the number of units.
    Luns(u32),
    Inquiry,
    Ready,
    Capacity16,
    Capacity10,
    Pages,
    Page(u8),
    Mode(ModeForm, u8),
}

/// The room for an answer.
const ROOM: u32 = 512;

impl Question {
    pub(super) fn command(self) -> Command {
        let (cdb, length) = match self {
            Self::Luns(alloc_len) => {
                let select = LunSelection::Addressed;
                (Cdb::ReportLuns { select, alloc_len }, alloc_len)
            }
            Self::Inquiry => (inquiry(None), ROOM),
            Self::Ready => (Cdb::TestUnitReady, 0),
            Self::Pages => (inquiry(Some(page::SUPPORTED_PAGES)), ROOM),
            Self::Page(page) => (inquiry(Some(page)), ROOM),
            Self::Capacity16 => (Cdb::ReadCapacity16 { alloc_len: 32 }, 32),
            Self::Capacity10 => (Cdb::ReadCapacity10, 8),
            Self::Mode(form, page) => (mode_sense(form, page), 252),
        };
        Command {
            cdb: cdb.emit(),
            data: if length > 0 {
                Data::Scratch
            } else {
                Data::None
            },
            length,
            other_lun: matches!(self, Self::Luns(_)),
            ..Command::NONE
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

/// Whether a page of vital product data is complete, or fills all its room.
pub(super) fn is_whole(data: &[u8]) -> bool {
    let length = match data {
        [_, _, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => return false,
    };
    data.len() >= length.min(ROOM as usize)
}

/// The designators of the logical unit, the one that is most likely to be unique first:
/// NAA, EUI-64, a SCSI name, the vendor's own.
pub(super) fn designators(vpd: &Vpd<'_>) -> Vec<String> {
    let rank = |designator: &Designator<'_>| match designator.kind {
        3 => Some(0),
        2 => Some(1),
        8 => Some(2),
        1 => Some(3),
        _ => None,
    };
    let mut all: Vec<_> = vpd
        .designators()
        .filter(|d| d.association == 0 && !d.id.is_empty() && rank(d).is_some())
        .collect();
    all.sort_by_key(rank);
    all.iter().filter_map(shown).take(1 + MOST_OTHERS).collect()
}

fn shown(designator: &Designator<'_>) -> Option<String> {
    let digits = || hex(designator.id)[2..].to_string();
    match designator.kind {
        3 => Some(format!("naa.{}", digits())),
        2 => Some(format!("eui.{}", digits())),
        8 => printable(designator.id),
        _ => Some(match printable(designator.id) {
            Some(text) => format!("t10.{text}"),
            None => format!("t10.{}", digits()),
        }),
    }
}

/// The text without surrounding blanks; `None` if it is empty or not ASCII.
pub(super) fn printable(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(bytes)
        .ok()?
        .trim_matches(|c| c == ' ' || c == '\0');
    let shown = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    shown.then(|| text.to_string())
}

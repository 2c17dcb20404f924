//! The logical units of a target node, and the commands that are answered for missing
//! units (SPC-4 §6.6.1, §6.33).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cdb::{Cdb, be16, be32, opcode};
use super::sense::{Refusal, Sense};
use super::{Action, LogicalUnit, Nexus, reply};

/// Units by number.
#[derive(Debug, Default, Clone)]
pub struct Node {
    units: BTreeMap<u16, Arc<LogicalUnit>>,
}

impl Node {
    /// Adds a unit, replacing the one that had its number. Numbers are below 16384, the
    /// limit of flat addressing.
    ///
    /// # Panics
    /// If the number is greater.
    pub fn insert(&mut self, number: u16, unit: Arc<LogicalUnit>) {
        assert!(number < 0x4000, "flat addressing has 14 bits");
        self.units.insert(number, unit);
    }

    /// The units and their numbers.
    pub fn units(&self) -> impl Iterator<Item = (u16, &Arc<LogicalUnit>)> {
        self.units.iter().map(|(&number, unit)| (number, unit))
    }

    /// The unit that an 8-byte LUN field names: single-level, peripheral (one byte) or
    /// flat addressing (SAM-5 §4.7).
    #[must_use]
    pub fn unit(&self, lun: u64) -> Option<&Arc<LogicalUnit>> {
        let (first, rest) = ((lun >> 48) as u16, lun << 16);
        let number = match first >> 14 {
            0 if first >> 8 == 0 => first,
            1 => first & 0x3FFF,
            _ => return None,
        };
        if rest == 0 {
            self.units.get(&number)
        } else {
            None
        }
    }

    /// Begins a command for `lun`, whether or not there is such a unit.
    pub fn start(&self, nexus: Nexus, lun: u64, cdb: &Cdb) -> Result<Action, Refusal> {
        match (cdb[0], self.unit(lun)) {
            (opcode::REPORT_LUNS, _) => self.report_luns(cdb),
            (_, Some(unit)) => unit.start(nexus, cdb),
            (opcode::INQUIRY, None) => inquiry_of_none(cdb),
            (opcode::REQUEST_SENSE, None) => Ok(reply(
                Sense::NO_SUCH_UNIT.to_fixed().to_vec(),
                cdb[4].into(),
            )),
            (_, None) => Err(Sense::NO_SUCH_UNIT.into()),
        }
    }

    fn report_luns(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        let allocation = be32(cdb, 6);
        if allocation < 16 || cdb[2] > 2 {
            return Err(Sense::INVALID_FIELD_IN_CDB.into());
        }
        let mut bytes = vec![0; 8];
        // Select 1 asks for well known units only, of which there are none.
        for &number in self.units.keys().filter(|_| cdb[2] != 1) {
            let address = if number < 256 {
                number
            } else {
                0x4000 | number
            };
            bytes.extend_from_slice(&address.to_be_bytes());
            bytes.extend_from_slice(&[0; 6]);
        }
        let length = u32::try_from(bytes.len() - 8).expect("at most 16384 units");
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        Ok(reply(bytes, allocation))
    }
}

/// Answers for a missing unit: no device can be at this number, with qualifier 3 and type
/// 1Fh.
fn inquiry_of_none(cdb: &Cdb) -> Result<Action, Refusal> {
    if cdb[1] & 1 != 0 || cdb[2] != 0 {
        return Err(Sense::NO_SUCH_UNIT.into());
    }
    let mut bytes = vec![0; 36];
    bytes[..5].copy_from_slice(&[0x7F, 0, 0x06, 0x12, 31]);
    Ok(reply(bytes, be16(cdb, 3).into()))
}

//! The identity of a logical unit: what it reported, as opposed to what it lacks and to
//! what could not be found out. Only two reported values can differ.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Designators kept beside the best one.
pub(crate) const MOST_OTHERS: usize = 8;

/// The kind of a designator: NAA, EUI-64, the vendor's own, or a SCSI name.
fn kind(name: &str) -> &str {
    match name.split_once('.') {
        Some((kind @ ("naa" | "eui" | "t10"), _)) => kind,
        _ => "",
    }
}

/// A name in a page of vital product data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Name {
    /// It was asked for without a usable answer.
    #[default]
    Unknown,
    /// The unit has no such page, or no name in it.
    Absent,
    /// The name that the unit reports.
    Read(String),
}

impl Name {
    pub(crate) fn of(name: Option<String>) -> Self {
        name.map_or(Self::Absent, Self::Read)
    }

    pub(crate) fn read(&self) -> Option<&str> {
        match self {
            Self::Read(name) => Some(name),
            Self::Unknown | Self::Absent => None,
        }
    }

    /// Keeps the former name if there is none now.
    fn complete(&mut self, known: &Self) {
        if self.read().is_none() && known.read().is_some() {
            self.clone_from(known);
        }
    }
}

/// The identity that a logical unit reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The best designator of page 83h.
    pub(crate) designator: Name,
    /// The unit's other designators there, [`MOST_OTHERS`] at most, by which it is still
    /// known when a better one appears or vanishes.
    pub(crate) others: Vec<String>,
    /// The serial number of page 80h, which some targets have in common for all
    /// their units.
    pub(crate) serial: Name,
    /// Whether it told which pages it has.
    pub(crate) listed: bool,
}

/// Whether two identities are of the same unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    Same,
    Different,
    /// A known name is not available now.
    Unclear,
}

impl Identity {
    /// The name to show; empty if there is none.
    pub(crate) fn name(&self) -> &str {
        let designator = self.designator.read();
        designator.or(self.serial.read()).unwrap_or_default()
    }

    /// Whether asking again may reveal more that matters.
    pub(crate) fn is_unclear(&self) -> bool {
        match &self.designator {
            Name::Read(_) => false,
            Name::Unknown => true,
            Name::Absent => self.serial == Name::Unknown,
        }
    }

    /// Whether the identity reported now is of the same unit. Pages are compared only
    /// with the same page; a designator decides if there is one.
    pub(crate) fn compare(&self, now: &Self) -> Likeness {
        // A unit does not lose its pages, so it could not answer.
        let lost = self.listed && !now.listed;
        let same = |equal| match equal {
            true => Likeness::Same,
            false => Likeness::Different,
        };
        match (&self.designator, &now.designator) {
            (Name::Read(known), Name::Read(heard)) => {
                return same(now.is_called(known) || self.is_called(heard));
            }
            (Name::Read(_), Name::Unknown) => return Likeness::Unclear,
            (Name::Read(_), _) if lost => return Likeness::Unclear,
            _ => {}
        }
        match (&self.serial, &now.serial) {
            (Name::Read(known), Name::Read(now)) => same(known == now),
            (Name::Read(_), _) => Likeness::Unclear,
            _ if self.designator.read().is_some() => Likeness::Unclear,
            // There was nothing by which to recognise it.
            _ => Likeness::Same,
        }
    }

    /// Whether this designator is one of the unit's. Among those of one kind only the
    /// best counts, for a unit may share the others.
    fn is_called(&self, name: &str) -> bool {
        match self.designator.read() {
            Some(best) if kind(best) == kind(name) => best == name,
            _ => self.others.iter().any(|other| other == name),
        }
    }

    /// Whether the identity is of the unit known as `expected`. That may be its serial
    /// number, from before there was a designator, or the reverse.
    pub(crate) fn is_of(&self, expected: &str) -> Likeness {
        let (designator, serial) = (self.designator.read(), self.serial.read());
        if self.is_called(expected) || serial == Some(expected) {
            return Likeness::Same;
        }
        // A name that was not reported may be the expected one. A unit that gave no list
        // of its pages may have more of them.
        let unheard = self.designator == Name::Unknown || self.serial == Name::Unknown;
        let unlisted = designator.is_none() && !self.listed;
        if unheard || unlisted || self.name().is_empty() {
            return Likeness::Unclear;
        }
        Likeness::Different
    }

    /// Keeps names of the same unit that were reported before and not now.
    pub(crate) fn complete(&mut self, known: &Self) {
        for name in known
            .designator
            .read()
            .into_iter()
            .chain(known.others.iter().map(String::as_str))
        {
            let has = self.designator.read() == Some(name) || self.others.iter().any(|o| o == name);
            if self.designator.read().is_some() && !has && self.others.len() < MOST_OTHERS {
                self.others.push(name.into());
            }
        }
        if self.designator.read().is_none() {
            self.others.clone_from(&known.others);
        }
        self.designator.complete(&known.designator);
        self.serial.complete(&known.serial);
        self.listed |= known.listed;
    }

    /// Whether names are short and printable.
    pub(crate) fn is_sound(&self, longest: usize) -> bool {
        let names = [&self.designator, &self.serial];
        let names = names.into_iter().filter_map(|name| name.read());
        let others = self.others.iter().map(String::as_str);
        self.others.len() <= MOST_OTHERS
            && names
                .chain(others)
                .all(|name| name.len() <= longest && !name.chars().any(char::is_control))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        match text {
            "?" => Name::Unknown,
            "" => Name::Absent,
            _ => Name::Read(text.into()),
        }
    }

    fn identity((designator, serial): (&str, &str)) -> Identity {
        Identity {
            designator: name(designator),
            others: Vec::new(),
            serial: name(serial),
            listed: true,
        }
    }

    fn with(best: &str, others: &[&str]) -> Identity {
        Identity {
            others: others.iter().map(|&other| other.into()).collect(),
            ..identity((best, ""))
        }
    }

    /// A better designator may appear or vanish with new firmware; the unit is the same.
    #[test]
    fn unit_is_known_by_any_designator_it_keeps() {
        use Likeness::{Different, Same};
        for (known, now, likeness) in [
            (with("eui.1", &[]), with("naa.5", &["eui.1"]), Same),
            (with("naa.5", &["eui.1"]), with("eui.1", &[]), Same),
            (with("t10.x", &[]), with("naa.5", &["t10.x"]), Same),
            (with("eui.1", &[]), with("naa.5", &["eui.2"]), Different),
            (
                with("naa.5", &["t10.x"]),
                with("naa.6", &["t10.x"]),
                Different,
            ),
            (
                with("eui.1", &["t10.x"]),
                with("naa.6", &["t10.x"]),
                Different,
            ),
        ] {
            assert_eq!(known.compare(&now), likeness, "{known:?} and {now:?}");
        }
        assert_eq!(with("naa.5", &["eui.1"]).is_of("eui.1"), Same);
        assert_eq!(with("naa.5", &["naa.6"]).is_of("naa.6"), Different);
    }

    #[test]
    fn only_what_was_read_twice_can_differ() {
        use Likeness::{Different, Same, Unclear};
        for (known, now, likeness) in [
            (("naa.5", "s"), ("naa.5", "s"), Same),
            (("naa.5", "s"), ("naa.6", "s"), Different),
            // A serial number may be that of the whole storage system.
            (("naa.5", "s"), ("naa.5", "t"), Same),
            (("naa.5", "s"), ("?", "s"), Unclear),
            (("naa.5", "s"), ("?", "t"), Unclear),
            (("naa.5", "s"), ("", "s"), Same),
            (("naa.5", "s"), ("", "t"), Different),
            (("naa.5", "s"), ("", "?"), Unclear),
            (("naa.5", ""), ("", "t"), Unclear),
            (("", "s"), ("", "s"), Same),
            (("", "s"), ("", "t"), Different),
            (("", "s"), ("naa.5", "s"), Same),
            (("", "s"), ("naa.5", "?"), Unclear),
            (("", "s"), ("", ""), Unclear),
            (("", ""), ("naa.5", "s"), Same),
            (("?", "?"), ("naa.5", "s"), Same),
            (("?", "?"), ("?", "?"), Same),
        ] {
            let result = identity(known).compare(&identity(now));
            assert_eq!(result, likeness, "{known:?} and {now:?}");
        }
    }

    #[test]
    fn unit_is_known_by_either_name() {
        use Likeness::{Different, Same, Unclear};
        for (now, likeness) in [
            (("x", "s"), Same),
            (("x", "?"), Same),
            (("naa.5", "x"), Same),
            (("", "x"), Same),
            (("?", "x"), Same),
            (("naa.5", "s"), Different),
            (("naa.5", ""), Different),
            (("", "s"), Different),
            (("naa.5", "?"), Unclear),
            (("?", "s"), Unclear),
            (("?", "?"), Unclear),
            (("", ""), Unclear),
        ] {
            assert_eq!(identity(now).is_of("x"), likeness, "{now:?}");
        }
        let mut unlisted = identity(("", "s"));
        unlisted.listed = false;
        assert_eq!(unlisted.is_of("x"), Unclear);
    }

    #[test]
    fn unit_that_loses_its_list_of_pages_could_not_answer() {
        let known = identity(("naa.5", "s"));
        let mut now = identity(("", ""));
        now.listed = false;
        assert_eq!(known.compare(&now), Likeness::Unclear);
        now.serial = name("s");
        assert_eq!(known.compare(&now), Likeness::Unclear);
    }

    #[test]
    fn what_is_not_read_again_stays_known() {
        let mut now = identity(("", "s"));
        now.complete(&identity(("naa.5", "s")));
        assert_eq!(now.name(), "naa.5");
        now.complete(&identity(("?", "?")));
        assert_eq!(now.name(), "naa.5");
    }
}

//! What a target of any make is to offer: a name, units, and who
//! may log in. Those who run a target turn it into what theirs understands.

/// Bytes of every unit.
pub const UNIT: u64 = 32 << 20;

/// One target.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its iSCSI name, as the target is told it.
    pub name: String,
    /// Its logical units.
    pub units: Vec<Offered>,
    /// Name and secret of the initiator, which then has to authenticate.
    pub account: Option<(&'static str, &'static str)>,
}

/// A logical unit.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// Its number.
    pub number: u32,
    /// Whether it is not the unit that had the number at first.
    pub other: bool,
}

impl Offered {
    /// By which it is known, and its content found again. In hexadecimal digits, which
    /// are all that some targets take of it.
    #[must_use]
    pub fn serial(self) -> String {
        let first = if self.other { 'b' } else { 'a' };
        format!("{first}0000{:04}", self.number)
    }
}

impl Offer {
    /// Units with these numbers.
    #[must_use]
    pub fn new(name: &str, numbers: &[u32]) -> Self {
        let unit = |&number: &u32| Offered {
            number,
            other: false,
        };
        Self {
            name: name.to_owned(),
            units: numbers.iter().map(unit).collect(),
            account: None,
        }
    }

    /// The same, and the unit of this number is another one.
    #[must_use]
    pub fn replaced(mut self, number: u32) -> Self {
        for unit in &mut self.units {
            unit.other |= unit.number == number;
        }
        self
    }

    /// The same without the unit of this number.
    #[must_use]
    pub fn without(mut self, number: u32) -> Self {
        self.units.retain(|unit| unit.number != number);
        self
    }

    /// The same for somebody with a name and a secret.
    #[must_use]
    pub fn account(mut self, user: &'static str, secret: &'static str) -> Self {
        self.account = Some((user, secret));
        self
    }
}

//! The initiator's part of a session identifier: ISID (RFC 7143 §11.12.5).

use core::fmt;

/// Six bytes that, with the initiator's name, tell one session of an initiator from
/// another at the same target portal group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Isid(pub [u8; 6]);

/// The naming authority of an ISID: the two top bits of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsidType {
    /// 00b: 22 bits of an IEEE company identifier.
    Oui,
    /// 01b: an IANA enterprise number.
    EnterpriseNumber,
    /// 10b: 24 random bits.
    Random,
    /// 11b.
    Reserved,
}

impl Isid {
    /// Type `Random`: `random` uses its low 24 bits, `qualifier` tells sessions of
    /// the same initiator apart.
    #[must_use]
    pub const fn random(random: u32, qualifier: u16) -> Self {
        Self::assemble(0x80, random, qualifier)
    }

    /// Type `Oui`: the 22 low bits of `oui` and 24 bits of qualifier.
    #[must_use]
    pub const fn oui(oui: u32, qualifier: u32) -> Self {
        let (o, q) = (oui.to_be_bytes(), qualifier.to_be_bytes());
        Self([o[1] & 0x3f, o[2], o[3], q[1], q[2], q[3]])
    }

    const fn assemble(kind: u8, middle: u32, qualifier: u16) -> Self {
        let (m, q) = (middle.to_be_bytes(), qualifier.to_be_bytes());
        Self([kind, m[1], m[2], m[3], q[0], q[1]])
    }

    /// The type in the two top bits.
    #[must_use]
    pub const fn kind(self) -> IsidType {
        match self.0[0] >> 6 {
            0 => IsidType::Oui,
            1 => IsidType::EnterpriseNumber,
            2 => IsidType::Random,
            _ => IsidType::Reserved,
        }
    }
}

impl fmt::Display for Isid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        assert_eq!(
            Isid::random(0xff12_3456, 7),
            Isid([0x80, 0x12, 0x34, 0x56, 0, 7])
        );
        assert_eq!(Isid::random(0, 0).kind(), IsidType::Random);
        assert_eq!(
            Isid::oui(0xff_d037, 0x023d),
            Isid([0x3f, 0xd0, 0x37, 0, 2, 0x3d])
        );
        assert_eq!(Isid([0xc0; 6]).kind(), IsidType::Reserved);
        assert_eq!(alloc::format!("{}", Isid::oui(0x23d, 1)), "00023d000001");
    }
}

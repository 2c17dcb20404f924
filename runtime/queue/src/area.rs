//! Allocation in a VCP's data area. The books are the host's, so a guest can't
//! corrupt them.

/// Bytes in one unit of allocation.
const PAGE: u32 = 4096;

/// The data area of one instance: hands out page-aligned ranges of it.
///
/// First-fit over a bitmap, from the lowest page that may be free: what was given
/// back is soon used again, while it is in the CPU's cache, and of a large area only
/// what the load needs is ever touched.
#[derive(Debug)]
pub struct Area {
    base: u32,
    pages: usize,
    /// One bit a page, set when it is taken.
    taken: Vec<u64>,
    /// No page below this is free.
    cursor: usize,
}

/// A range of an [`Area`]: an address in the VCP's memory and a length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loan {
    /// First byte.
    pub address: u32,
    /// Bytes asked for.
    pub length: u32,
}

impl Area {
    /// The area at `address`, `length` bytes long; what is less than a page at
    /// its end stays unused.
    pub fn new(address: u32, length: u32) -> Self {
        let pages = (length / PAGE) as usize;
        Self {
            base: address,
            pages,
            taken: vec![0; pages.div_ceil(64)],
            cursor: 0,
        }
    }

    /// The longest range that can ever be had, in bytes.
    pub fn capacity(&self) -> u32 {
        self.pages as u32 * PAGE
    }

    /// Takes `length` bytes in one piece, or `None` when there is no room now.
    pub fn take(&mut self, length: u32) -> Option<Loan> {
        if length == 0 {
            return Some(Loan {
                address: self.base,
                length: 0,
            });
        }
        let want = length.div_ceil(PAGE) as usize;
        let first = self.search(self.cursor, self.pages, want)?;
        self.mark(first, want, true);
        // A hole before it that is too small for this may do for others.
        if first == self.cursor {
            self.cursor = first + want;
        }
        Some(Loan {
            address: self.base + first as u32 * PAGE,
            length,
        })
    }

    /// Gives a range back.
    pub fn give_back(&mut self, loan: Loan) {
        if loan.length == 0 {
            return;
        }
        let first = ((loan.address - self.base) / PAGE) as usize;
        self.mark(first, loan.length.div_ceil(PAGE) as usize, false);
        self.cursor = self.cursor.min(first);
    }

    fn search(&self, from: usize, to: usize, want: usize) -> Option<usize> {
        let mut run = 0;
        let mut page = from;
        while page < to {
            let word = self.taken[page / 64];
            if word == u64::MAX {
                run = 0;
                page = (page / 64 + 1) * 64;
                continue;
            }
            if word >> (page % 64) & 1 == 1 {
                run = 0;
            } else {
                run += 1;
                if run == want {
                    return Some(page + 1 - want);
                }
            }
            page += 1;
        }
        None
    }

    fn mark(&mut self, first: usize, count: usize, taken: bool) {
        for page in first..first + count {
            let bit = 1 << (page % 64);
            debug_assert_ne!(self.taken[page / 64] & bit != 0, taken, "page {page}");
            if taken {
                self.taken[page / 64] |= bit;
            } else {
                self.taken[page / 64] &= !bit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fills_up_and_empties() {
        let mut area = Area::new(8192, 10 * PAGE + 5);
        assert_eq!(area.capacity(), 10 * PAGE);
        assert_eq!(area.take(11 * PAGE), None);
        let whole = area.take(10 * PAGE).unwrap();
        assert_eq!(whole.address, 8192);
        assert_eq!(area.take(1), None);
        area.give_back(whole);
        assert!(area.take(1).is_some());
    }

    proptest! {
        /// Loans never overlap, and all that was given back can be had again.
        #[test]
        fn loans_are_disjoint(
            steps in prop::collection::vec((1u32..40_000, any::<prop::sample::Index>(), any::<bool>()), 1..200),
        ) {
            let mut area = Area::new(4096, 200 * PAGE);
            let mut loans: Vec<Loan> = Vec::new();
            for (length, pick, give) in steps {
                if give && !loans.is_empty() {
                    area.give_back(loans.swap_remove(pick.index(loans.len())));
                } else if let Some(loan) = area.take(length) {
                    prop_assert!(loan.address >= 4096);
                    prop_assert!(loan.address + loan.length <= 4096 + 200 * PAGE);
                    for other in &loans {
                        let apart = loan.address + loan.length <= other.address
                            || other.address + other.length <= loan.address;
                        prop_assert!(apart);
                    }
                    loans.push(loan);
                }
            }
            for loan in loans {
                area.give_back(loan);
            }
            prop_assert!(area.take(200 * PAGE).is_some());
        }
    }
}

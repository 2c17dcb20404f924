//! Growing delays between attempts.

/// Delays that double from a first to a longest one, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    first: u64,
    longest: u64,
    next: u64,
}

impl Backoff {
    pub(crate) const fn new(first: u64, longest: u64) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The delay before the next attempt.
    pub(crate) fn delay(&mut self) -> u64 {
        let delay = self.next;
        self.next = (delay * 2).min(self.longest);
        delay
    }

    /// Starts again from the first delay, after a success.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest() {
        let mut backoff = Backoff::new(100, 500);
        let delays: [u64; 5] = core::array::from_fn(|_| backoff.delay());
        assert_eq!(delays, [100, 200, 400, 500, 500]);
        backoff.reset();
        assert_eq!(backoff.delay(), 100);
    }
}

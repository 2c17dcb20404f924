//! Moderation: with many requests under way, a little more is let in before the next look.
//!
//! With many requests under way, frames and commands trickle in one after the other. A
//! thread that is woken for each of them wakes others for each: the CPU time goes into
//! waking. A device's interrupts are moderated for the same reason. A wait costs latency, so
//! it is a small part of what a request takes anyway, and where requests are quick or few
//! there is none.

/// The part of a request's time that it may be kept waiting, as a divisor.
const PART: u64 = 16;
/// The shortest sleep that brings more than it costs, in nanoseconds.
const LEAST: u64 = 15_000;
/// The longest time between two answers that counts for the mean, in nanoseconds.
const LONGEST: u64 = 1_000_000;
/// The part of the past that a new observation replaces, as a power of two.
const WEIGHT: u32 = 3;

/// Learns how quickly requests are answered, and says when to look next.
#[derive(Debug, Clone)]
pub(crate) struct Gather {
    /// The longest time between two looks, in nanoseconds.
    most: u64,
    /// When the channel last looked.
    looked: u64,
    /// When requests were last answered.
    answered: u64,
    /// Mean time between two answers.
    interval: u64,
}

impl Gather {
    /// Waits at most `most` nanoseconds between two looks; never if that is 0.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            looked: 0,
            answered: 0,
            interval: 0,
        }
    }

    /// Learns that so many requests were answered at this time.
    pub(crate) fn answered(&mut self, count: usize, at: u64) {
        let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
            return;
        };
        let since = at.saturating_sub(self.answered).min(LONGEST);
        self.answered = at;
        // A batch says as much as one answer: what matters is a rough figure.
        self.interval = self.interval - (self.interval >> WEIGHT) + ((since / count) >> WEIGHT);
    }

    /// How long to wait before the next look, with so many requests under way.
    pub(crate) fn left(&self, outstanding: usize, time: u64) -> u64 {
        if self.most == 0 || outstanding <= 1 {
            return 0;
        }
        // By Little's law the product is what a request takes.
        let takes = self.interval.saturating_mul(outstanding as u64);
        let between = (takes / PART).min(self.most);
        let left = (self.looked + between).saturating_sub(time);
        if left < LEAST { 0 } else { left }
    }

    /// Notes that the channel looks now.
    pub(crate) fn look(&mut self, time: u64) {
        self.looked = time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one request each `interval`, a thousand times.
    fn settled(most: u64, interval: u64) -> (Gather, u64) {
        let mut gather = Gather::new(most);
        let mut time = 0;
        for _ in 0..1000 {
            time += interval;
            gather.look(time);
            gather.answered(1, time);
        }
        (gather, time)
    }

    #[test]
    fn a_small_part_of_what_a_request_takes() {
        let (gather, time) = settled(1_000_000, 35_000);
        let wait = gather.left(32, time);
        let takes = 32 * 35_000;
        assert!((takes / 20..=takes / 16).contains(&wait), "{wait}");
        assert_eq!(gather.left(32, time + wait), 0);
    }

    #[test]
    fn never_longer_than_allowed_and_never_if_off() {
        let (gather, time) = settled(50_000, 500_000);
        assert_eq!(gather.left(128, time), 50_000);
        let (gather, time) = settled(0, 500_000);
        assert_eq!(gather.left(128, time), 0);
    }

    #[test]
    fn quick_devices_and_dialogues_are_not_kept_waiting() {
        let (gather, time) = settled(50_000, 5_000);
        assert_eq!(gather.left(32, time), 0);
        let (gather, time) = settled(50_000, 500_000);
        assert_eq!(gather.left(1, time), 0);
    }
}

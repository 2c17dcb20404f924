//! Which bytes of a command's data were moved.

/// Ranges of bytes, in order, none touching another.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans {
    ranges: Vec<(u32, u32)>,
}

impl Spans {
    /// Adds the bytes `from..to`.
    pub(super) fn add(&mut self, from: u32, to: u32) {
        if from >= to {
            return;
        }
        let first = self.ranges.partition_point(|&(_, end)| end < from);
        let behind = self.ranges.partition_point(|&(start, _)| start <= to);
        let (mut start, mut end) = (from, to);
        for &(a, b) in &self.ranges[first..behind] {
            start = start.min(a);
            end = end.max(b);
        }
        self.ranges.splice(first..behind, [(start, end)]);
    }

    /// Whether all of `0..length` is there.
    pub(super) fn covers(&self, length: u32) -> bool {
        length == 0
            || self
                .ranges
                .first()
                .is_some_and(|&(a, b)| a == 0 && b >= length)
    }

    /// How many bytes are there.
    pub(super) fn count(&self) -> u32 {
        self.ranges.iter().map(|(a, b)| b - a).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut spans = Spans::default();
        for (from, to) in [(8, 12), (0, 4), (4, 4), (20, 24)] {
            spans.add(from, to);
        }
        assert_eq!(spans.ranges, [(0, 4), (8, 12), (20, 24)]);
        assert!(spans.covers(4) && !spans.covers(5));
        spans.add(4, 8);
        assert_eq!(spans.ranges, [(0, 12), (20, 24)]);
        spans.add(10, 30);
        assert_eq!((spans.count(), spans.covers(30)), (30, true));
    }

    #[test]
    fn a_hole_is_no_cover() {
        let mut spans = Spans::default();
        spans.add(0, 511);
        spans.add(512, 8192);
        assert!(!spans.covers(8192));
        spans.add(511, 512);
        assert!(spans.covers(8192));
        assert!(Spans::default().covers(0) && !Spans::default().covers(1));
    }
}

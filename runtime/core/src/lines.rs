//! Splits what a guest writes to a stream into lines, each bounded in length, so that a line
//! without an end is not kept without bound.

use crate::logging::MAX_LENGTH;

/// The text since the last end of a line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    /// Bytes of that line that were left out.
    beyond: u64,
}

impl Lines {
    /// Takes more bytes, and adds the lines that end in them, at most `most`; returns how
    /// many more there were. Empty lines are not counted.
    pub(crate) fn take(&mut self, bytes: &[u8], most: usize, lines: &mut Vec<String>) -> u64 {
        let mut beyond = 0;
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let ended = piece.ends_with(b"\n");
            self.extend(piece.strip_suffix(b"\n").unwrap_or(piece));
            if !ended {
                continue;
            }
            if lines.len() < most {
                lines.extend(self.rest());
            } else {
                beyond += u64::from(!self.begun.is_empty());
                *self = Self::default();
            }
        }
        beyond
    }

    /// Takes the line that was begun.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let Self { begun, beyond } = std::mem::take(self);
        if begun.is_empty() {
            return None;
        }
        let line = String::from_utf8_lossy(&begun);
        let line = line.trim_end_matches('\r');
        Some(match beyond {
            0 => line.to_owned(),
            more => {
                // The text is cut so that there is room for this.
                let end = line.floor_char_boundary(MAX_LENGTH - 64);
                let more = more + (line.len() - end) as u64;
                format!("{} … ({more} more bytes)", &line[..end])
            }
        })
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_LENGTH - self.begun.len();
        let fits = bytes.len().min(room);
        self.begun.extend_from_slice(&bytes[..fits]);
        self.beyond += (bytes.len() - fits) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lines: &mut Lines, bytes: &[u8]) -> Vec<String> {
        let mut taken = Vec::new();
        assert_eq!(lines.take(bytes, 16, &mut taken), 0);
        taken
    }

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let mut lines = Lines::default();
        assert_eq!(take(&mut lines, b"one\ntw"), ["one"]);
        assert_eq!(take(&mut lines, b"o\r\n\n\nthree"), ["two"]);
        assert_eq!(lines.rest().as_deref(), Some("three"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn what_has_no_end_is_cut() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            assert!(take(&mut lines, &[b'x'; 4096]).is_empty());
        }
        assert!(lines.begun.capacity() <= 2 * MAX_LENGTH);
        let line = lines.rest().unwrap();
        assert!(line.len() <= MAX_LENGTH, "{}", line.len());
        let more = 4096 * 1000 - (MAX_LENGTH - 64);
        assert!(line.ends_with(&format!("… ({more} more bytes)")), "{line}");
    }

    #[test]
    fn no_more_lines_than_are_wanted() {
        let mut lines = Lines::default();
        let mut taken = Vec::new();
        assert_eq!(lines.take(b"a\nb\n\nc\nd\nrest", 2, &mut taken), 2);
        assert_eq!(taken, ["a", "b"]);
        assert_eq!(lines.rest().as_deref(), Some("rest"));
    }
}

//! Our own text that is longer than one PDU: cut into data segments, each but the last
//! with the C bit (RFC 7143 §6.2).

use alloc::vec::Vec;

use vcp_iscsi_proto::text::Writer;

/// Pairs that are collected, and then sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    writer: Writer,
    sent: usize,
}

impl Outgoing {
    /// The writer for pairs.
    pub(crate) fn pairs(&mut self) -> &mut Writer {
        debug_assert!(!self.is_cut());
        &mut self.writer
    }

    /// The next data segment of at most `limit` bytes, and whether more follows.
    pub(crate) fn segment(&mut self, limit: usize) -> (Vec<u8>, bool) {
        let text = self.writer.as_bytes();
        let end = text.len().min(self.sent + limit);
        let segment = text[self.sent..end].to_vec();
        if end == text.len() {
            *self = Self::default();
            (segment, false)
        } else {
            self.sent = end;
            (segment, true)
        }
    }

    /// Whether only a part of it has been sent.
    pub(crate) fn is_cut(&self) -> bool {
        self.sent > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }
}

/// The part of a foreign string for which a log line has room.
pub(crate) fn shown(value: &str) -> &str {
    let mut end = value.len().min(80);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_and_short_text_is_not() {
        let mut text = Outgoing::default();
        text.pairs().put("Key", "0123456789");
        assert_eq!(text.segment(6), (b"Key=01".to_vec(), true));
        assert!(text.is_cut());
        assert_eq!(text.segment(6), (b"234567".to_vec(), true));
        assert_eq!(text.segment(6), (b"89\0".to_vec(), false));
        assert!(text.is_empty() && !text.is_cut());
        text.pairs().put("A", "b");
        assert_eq!(text.segment(6), (b"A=b\0".to_vec(), false));
    }

    #[test]
    fn shown_keeps_characters_whole() {
        let long = "é".repeat(60);
        assert_eq!(shown(&long).len(), 80);
        assert_eq!(shown("short"), "short");
    }
}

//! Foreign text in our log: text of a client, a peer, a guest or a file is cut to length,
//! and can neither steer a terminal nor begin a line.

use std::fmt::{self, Write};

/// The most characters of a message's field, and of foreign text in a message.
pub(crate) const MOST: usize = 200;

/// Foreign text to be shown within a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = Cut::new(to, MOST);
        cut.write_str(self.0)?;
        cut.finish()
    }
}

/// Passes on a limited number of characters, escaped, and counts the rest.
pub(super) struct Cut<'a, W> {
    to: &'a mut W,
    left: usize,
    more: usize,
}

impl<'a, W: Write> Cut<'a, W> {
    /// Passes on at most `most` characters, as they are shown, to `to`.
    pub(super) fn new(to: &'a mut W, most: usize) -> Self {
        Self {
            to,
            left: most,
            more: 0,
        }
    }

    /// Writes how much was left out.
    pub(super) fn finish(self) -> fmt::Result {
        match self.more {
            0 => Ok(()),
            more => write!(self.to, " … ({more} more characters)"),
        }
    }
}

impl<W: Write> Write for Cut<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let length = if steers(c) {
                c.escape_default().len()
            } else {
                1
            };
            if self.more > 0 || length > self.left {
                self.more += 1;
                continue;
            }
            self.left -= length;
            match steers(c) {
                true => write!(self.to, "{}", c.escape_default())?,
                false => self.to.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether a character could mislead a terminal or its reader: control characters, and
/// those of Unicode that change the direction of text or are invisible.
/// those of Unicode that change the direction of text or are not seen.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_cut() {
        assert_eq!(Shown("disk é").to_string(), "disk é");
        assert_eq!(
            Shown("a\nb\u{1b}[2J\u{202e}").to_string(),
            "a\\nb\\u{1b}[2J\\u{202e}"
        );
        let long = Shown(&"é".repeat(500)).to_string();
        assert_eq!(long, "é".repeat(MOST) + " … (300 more characters)");
        // Escaped characters count as they are shown, and no escape is cut in two.
        let shown = Shown(&"\u{1b}".repeat(4096)).to_string();
        assert_eq!(shown, "\\u{1b}".repeat(33) + " … (4063 more characters)");
    }
}

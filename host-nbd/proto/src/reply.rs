//! Encoding of replies in the transmission phase ("Simple reply message",
//! "Structured reply chunk message"). Appends to the caller's buffer; the data of
//! a read is not copied, the caller sends it right after the header made here.

use serde::{Deserialize, Serialize};
use vcp_queue::{EXTENT, Extent, MOST_EXTENTS};

use crate::errno::Errno;
use crate::wire::{
    BASE_ALLOCATION_ID, MAX_STRING, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, chunk, state,
};

/// Which replies a session uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Style {
    /// Simple replies only.
    Simple,
    /// Structured replies for reads, block status and errors.
    Structured,
}

const CHUNK_HEADER: usize = 20;

/// A success without data, of any request but a read; short, so always simple.
pub fn done(out: &mut Vec<u8>, cookie: u64) {
    simple(out, cookie, 0);
}

/// The header of a successful read of `length` bytes from `offset`; exactly that
/// many bytes of data must follow. A read of nothing is complete with it.
///
/// `length` is at most [`MAX_PAYLOAD`](crate::wire::MAX_PAYLOAD), which
/// [`Session::check`](crate::Session::check) has seen to.
pub fn read(out: &mut Vec<u8>, style: Style, cookie: u64, offset: u64, length: u32) {
    match style {
        Style::Simple => simple(out, cookie, 0),
        Style::Structured if length == 0 => final_chunk(out, chunk::NONE, cookie, 0),
        Style::Structured => {
            final_chunk(out, chunk::OFFSET_DATA, cookie, length + 8);
            out.extend_from_slice(&offset.to_be_bytes());
        }
    }
}

/// A failure. `message` is for humans and only sent in structured replies.
pub fn error(out: &mut Vec<u8>, style: Style, cookie: u64, errno: Errno, message: &str) {
    match style {
        Style::Simple => simple(out, cookie, errno.number()),
        Style::Structured => {
            let message = &message.as_bytes()[..message.floor_char_boundary(MAX_STRING)];
            let length = u16::try_from(message.len()).expect("cut to 4096 bytes above");
            final_chunk(out, chunk::ERROR, cookie, 6 + u32::from(length));
            out.extend_from_slice(&errno.number().to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(message);
        }
    }
}

/// The status of `base:allocation`: one extent of `length` bytes (not 0), data.
pub fn allocated(out: &mut Vec<u8>, cookie: u64, length: u32) {
    final_chunk(out, chunk::BLOCK_STATUS, cookie, 12);
    out.extend_from_slice(&BASE_ALLOCATION_ID.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&0_u32.to_be_bytes());
}

/// The status of `base:allocation`, as the device told it: at least one extent. A client
/// that wants `one` is told no more.
///
/// `extents` are at most [`MOST_EXTENTS`].
pub fn extents(
    out: &mut Vec<u8>,
    cookie: u64,
    extents: impl Iterator<Item = Extent> + Clone,
    one: bool,
) {
    let extents = extents.take(if one { 1 } else { MOST_EXTENTS });
    let count = extents.clone().count() as u32;
    final_chunk(out, chunk::BLOCK_STATUS, cookie, 4 + 8 * count);
    out.extend_from_slice(&BASE_ALLOCATION_ID.to_be_bytes());
    for Extent { length, hole, zero } in extents {
        let hole = if hole { state::HOLE } else { 0 };
        let zero = if zero { state::ZERO } else { 0 };
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&(hole | zero).to_be_bytes());
    }
}

/// The longest reply with extents, in bytes.
pub const MAX_EXTENTS: usize = CHUNK_HEADER + 4 + EXTENT * MOST_EXTENTS;

fn simple(out: &mut Vec<u8>, cookie: u64, error: u32) {
    out.extend_from_slice(&SIMPLE_REPLY_MAGIC.to_be_bytes());
    out.extend_from_slice(&error.to_be_bytes());
    out.extend_from_slice(&cookie.to_be_bytes());
}

fn final_chunk(out: &mut Vec<u8>, kind: u16, cookie: u64, length: u32) {
    out.extend_from_slice(&STRUCTURED_REPLY_MAGIC.to_be_bytes());
    out.extend_from_slice(&chunk::FLAG_DONE.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&cookie.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: u64 = 0x1122_3344_5566_7788;

    fn encode(f: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = vec![];
        f(&mut out);
        out
    }

    fn cookie() -> [u8; 8] {
        COOKIE.to_be_bytes()
    }

    #[test]
    fn simple_replies() {
        let head = [0x67, 0x44, 0x66, 0x98];
        let want = |error: u8| [&head[..], &[0, 0, 0, error], &cookie()].concat();
        assert_eq!(encode(|o| done(o, COOKIE)), want(0));
        assert_eq!(
            encode(|o| read(o, Style::Simple, COOKIE, 4096, 512)),
            want(0)
        );
        assert_eq!(
            encode(|o| error(o, Style::Simple, COOKIE, Errno::NoSpace, "x")),
            want(28)
        );
    }

    #[test]
    fn structured_replies() {
        let head = |kind: [u8; 2], length: u8| {
            [
                &[0x66, 0x8e, 0x33, 0xef, 0, 1][..],
                &kind,
                &cookie(),
                &[0, 0, 0, length],
            ]
            .concat()
        };
        let s = Style::Structured;
        assert_eq!(
            encode(|o| read(o, s, COOKIE, 0x0102, 4)),
            [&head([0, 1], 12)[..], &[0, 0, 0, 0, 0, 0, 1, 2]].concat(),
        );
        assert_eq!(encode(|o| read(o, s, COOKIE, 7, 0)), head([0, 0], 0));
        assert_eq!(
            encode(|o| error(o, s, COOKIE, Errno::Overflow, "no")),
            [&head([0x80, 1], 8)[..], &[0, 0, 0, 75, 0, 2, b'n', b'o']].concat(),
        );
        assert_eq!(
            encode(|o| allocated(o, COOKIE, 0x0304)),
            [&head([0, 5], 12)[..], &[0, 0, 0, 1, 0, 0, 3, 4, 0, 0, 0, 0]].concat(),
        );
    }

    #[test]
    fn extents_are_told_by_their_flags() {
        let extent = |length, hole, zero| Extent { length, hole, zero };
        let all = [
            extent(0x0102, false, false),
            extent(3, true, true),
            extent(4, false, true),
            extent(5, true, false),
        ];
        let told = encode(|o| extents(o, COOKIE, all.into_iter(), false));
        let head = [0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 5];
        let body = [
            [0, 0, 0, 1, 0, 0, 1, 2, 0, 0, 0, 0],
            [0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 4],
            [0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 1],
        ];
        let want = [&head[..], &cookie(), &[0, 0, 0, 36], body.as_flattened()].concat();
        assert_eq!(told, want);
        let one = encode(|o| extents(o, COOKIE, all.into_iter(), true));
        assert_eq!(one.len(), CHUNK_HEADER + 12);
        let most = std::iter::repeat_n(all[0], MOST_EXTENTS + 1);
        let most = encode(|o| extents(o, COOKIE, most, false));
        assert_eq!(most.len(), MAX_EXTENTS);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let message = "é".repeat(MAX_STRING);
        let bytes = encode(|o| error(o, Style::Structured, COOKIE, Errno::Io, &message));
        assert_eq!(bytes.len(), CHUNK_HEADER + 6 + MAX_STRING);
        let odd = format!("a{message}");
        let bytes = encode(|o| error(o, Style::Structured, COOKIE, Errno::Io, &odd));
        assert_eq!(bytes.len(), CHUNK_HEADER + 6 + MAX_STRING - 1);
    }
}

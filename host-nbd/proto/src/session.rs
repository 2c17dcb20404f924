//! The agreement of client and server, and the rules that follow from it for each request
//! of the transmission phase ("Request types", "Size constraints").

use serde::{Deserialize, Serialize};
use vcp_queue::{Modifiers, Operation};

use crate::errno::Errno;
use crate::export::ExportInfo;
use crate::reply::Style;
use crate::request::Request;
use crate::wire::{MAX_PAYLOAD, cmd, cmd_flag};

/// A connection's agreement, made by [`Negotiation`](crate::Negotiation). It can be
/// serialized for another process that takes the connection over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Terms")]
pub struct Session {
    name: String,
    /// The device's identity; clients are not told it.
    identity: String,
    size: u64,
    read_only: bool,
    trim: bool,
    style: Style,
    allocation: bool,
    /// The device reports what is allocated.
    extents: bool,
}

/// A session as it was serialized, not checked yet.
#[derive(Deserialize)]
struct Terms {
    name: String,
    identity: String,
    size: u64,
    read_only: bool,
    trim: bool,
    style: Style,
    allocation: bool,
    extents: bool,
}

impl TryFrom<Terms> for Session {
    type Error = &'static str;

    fn try_from(terms: Terms) -> Result<Self, Self::Error> {
        let Terms {
            name,
            identity,
            size,
            read_only,
            trim,
            style,
            allocation,
            extents,
        } = terms;
        if size > i64::MAX as u64 {
            return Err("no terms that a client could have been told");
        }
        Ok(Self {
            name,
            identity,
            size,
            read_only,
            trim,
            style,
            allocation,
            extents,
        })
    }
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Put it on the queue, with the request's offset and length.
    Queue(Operation, Modifiers),
    /// There is nothing to do: a read, write, discard or zeroing of no bytes.
    /// Answer success at once.
    Nothing,
    /// Answer at once with the status of one extent of this many bytes.
    Allocated(u32),
    /// Answer at once with an error. A payload must be read and dropped.
    Refuse(Refusal),
    /// The client says good-bye. There is no reply; outstanding requests must still be
    /// answered.
    Disconnect,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The error number.
    pub errno: Errno,
    /// For humans.
    pub message: &'static str,
}

impl Refusal {
    const fn new(errno: Errno, message: &'static str) -> Self {
        Self { errno, message }
    }
}

impl Session {
    /// The terms for `export`. `allocation` says that the client selected
    /// `base:allocation`, which it can only with structured replies.
    pub(crate) fn new(export: &ExportInfo, style: Style, allocation: bool) -> Self {
        Self {
            name: export.name.clone(),
            identity: export.identity.clone(),
            size: export.size,
            read_only: export.read_only,
            trim: export.trim,
            style,
            allocation,
            extents: export.extents,
        }
    }

    /// The terms for the kernel's own client, which is told them without negotiation and
    /// takes simple replies only.
    #[must_use]
    pub fn unnegotiated(export: &ExportInfo) -> Self {
        Self::new(export, Style::Simple, false)
    }

    /// The export's canonical name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The identity of the device behind the export: this client must not be given
    /// another disk in its place.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The export's size as told to this client, in bytes. It is fixed for the
    /// connection: the protocol has no way to tell of a change.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the client was told not to write.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Which replies to send.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// Decides on a request. An operation returned with [`Verdict::Queue`] lies inside
    /// the export, moves at most [`MAX_PAYLOAD`] bytes, has a length (unless it is a
    /// flush), and changes nothing on a read-only export.
    #[must_use]
    pub fn check(&self, request: &Request) -> Verdict {
        self.judge(request).unwrap_or_else(Verdict::Refuse)
    }

    fn judge(&self, request: &Request) -> Result<Verdict, Refusal> {
        let invalid = |message| Err(Refusal::new(Errno::Invalid, message));
        let operation = match request.kind {
            cmd::READ => Some(Operation::Read),
            cmd::WRITE => Some(Operation::Write),
            cmd::FLUSH => Some(Operation::Flush),
            cmd::TRIM => Some(Operation::Discard),
            cmd::WRITE_ZEROES => Some(Operation::WriteZeroes),
            cmd::BLOCK_STATUS if self.allocation => None,
            cmd::BLOCK_STATUS => return invalid("no metadata context was selected"),
            cmd::DISC => return Ok(Verdict::Disconnect),
            _ => return invalid("unknown command"),
        };
        if request.flags & !self.flags_of(request.kind) != 0 {
            return invalid("flag not offered for this command");
        }
        if operation == Some(Operation::Flush) {
            if request.offset != 0 || request.length != 0 {
                return invalid("a flush has no offset and no length");
            }
            return Ok(Verdict::Queue(Operation::Flush, Modifiers::default()));
        }
        self.check_access(operation)?;
        self.check_range(operation, request)?;
        match operation {
            Some(_) if request.length == 0 => Ok(Verdict::Nothing),
            Some(operation) => Ok(Verdict::Queue(
                operation,
                modifiers(operation, request.flags),
            )),
            None if request.length == 0 => invalid("status of no bytes"),
            None if self.extents => Ok(Verdict::Queue(Operation::Extents, Modifiers::default())),
            None => Ok(Verdict::Allocated(self.extent(request))),
        }
    }

    /// The flags documented for a command and offered to this client. FUA is
    /// valid for all commands ("Command flags").
    fn flags_of(&self, kind: u16) -> u16 {
        cmd_flag::FUA
            | match (kind, self.style) {
                (cmd::READ, Style::Structured) => cmd_flag::DF,
                (cmd::WRITE_ZEROES, _) => cmd_flag::NO_HOLE,
                (cmd::BLOCK_STATUS, _) => cmd_flag::REQ_ONE,
                _ => 0,
            }
    }

    fn check_access(&self, operation: Option<Operation>) -> Result<(), Refusal> {
        let changes = !matches!(operation, None | Some(Operation::Read));
        if changes && self.read_only {
            return Err(Refusal::new(Errno::Perm, "the export is read-only"));
        }
        if operation == Some(Operation::Discard) && !self.trim {
            return Err(Refusal::new(
                Errno::Invalid,
                "the export does not offer trim",
            ));
        }
        Ok(())
    }

    fn check_range(&self, operation: Option<Operation>, request: &Request) -> Result<(), Refusal> {
        let Request { offset, length, .. } = *request;
        if length > MAX_PAYLOAD {
            match (operation, self.style) {
                // Where the reply could have come in parts, the document has an error of
                // its own; elsewhere the client broke the limit that it was told.
                (Some(Operation::Read), Style::Structured) => {
                    return Err(Refusal::new(Errno::Overflow, "read of more than 32 MiB"));
                }
                (Some(Operation::Read | Operation::Write), _) => {
                    return Err(Refusal::new(Errno::Invalid, "payload of more than 32 MiB"));
                }
                _ => {}
            }
        }
        if offset
            .checked_add(u64::from(length))
            .is_none_or(|end| end > self.size)
        {
            let status = operation.map(Operation::beyond_the_end);
            let errno = status.and_then(Errno::from_status);
            let errno = errno.unwrap_or(Errno::Invalid);
            return Err(Refusal::new(errno, "beyond the end of the export"));
        }
        Ok(())
    }

    /// How much of the export has one status, from the request's offset: all of
    /// it, but no more than a client wants or 32 bits can say.
    fn extent(&self, request: &Request) -> u32 {
        if request.flags & cmd_flag::REQ_ONE != 0 {
            return request.length;
        }
        /// The largest length that is a multiple of every block size.
        const LARGEST: u32 = !0xffff;
        let rest = self.size - request.offset;
        u32::try_from(rest)
            .map_or(LARGEST, |rest| rest.min(LARGEST))
            .max(request.length)
    }
}

fn modifiers(operation: Operation, flags: u16) -> Modifiers {
    Modifiers {
        fua: flags & cmd_flag::FUA != 0 && operation != Operation::Read,
        no_unmap: flags & cmd_flag::NO_HOLE != 0,
    }
}

#[cfg(test)]
mod tests {
    use vcp_queue::Geometry;

    use super::*;
    use crate::export::tests::geometry;

    const SIZE: u64 = 1 << 30;
    const PLAIN: Modifiers = Modifiers {
        fua: false,
        no_unmap: false,
    };

    fn session(style: Style, read_only: bool) -> Session {
        let export = ExportInfo::new("a", "", &geometry(), read_only).unwrap();
        Session::new(&export, style, style == Style::Structured)
    }

    fn ask(session: &Session, kind: u16, flags: u16, offset: u64, length: u32) -> Verdict {
        session.check(&Request {
            flags,
            kind,
            cookie: 1,
            offset,
            length,
        })
    }

    fn refused(verdict: Verdict) -> Option<Errno> {
        match verdict {
            Verdict::Refuse(refusal) => Some(refusal.errno),
            _ => None,
        }
    }

    #[test]
    fn commands_become_operations() {
        let s = session(Style::Structured, false);
        for (kind, flags, operation, fua, no_unmap) in [
            (cmd::READ, 0, Operation::Read, false, false),
            (
                cmd::READ,
                cmd_flag::FUA | cmd_flag::DF,
                Operation::Read,
                false,
                false,
            ),
            (cmd::WRITE, 0, Operation::Write, false, false),
            (cmd::WRITE, cmd_flag::FUA, Operation::Write, true, false),
            (cmd::TRIM, cmd_flag::FUA, Operation::Discard, true, false),
            (cmd::WRITE_ZEROES, 0, Operation::WriteZeroes, false, false),
            (cmd::WRITE_ZEROES, 3, Operation::WriteZeroes, true, true),
        ] {
            let want = Verdict::Queue(operation, Modifiers { fua, no_unmap });
            assert_eq!(ask(&s, kind, flags, 512, 1024), want, "{kind} {flags}");
        }
        let flush = Verdict::Queue(Operation::Flush, PLAIN);
        assert_eq!(ask(&s, cmd::FLUSH, 0, 0, 0), flush);
        assert_eq!(ask(&s, cmd::FLUSH, cmd_flag::FUA, 0, 0), flush);
        assert_eq!(ask(&s, cmd::DISC, 0, 0, 0), Verdict::Disconnect);
    }

    #[test]
    fn flags_that_were_not_offered_are_invalid() {
        let structured = session(Style::Structured, false);
        let simple = session(Style::Simple, false);
        for kind in 0..=9 {
            for bit in 1..16 {
                let offered = matches!((kind, bit), (0, 2) | (6, 1) | (7, 3)) || kind == cmd::DISC;
                let errno = refused(ask(&structured, kind, 1 << bit, 0, 512));
                assert_eq!(
                    errno == Some(Errno::Invalid),
                    !offered || kind == 3,
                    "{kind} {bit}"
                );
            }
        }
        assert_eq!(
            refused(ask(&simple, cmd::READ, cmd_flag::DF, 0, 512)),
            Some(Errno::Invalid)
        );
        assert_eq!(
            refused(ask(&simple, cmd::BLOCK_STATUS, 0, 0, 512)),
            Some(Errno::Invalid)
        );
    }

    #[test]
    fn errors_are_those_of_the_document() {
        let s = session(Style::Structured, false);
        let simple = session(Style::Simple, false);
        let ro = session(Style::Structured, true);
        for (session, kind, offset, length, errno) in [
            (&s, cmd::READ, SIZE, 512, Errno::Invalid),
            (&s, cmd::READ, u64::MAX - 511, 512, Errno::Invalid),
            (&s, cmd::READ, SIZE - 1, 2, Errno::Invalid),
            (&s, cmd::READ, 0, MAX_PAYLOAD + 512, Errno::Overflow),
            (&simple, cmd::READ, 0, MAX_PAYLOAD + 1, Errno::Invalid),
            (&s, cmd::WRITE, SIZE - 512, 1024, Errno::NoSpace),
            (&s, cmd::WRITE, 0, MAX_PAYLOAD + 512, Errno::Invalid),
            (&s, cmd::WRITE, SIZE - 1, 2, Errno::NoSpace),
            (&s, cmd::WRITE_ZEROES, SIZE - 512, 1024, Errno::NoSpace),
            (&s, cmd::TRIM, SIZE - 512, 1024, Errno::Invalid),
            (&s, cmd::BLOCK_STATUS, SIZE - 512, 1024, Errno::Invalid),
            (&s, cmd::BLOCK_STATUS, 0, 0, Errno::Invalid),
            (&s, cmd::FLUSH, 512, 0, Errno::Invalid),
            (&s, cmd::FLUSH, 0, 512, Errno::Invalid),
            (&s, 5, 0, 512, Errno::Invalid),
            (&s, 0xffff, 0, 512, Errno::Invalid),
            (&ro, cmd::WRITE, 0, 512, Errno::Perm),
            (&ro, cmd::WRITE_ZEROES, 0, 512, Errno::Perm),
            (&ro, cmd::TRIM, 0, 512, Errno::Perm),
        ] {
            assert_eq!(
                refused(ask(session, kind, 0, offset, length)),
                Some(errno),
                "{kind} {offset} {length}"
            );
        }
        let bare = Geometry {
            max_discard: 0,
            ..geometry()
        };
        let export = ExportInfo::new("a", "", &bare, false).unwrap();
        let bare = Session::new(&export, Style::Simple, false);
        assert_eq!(
            refused(ask(&bare, cmd::TRIM, 0, 0, 512)),
            Some(Errno::Invalid)
        );
    }

    #[test]
    fn the_edges_are_inside() {
        let s = session(Style::Simple, false);
        for (kind, offset, length) in [
            (cmd::READ, 0, MAX_PAYLOAD),
            (cmd::READ, SIZE - 1, 1),
            (cmd::WRITE, 3, 5),
            (cmd::TRIM, 0, 1 << 30),
            (cmd::WRITE_ZEROES, 0, 1 << 30),
        ] {
            assert!(
                matches!(ask(&s, kind, 0, offset, length), Verdict::Queue(..)),
                "{kind}"
            );
        }
        for kind in [cmd::READ, cmd::WRITE, cmd::TRIM, cmd::WRITE_ZEROES] {
            assert_eq!(ask(&s, kind, 0, SIZE, 0), Verdict::Nothing);
            assert!(refused(ask(&s, kind, 0, SIZE + 1, 0)).is_some());
        }
    }

    #[test]
    fn a_device_that_can_tell_is_asked_what_is_allocated() {
        let s = session(Style::Structured, false);
        for flags in [0, cmd_flag::REQ_ONE] {
            let asked = Verdict::Queue(Operation::Extents, PLAIN);
            assert_eq!(ask(&s, cmd::BLOCK_STATUS, flags, 7, 1024), asked);
        }
    }

    #[test]
    fn otherwise_allocation_is_one_extent() {
        let silent = |size| {
            let silent = Geometry {
                extents: false,
                size,
                ..geometry()
            };
            let export = ExportInfo::new("a", "", &silent, false).unwrap();
            Session::new(&export, Style::Structured, true)
        };
        let s = silent(SIZE);
        let one = cmd_flag::REQ_ONE;
        assert_eq!(
            ask(&s, cmd::BLOCK_STATUS, one, 512, 1024),
            Verdict::Allocated(1024)
        );
        assert_eq!(
            ask(&s, cmd::BLOCK_STATUS, 0, 512, 1024),
            Verdict::Allocated((1 << 30) - 512)
        );
        let large = silent(3 << 40);
        assert_eq!(
            ask(&large, cmd::BLOCK_STATUS, 0, 0, 512),
            Verdict::Allocated(0xffff_0000)
        );
    }
}

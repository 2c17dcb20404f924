//! The server side of NBD (`vcp-nbd-proto`): negotiation and transmission, with the
//! client's bytes in any pieces.
//!
//! Promised: nothing panics; the same bytes end the same way however they are cut;
//! negotiation takes note of every byte and ends; output and input kept are bounded;
//! what is put on the queue lies inside the export, is no longer than a payload may be,
//! and changes nothing on a read-only export; replies are well-formed.
//!
//! Input: a byte of options for the export, a seed for cutting, then what a client
//! sends.

use vcp_nbd_proto::negotiation::{MAX_OPTION, MAX_OPTIONS};
use vcp_nbd_proto::wire::{self, MAX_PAYLOAD, rep};
use vcp_nbd_proto::{
    Errno, ExportInfo, ListEntry, Negotiation, Request, Session, Step, Style, Unavailable, Verdict,
    reply,
};
use vcp_queue::{Extent, Geometry, Operation};

use crate::script::{Script, pieces};

const SIZE: u64 = 1 << 20;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let options = script.byte();
    let seed = script.word();
    let client = script.rest();
    let export = export(options);
    let whole = negotiate(client, std::iter::once(client), &export);
    let cut = negotiate(client, pieces(client, seed), &export);
    assert_eq!(whole, cut, "pieces make a difference");
    if let Outcome::Transmission { session, rest, .. } = cut {
        transmit(&session, &rest, &export, options & 1 != 0);
    }
}

fn export(options: u8) -> ExportInfo {
    let geometry = Geometry {
        size: SIZE,
        block_size: if options & 2 != 0 { 4096 } else { 512 },
        preferred_block_size: 4096,
        max_transfer: 1 << 18,
        max_discard: if options & 4 != 0 { 0 } else { 1 << 18 },
        max_write_zeroes: 1 << 18,
        extents: options & 2 != 0,
        read_only: false,
        write_cache: true,
        identity: String::new(),
    };
    ExportInfo::new("disk", "a disk", &geometry, options & 1 != 0).expect("a sound export")
}

/// How a negotiation ended, and all that was said.
#[derive(Debug, PartialEq)]
enum Outcome {
    Waiting {
        said: Vec<u8>,
    },
    Transmission {
        said: Vec<u8>,
        session: Session,
        rest: Vec<u8>,
    },
    Aborted {
        said: Vec<u8>,
    },
    Violation {
        why: String,
    },
}

fn negotiate<'a>(
    client: &[u8],
    pieces: impl Iterator<Item = &'a [u8]>,
    export: &ExportInfo,
) -> Outcome {
    let mut negotiation = Negotiation::new();
    let mut said = negotiation.take_output();
    let mut given = 0;
    let mut pieces = pieces.filter(|piece| !piece.is_empty());
    // Every step takes note of an option, asks one question about it, or wants bytes.
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(
            steps <= 4 * client.len() + 4 * MAX_OPTIONS as usize + 16,
            "no end of steps"
        );
        let step = match negotiation.step() {
            Ok(step) => step,
            Err(violation) => {
                return Outcome::Violation {
                    why: violation.to_string(),
                };
            }
        };
        said.extend(negotiation.take_output());
        assert!(said.len() <= (MAX_OPTIONS as usize + 1) * (MAX_OPTION + 1024));
        match step {
            Step::Receive => match pieces.next() {
                Some(piece) => {
                    given += piece.len();
                    negotiation.receive(piece);
                }
                None => {
                    assert!(negotiation.wants() > 0 || given == client.len());
                    return Outcome::Waiting {
                        said: checked(said),
                    };
                }
            },
            Step::Replied => {}
            Step::List => {
                let entry = ListEntry {
                    name: "disk".into(),
                    description: "a disk".into(),
                };
                negotiation.list([entry]);
            }
            Step::Export(name) => {
                assert!(name.len() <= wire::MAX_STRING && !name.contains('\0'));
                negotiation.export(match &*name {
                    "" | "disk" => Ok(export),
                    "late" => Err(Unavailable::NotReady("not yet".into())),
                    _ => Err(Unavailable::Unknown),
                });
            }
            Step::Aborted => {
                return Outcome::Aborted {
                    said: checked(said),
                };
            }
            Step::Transmission(session) => {
                assert_eq!((session.name(), session.size()), ("disk", SIZE));
                let mut rest = negotiation.into_rest();
                assert!(rest.len() <= given);
                rest.extend(pieces.flatten());
                // What was said ends with something else than an option reply after
                // EXPORT_NAME, so it isn't looked into.
                return Outcome::Transmission {
                    said,
                    session,
                    rest,
                };
            }
        }
    }
}

/// All that was said is a greeting and whole option replies.
fn checked(said: Vec<u8>) -> Vec<u8> {
    let (greeting, mut rest) = said.split_at_checked(18).expect("a greeting");
    assert_eq!(greeting[..8], wire::MAGIC.to_be_bytes());
    while let Some((header, body)) = rest.split_first_chunk::<20>() {
        assert_eq!(header[..8], wire::OPTION_REPLY_MAGIC.to_be_bytes());
        let kind = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
        let len = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
        assert!(kind == rep::ACK || len > 0 || kind & 1 << 31 != 0);
        rest = body.get(len as usize..).expect("a reply's data is there");
    }
    assert!(rest.is_empty());
    said
}

fn transmit(session: &Session, mut bytes: &[u8], export: &ExportInfo, read_only: bool) {
    while let Some((header, behind)) = bytes.split_first_chunk::<{ Request::SIZE }>() {
        let Ok(request) = Request::parse(header) else {
            return;
        };
        let verdict = session.check(&request);
        if let Verdict::Queue(operation, _) = verdict {
            let end = request.offset.checked_add(request.length.into());
            assert!(end.is_some_and(|end| end <= export.size()));
            let moves = matches!(operation, Operation::Read | Operation::Write);
            assert!(!moves || request.length <= MAX_PAYLOAD);
            assert_eq!(request.length == 0, operation == Operation::Flush);
            let changes = operation.changes();
            assert!(
                !(read_only && changes),
                "{operation:?} on a read-only export"
            );
        }
        if let Verdict::Allocated(length) = verdict {
            assert!(session.style() == Style::Structured && length >= request.length.min(1));
        }
        answer(session.style(), &request, verdict);
        if verdict == Verdict::Disconnect {
            return;
        }
        let payload = (request.payload() as usize).min(behind.len());
        bytes = &behind[payload..];
    }
}

/// The reply to a request says whose it is and fits into what is promised.
fn answer(style: Style, request: &Request, verdict: Verdict) {
    let mut out = Vec::new();
    match verdict {
        Verdict::Queue(Operation::Read, _) => {
            reply::read(
                &mut out,
                style,
                request.cookie,
                request.offset,
                request.length,
            );
        }
        Verdict::Queue(Operation::Extents, _) => {
            let all = Extent {
                length: request.length,
                hole: true,
                zero: true,
            };
            let one = request.flags & wire::cmd_flag::REQ_ONE != 0;
            reply::extents(&mut out, request.cookie, [all].into_iter(), one);
        }
        Verdict::Queue(..) | Verdict::Nothing => reply::done(&mut out, request.cookie),
        Verdict::Allocated(length) => reply::allocated(&mut out, request.cookie, length),
        Verdict::Refuse(refusal) => {
            assert_ne!(refusal.errno.number(), 0);
            reply::error(
                &mut out,
                style,
                request.cookie,
                refusal.errno,
                refusal.message,
            );
        }
        Verdict::Disconnect => return,
    }
    // Both styles have the cookie there.
    assert_eq!(out[8..16], request.cookie.to_be_bytes());
    // An error could follow the header of a read that failed under way.
    reply::error(&mut out, style, request.cookie, Errno::Io, "failed");
}

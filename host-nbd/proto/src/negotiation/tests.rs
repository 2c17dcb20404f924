//! Dialogues with the negotiation, whole and in pieces.

mod metadata;

use proptest::prelude::*;

use super::*;
use crate::export::tests::geometry;
use crate::request::Request;
use crate::session::Verdict;
use crate::wire::{MAX_PAYLOAD, OPTION_REPLY_MAGIC, cmd, info};

/// The end of a scripted run.
#[derive(Debug, PartialEq)]
enum End {
    Open,
    Session(Session),
    Aborted,
    Violation(Violation),
}

fn disk() -> ExportInfo {
    ExportInfo::new("disk", "a disk", &geometry(), false).unwrap()
}

/// Feeds `pieces` with the exports "disk" (also the default) and "busy".
fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, End, Vec<u8>) {
    let mut negotiation = Negotiation::new();
    let mut output = vec![];
    let mut end = End::Open;
    let mut after = vec![];
    for piece in pieces {
        if end != End::Open {
            after.extend_from_slice(piece);
            continue;
        }
        negotiation.receive(piece);
        while end == End::Open {
            match negotiation.step() {
                Ok(Step::Receive) => break,
                Ok(Step::Replied) => {}
                Ok(Step::List) => negotiation.list([ListEntry {
                    name: "disk".into(),
                    description: "a disk".into(),
                }]),
                Ok(Step::Export(name)) => match &*name {
                    "" | "disk" => negotiation.export(Ok(&disk())),
                    "full" => negotiation.export(Err(Unavailable::Refused("too many".into()))),
                    "busy" => negotiation.export(Err(Unavailable::NotReady("logging in".into()))),
                    _ => negotiation.export(Err(Unavailable::Unknown)),
                },
                Ok(Step::Transmission(session)) => end = End::Session(session),
                Ok(Step::Aborted) => end = End::Aborted,
                Err(violation) => end = End::Violation(violation),
            }
            output.append(&mut negotiation.take_output());
        }
        assert!(negotiation.input.len() <= OPTION_HEADER + MAX_OPTION + piece.len());
    }
    output.append(&mut negotiation.take_output());
    let rest = [negotiation.into_rest(), after].concat();
    (output, end, rest)
}

const FIXED: [u8; 4] = [0, 0, 0, 3];

fn option(number: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    [
        &IHAVEOPT.to_be_bytes()[..],
        &number.to_be_bytes(),
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}

fn string(text: &str) -> Vec<u8> {
    [
        &u32::try_from(text.len()).unwrap().to_be_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

fn info_data(name: &str, wanted: &[u16]) -> Vec<u8> {
    let mut data = string(name);
    data.extend_from_slice(&u16::try_from(wanted.len()).unwrap().to_be_bytes());
    data.extend(wanted.iter().flat_map(|w| w.to_be_bytes()));
    data
}

fn meta_data(name: &str, queries: &[&str]) -> Vec<u8> {
    let mut data = string(name);
    data.extend_from_slice(&u32::try_from(queries.len()).unwrap().to_be_bytes());
    data.extend(queries.iter().flat_map(|q| string(q)));
    data
}

/// Replies after the greeting as (option, type, data).
fn replies(output: &[u8]) -> Vec<(u32, u32, Vec<u8>)> {
    let mut rest = &output[18..];
    let mut found = vec![];
    while !rest.is_empty() {
        assert_eq!(rest[..8], OPTION_REPLY_MAGIC.to_be_bytes());
        let word = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
        let end = 20 + word(16) as usize;
        found.push((word(8), word(12), rest[20..end].to_vec()));
        rest = &rest[end..];
    }
    found
}

fn talk(options: &[Vec<u8>]) -> (Vec<(u32, u32, Vec<u8>)>, End) {
    let (output, end, rest) = run([&[&FIXED[..], &options.concat()].concat()[..]]);
    assert!(rest.is_empty());
    (replies(&output), end)
}

fn kinds(options: &[Vec<u8>]) -> Vec<u32> {
    talk(options)
        .0
        .into_iter()
        .map(|(_, kind, _)| kind)
        .collect()
}

#[test]
fn greeting_is_newstyle() {
    let (output, end, _) = run([]);
    assert_eq!(output, b"NBDMAGICIHAVEOPT\0\x03");
    assert_eq!(end, End::Open);
}

#[test]
fn export_name_with_and_without_zeroes() {
    for (flags, zeroes) in [(1_u32, 124), (3, 0), (0, 124), (2, 0)] {
        let input = [
            &flags.to_be_bytes()[..],
            &option(opt::EXPORT_NAME, b"disk"),
            b"rest",
        ]
        .concat();
        let (output, end, rest) = run([&input[..]]);
        let mut want = (1_u64 << 30).to_be_bytes().to_vec();
        want.extend_from_slice(&0b1_0110_1101_u16.to_be_bytes());
        want.extend_from_slice(&vec![0; zeroes]);
        assert_eq!(output[18..], want);
        let End::Session(session) = end else {
            panic!("{end:?}")
        };
        assert_eq!((session.name(), session.size()), ("disk", 1 << 30));
        assert_eq!(session.style(), Style::Simple);
        assert_eq!(rest, b"rest");
    }
}

#[test]
fn export_name_fails_by_closing() {
    for name in [&b"nope"[..], b"busy", b"\xff", &[b'a'; 5000]] {
        let input = [&FIXED[..], &option(opt::EXPORT_NAME, name)].concat();
        let (output, end, _) = run([&input[..]]);
        assert_eq!(output.len(), 18);
        assert!(
            matches!(end, End::Violation(Violation::Export { .. })),
            "{end:?}"
        );
    }
}

#[test]
fn go_tells_all_that_was_wanted() {
    let all = [info::BLOCK_SIZE, info::NAME, info::DESCRIPTION, 77];
    let (replies, end) = talk(&[option(opt::GO, &info_data("", &all))]);
    let items: Vec<_> = replies
        .iter()
        .map(|(o, kind, data)| (*o, *kind, &data[..]))
        .collect();
    let mut sizes = vec![0, 3];
    sizes.extend(
        [1_u32, 4096, MAX_PAYLOAD]
            .into_iter()
            .flat_map(u32::to_be_bytes),
    );
    let export = [&[0, 0][..], &(1_u64 << 30).to_be_bytes(), &[1, 0x6d]].concat();
    assert_eq!(
        items,
        [
            (opt::GO, rep::INFO, &export[..]),
            (opt::GO, rep::INFO, &sizes),
            (opt::GO, rep::INFO, b"\0\x01disk"),
            (opt::GO, rep::INFO, b"\0\x02a disk"),
            (opt::GO, rep::ACK, b""),
        ]
    );
    assert!(matches!(end, End::Session(_)), "{end:?}");
}

#[test]
fn a_client_may_send_any_alignment() {
    let (replies, end) = talk(&[
        option(opt::INFO, &info_data("disk", &[info::BLOCK_SIZE])),
        option(opt::GO, &info_data("disk", &[])),
    ]);
    let minima: Vec<_> = replies
        .iter()
        .filter(|r| r.2.starts_with(&[0, 3]))
        .map(|r| r.2[5] | r.2[4])
        .collect();
    assert_eq!(minima, [1, 1]);
    let End::Session(session) = end else {
        panic!("{end:?}")
    };
    let odd = Request {
        flags: 0,
        kind: cmd::READ,
        cookie: 0,
        offset: 1,
        length: 3,
    };
    assert!(matches!(session.check(&odd), Verdict::Queue(..)));
}

#[test]
fn info_stays_in_negotiation_and_errors_are_told() {
    use rep::{ACK, ERR_INVALID, ERR_TOO_BIG, ERR_UNKNOWN, ERR_UNSUP, INFO};
    for (options, want) in [
        (
            vec![option(opt::INFO, &info_data("disk", &[]))],
            vec![INFO, INFO, ACK],
        ),
        (
            vec![option(opt::INFO, &info_data("nope", &[]))],
            vec![ERR_UNKNOWN],
        ),
        (
            vec![option(opt::GO, &info_data("busy", &[]))],
            vec![ERR_UNKNOWN],
        ),
        (vec![option(opt::GO, b"junk")], vec![ERR_INVALID]),
        (vec![option(opt::STARTTLS, b"")], vec![ERR_UNSUP]),
        (vec![option(opt::STARTTLS, b"x")], vec![ERR_INVALID]),
        (vec![option(opt::LIST, b"x")], vec![ERR_INVALID]),
        (vec![option(99, b"whatever")], vec![ERR_UNSUP]),
        (vec![option(4, b"")], vec![ERR_UNSUP]),
        (vec![option(11, b"")], vec![ERR_UNSUP]),
        (
            vec![option(99, &vec![0; MAX_OPTION + 1]), option(99, b"")],
            vec![ERR_TOO_BIG, ERR_UNSUP],
        ),
        (
            vec![option(opt::STRUCTURED_REPLY, b""); 2],
            vec![ACK, ERR_INVALID],
        ),
    ] {
        let (replies, end) = talk(&options);
        assert_eq!(replies.iter().map(|r| r.1).collect::<Vec<_>>(), want);
        assert_eq!(end, End::Open);
    }
    let (replies, _) = talk(&[option(opt::GO, &info_data("busy", &[]))]);
    assert_eq!(replies[0].2, b"logging in");
    let (replies, _) = talk(&[option(opt::GO, &info_data("full", &[]))]);
    assert_eq!(replies[0].1, rep::ERR_POLICY);
    assert_eq!(replies[0].2, b"too many");
}

#[test]
fn list_and_abort() {
    let (replies, end) = talk(&[option(opt::LIST, b""), option(opt::ABORT, b"bye")]);
    let entry = [&[0, 0, 0, 4][..], b"diska disk"].concat();
    assert_eq!(
        replies,
        [
            (opt::LIST, rep::SERVER, entry),
            (opt::LIST, rep::ACK, vec![]),
            (opt::ABORT, rep::ACK, vec![]),
        ]
    );
    assert_eq!(end, End::Aborted);
}

#[test]
fn violations_end_the_connection() {
    let end = |input: &[u8]| run([input]).1;
    let flags = |f: u32| f.to_be_bytes();
    assert_eq!(end(&flags(4)), End::Violation(Violation::ClientFlags(4)));
    let list = option(opt::LIST, b"");
    assert_eq!(
        end(&[&flags(0)[..], &list].concat()),
        End::Violation(Violation::NotFixed(3))
    );
    assert!(matches!(
        end(&[&FIXED[..], &[0; 16]].concat()),
        End::Violation(Violation::OptionMagic(0))
    ));
    let mut huge = [&FIXED[..], &list].concat();
    huge[16..20].copy_from_slice(&(MAX_SKIP + 1).to_be_bytes());
    assert!(matches!(
        end(&huge),
        End::Violation(Violation::TooLarge { option: 3, .. })
    ));
    let many = [&FIXED[..], &list.repeat(MAX_OPTIONS as usize)].concat();
    assert_eq!(end(&many), End::Open);
    assert_eq!(
        end(&[&many[..], &list].concat()),
        End::Violation(Violation::TooMany)
    );
}

#[test]
fn a_careful_caller_never_reads_into_transmission() {
    let options = [
        option(99, &vec![0; MAX_OPTION + 5]),
        option(opt::LIST, b""),
        option(opt::GO, &info_data("disk", &[info::NAME])),
    ];
    let stream = [&FIXED[..], &options.concat(), b"transmission"].concat();
    let (mut negotiation, mut at) = (Negotiation::new(), 0);
    loop {
        match negotiation.step().unwrap() {
            Step::Receive => {
                let wants = negotiation.wants();
                assert!(wants > 0);
                negotiation.receive(&stream[at..at + wants]);
                at += wants;
            }
            Step::List => negotiation.list([]),
            Step::Export(_) => negotiation.export(Ok(&disk())),
            Step::Transmission(_) => break,
            Step::Replied | Step::Aborted => {}
        }
    }
    assert_eq!(&stream[at..], b"transmission");
    assert!(negotiation.into_rest().is_empty());
}

#[test]
fn the_caller_knows_who_is_about_to_enter() {
    for (asked, enters) in [
        (option(opt::GO, &info_data("disk", &[])), true),
        (option(opt::EXPORT_NAME, b"disk"), true),
        (option(opt::INFO, &info_data("disk", &[])), false),
    ] {
        let mut negotiation = Negotiation::new();
        assert!(!negotiation.enters());
        negotiation.receive(&[&FIXED[..], &asked].concat());
        while negotiation.step().unwrap() == Step::Replied {}
        assert_eq!(negotiation.step(), Ok(Step::Export("disk".into())));
        assert_eq!(negotiation.enters(), enters);
    }
}

#[test]
fn answers_to_no_question_change_nothing() {
    let mut negotiation = Negotiation::new();
    negotiation.list([]);
    negotiation.export(Ok(&disk()));
    assert_eq!(negotiation.step(), Ok(Step::Receive));
    assert_eq!(negotiation.take_output().len(), 18);
}

fn any_option() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![Just("disk"), Just(""), Just("busy"), Just("nope")];
    let query = prop_oneof![Just("base:allocation"), Just("base:"), Just("x:y")];
    prop_oneof![
        (0..12_u32, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(n, d)| option(n, &d)),
        (
            6..8_u32,
            name.clone(),
            prop::collection::vec(0..5_u16, 0..4)
        )
            .prop_map(|(n, name, w)| option(n, &info_data(name, &w))),
        (9..11_u32, name, prop::collection::vec(query, 0..4))
            .prop_map(|(n, name, q)| option(n, &meta_data(name, &q))),
        prop_oneof![Just(3_u32), Just(5), Just(8)].prop_map(|n| option(n, b"")),
        (MAX_OPTION..MAX_OPTION + 100).prop_map(|n| option(50, &vec![1; n])),
    ]
}

proptest! {
    /// The dialogue does not depend on how the stream is cut.
    #[test]
    fn fragmentation_does_not_matter(
        options in prop::collection::vec(any_option(), 0..8),
        flags in 0..4_u32,
        cut in prop::collection::vec(1..200_usize, 1..20),
    ) {
        let stream = [&flags.to_be_bytes()[..], &options.concat()].concat();
        let whole = run([&stream[..]]);
        let mut pieces = vec![];
        let mut rest = &stream[..];
        for size in cut.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        let pieced = run(pieces);
        prop_assert_eq!(whole, pieced);
    }

    /// No input makes it panic, loop or hoard.
    #[test]
    fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        let stream = [&FIXED[..], &IHAVEOPT.to_be_bytes(), &noise].concat();
        run([&stream[..], &noise]);
    }
}

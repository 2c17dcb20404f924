//! Properties that hold whatever a peer sends.

use proptest::prelude::*;

use super::*;

/// Any request, more often one near the limits of validity.
fn any_request() -> impl Strategy<Value = Request> {
    let kind = prop_oneof![8 => 0..8_u16, 1 => any::<u16>()].prop_filter("ends it", |k| *k != 2);
    let flags = prop_oneof![6 => Just(0), 3 => 0..16_u16, 1 => any::<u16>()];
    let offset = prop_oneof![0..5000_u64, SIZE - 5000..SIZE + 5000, any::<u64>()];
    let length = prop_oneof![9 => 0..6000_u32, 1 => Just(MAX_PAYLOAD), 1 => any::<u32>()];
    (kind, flags, any::<u64>(), offset, length).prop_map(|(kind, flags, cookie, offset, length)| {
        let length = if kind == cmd::WRITE {
            length % 100_000
        } else {
            length
        };
        Request {
            flags,
            kind,
            cookie,
            offset,
            length,
        }
    })
}

/// Takes one whole reply off `bytes`, with the data of a read, and returns the cookie of
/// its request and the error.
fn take_reply(bytes: &mut &[u8], data_of: impl Fn(u64) -> usize) -> (u64, u32) {
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let cookie = u64::from_be_bytes(bytes[8..16].try_into().unwrap());
    let (length, error) = match word(bytes, 0) {
        SIMPLE_REPLY_MAGIC => match word(bytes, 4) {
            0 => (16 + data_of(cookie), 0),
            error => (16, error),
        },
        STRUCTURED_REPLY_MAGIC => {
            assert_eq!(bytes[4..6], [0, 1], "there is one chunk to a reply");
            let error = if bytes[6] & 0x80 != 0 {
                word(bytes, 20)
            } else {
                0
            };
            assert_eq!(bytes[6] & 0x80 != 0, error != 0);
            (20 + word(bytes, 16) as usize, error)
        }
        magic => panic!("{magic:#x}"),
    };
    *bytes = &bytes[length..];
    (cookie, error)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is asked, the queue sees only valid requests, and each request gets one
    /// reply.
    #[test]
    fn every_request_is_answered_once(
        mut requests in prop::collection::vec(any_request(), 1..40),
        structured: bool,
        read_only: bool,
        status in prop_oneof![Just(Status::Ok), Just(Status::IoError), Just(Status::NotSupported)],
    ) {
        let (mut client, mut peer) = pair(session(structured, read_only));
        let zeroes = vec![0; MAX_PAYLOAD as usize];
        let mut got = vec![];
        for (at, request) in requests.iter_mut().enumerate() {
            request.cookie = at as u64;
            let Request { kind, flags, cookie, offset, length } = *request;
            peer.write_all(&flagged(kind, flags, cookie, offset, length)).unwrap();
            peer.write_all(&zeroes[..request.payload() as usize]).unwrap();
            let mut queue = queue();
            prop_assert!(!client.receive(&mut queue).unwrap());
            for r in queue.requests {
                prop_assert!(r.offset + u64::from(r.length) <= SIZE);
                prop_assert_eq!(r.length == 0, r.operation == Operation::Flush);
                prop_assert!(!read_only || !r.operation.changes());
                let reads = r.operation == Operation::Read && status == Status::Ok;
                let data = if reads { &zeroes[..r.length as usize] } else { &[] };
                client.send(&[Answer { cookie: r.cookie, status, data }]).unwrap();
            }
            got.append(&mut arrived(&mut peer));
            while client.send(&[]).unwrap() == Flushed::Pending {
                got.append(&mut arrived(&mut peer));
            }
        }
        got.append(&mut arrived(&mut peer));
        let data_of = |cookie: u64| {
            let request = &requests[cookie as usize];
            if request.kind == cmd::READ { request.length as usize } else { 0 }
        };
        let mut rest = &got[..];
        for at in 0..requests.len() as u64 {
            let (cookie, error) = take_reply(&mut rest, data_of);
            prop_assert_eq!(cookie, at);
            prop_assert!([0, 1, 5, 22, 28, 75].contains(&error));
        }
        prop_assert!(rest.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Requests come through whole and in order however the stream is cut, with
    /// payloads small and large, and whatever room there is.
    #[test]
    fn streams_may_be_cut_anywhere(
        lengths in prop::collection::vec(prop_oneof![1..600_usize, 30_000..70_000_usize], 1..12),
        cuts in prop::collection::vec(prop_oneof![1..100_usize, 1000..50_000_usize], 1..10),
        room in 1..4_usize,
    ) {
        let (mut client, mut peer) = pair(session(false, false));
        let mut queue = Queue { room, requests: vec![] };
        let mut stream = vec![];
        for (at, length) in lengths.iter().enumerate() {
            stream.extend(request(cmd::WRITE, at as u64, at as u64, *length as u32));
            stream.extend((0..*length).map(|i| (i * 7 + at) as u8));
            stream.extend(request(cmd::READ, 99, 0, 1));
        }
        let mut seen = vec![];
        let mut drain = |client: &mut NbdClient| loop {
            let more = client.receive(&mut queue).unwrap();
            for r in queue.requests.drain(..) {
                let data: &[u8] = if r.operation == Operation::Read { b"x" } else { b"" };
                client.send(&[Answer { cookie: r.cookie, status: Status::Ok, data }]).unwrap();
                if r.operation == Operation::Write {
                    seen.push((r.offset, r.payload));
                }
            }
            if !more { return; }
        };
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            peer.write_all(piece).unwrap();
            drain(&mut client);
            rest = tail;
        }
        prop_assert_eq!(seen.len(), lengths.len());
        for (at, (offset, payload)) in seen.iter().enumerate() {
            prop_assert_eq!(*offset, at as u64);
            prop_assert_eq!(payload.len(), lengths[at]);
            prop_assert!(payload.iter().enumerate().all(|(i, b)| *b == (i * 7 + at) as u8));
        }
    }
}

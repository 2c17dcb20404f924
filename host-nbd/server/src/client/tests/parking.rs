//! A connection that moves at any moment: its peer sees each request answered once, and
//! nothing else.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Moves a client, with its requests on the queue, as if to another process.
fn moved(client: NbdClient, queue: &mut Queue) -> NbdClient {
    let unanswered = std::mem::take(&mut queue.requests);
    let parked = Box::new(client).park(unanswered).expect("it can be parked");
    NbdClient::resume(parked).expect("it was just written down")
}

/// What a request asks for, by its cookie: the number of bytes that come back.
fn write_of(cookie: u64, length: usize) -> Vec<u8> {
    let byte = |at: usize| (at * 7 + cookie as usize) as u8;
    (0..length).map(byte).collect()
}

/// Takes whole answers off what has arrived; `reads` has the lengths of reads.
fn answers(arrived: &mut Vec<u8>, reads: &BTreeMap<u64, usize>) -> Vec<(u64, u32)> {
    let mut found = vec![];
    while arrived.len() >= 16 {
        assert_eq!(arrived[..4], SIMPLE_REPLY_MAGIC.to_be_bytes());
        let error = u32::from_be_bytes(arrived[4..8].try_into().unwrap());
        let cookie = u64::from_be_bytes(arrived[8..16].try_into().unwrap());
        let data = match error {
            0 => reads.get(&cookie).copied().unwrap_or(0),
            _ => 0,
        };
        if arrived.len() < 16 + data {
            break;
        }
        assert!(arrived[16..16 + data].iter().all(|b| *b == cookie as u8));
        arrived.drain(..16 + data);
        found.push((cookie, error));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_connection_may_move_at_any_byte(
        requests in prop::collection::vec(
            (0..3_u8, prop_oneof![1..600_usize, 30_000..300_000_usize]), 1..12),
        steps in prop::collection::vec(
            (prop_oneof![1..100_usize, 1000..200_000_usize], 0..4_usize, any::<bool>(), any::<bool>()),
            1..20),
        room in 1..6_usize,
    ) {
        let (mut client, mut peer) = pair(session(false, false));
        let mut stream = vec![];
        let mut reads = BTreeMap::new();
        for (cookie, (kind, length)) in (0u64..).zip(&requests) {
            let size = *length as u32;
            match kind {
                0 => {
                    stream.extend(request(cmd::READ, cookie, cookie, size));
                    reads.insert(cookie, *length);
                }
                // One is inside the export, and one beyond its end, which is refused.
                kind => {
                    let offset = if *kind == 1 { cookie } else { SIZE };
                    stream.extend(request(cmd::WRITE, cookie, offset, size));
                    stream.extend(write_of(cookie, *length));
                }
            }
        }
        let mut queue = Queue { room, requests: vec![] };
        let (mut sent, mut arrived_bytes, mut answered) = (0, vec![], vec![]);
        let mut steps = steps.iter().cycle();
        // Each round sends a piece, answers some requests, maybe moves, and maybe reads.
        for round in 0.. {
            prop_assert!(round < 100_000, "it stands still");
            let (piece, answer, moves, looks) = *steps.next().expect("a cycle");
            // A long stream is sent in about a thousand pieces at most.
            let piece = piece.max(stream.len() / 1_000);
            let piece = &stream[sent..(sent + piece).min(stream.len())];
            peer.set_nonblocking(true).unwrap();
            let taken = peer.write(piece).unwrap_or(0);
            sent += taken;
            peer.set_nonblocking(false).unwrap();
            client.receive(&mut queue).unwrap();
            // Where there is no room for more, and at the end, some request has to be
            // answered.
            for _ in 0..answer.max(usize::from(taken == 0)) {
                if queue.requests.is_empty() { break; }
                let r = queue.requests.remove(0);
                let read = r.operation == Operation::Read;
                if !read {
                    prop_assert!(r.payload == write_of(r.offset, r.length as usize));
                }
                let data = vec![r.offset as u8; if read { r.length as usize } else { 0 }];
                client.send(&[Answer { cookie: r.cookie, status: Status::Ok, data: &data }]).unwrap();
            }
            client.send(&[]).unwrap();
            if moves {
                client = moved(client, &mut queue);
                // The client is polled at once: one call takes in the carried bytes, and
                // the next what has come since.
                client.receive(&mut queue).unwrap();
            }
            if looks || sent == stream.len() {
                arrived_bytes.append(&mut arrived(&mut peer));
                answered.append(&mut answers(&mut arrived_bytes, &reads));
            }
            if answered.len() == requests.len() { break; }
        }
        answered.sort_unstable();
        for (at, (cookie, error)) in answered.iter().enumerate() {
            prop_assert_eq!(*cookie, at as u64);
            prop_assert_eq!(*error, if requests[at].0 == 2 { 28 } else { 0 });
        }
        prop_assert!(arrived_bytes.is_empty());
        prop_assert!(arrived(&mut peer).is_empty());
    }
}

#[test]
fn a_client_that_took_its_leave_still_gets_its_answers() {
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = queue();
    peer.write_all(&request(cmd::FLUSH, 5, 0, 0)).unwrap();
    peer.write_all(&request(cmd::DISC, 6, 0, 0)).unwrap();
    client.receive(&mut queue).unwrap();
    let mut client = moved(client, &mut queue);
    client.receive(&mut queue).unwrap();
    let answer = Answer {
        cookie: queue.requests[0].cookie,
        status: Status::Ok,
        data: &[],
    };
    let ended = client.send(&[answer]);
    assert!(matches!(ended, Err(ClientError::Disconnected)), "{ended:?}");
    assert_eq!(arrived(&mut peer), simple(0, 5));
}

#[test]
fn flags_come_along() {
    let (mut client, mut peer) = pair(session(true, false));
    let mut queue = queue();
    let flags = cmd_flag::FUA | cmd_flag::NO_HOLE;
    peer.write_all(&flagged(cmd::WRITE_ZEROES, flags, 1, 512, 512))
        .unwrap();
    peer.write_all(&flagged(cmd::TRIM, cmd_flag::FUA, 2, 0, 512))
        .unwrap();
    peer.write_all(&flagged(cmd::BLOCK_STATUS, cmd_flag::REQ_ONE, 3, 0, 512))
        .unwrap();
    client.receive(&mut queue).unwrap();
    let before: Vec<_> = queue
        .requests
        .iter()
        .map(|r| (r.operation, r.modifiers))
        .collect();
    let mut client = moved(client, &mut queue);
    client.receive(&mut queue).unwrap();
    let after: Vec<_> = queue
        .requests
        .iter()
        .map(|r| (r.operation, r.modifiers))
        .collect();
    assert_eq!(before, after);
    assert_eq!(before.len(), 3);
    // A client that wanted one extent is told one.
    let half = Extent {
        length: 256,
        hole: false,
        zero: true,
    };
    let answer = Answer {
        cookie: queue.requests[2].cookie,
        status: Status::Ok,
        data: &[half.encode(), half.encode()].concat(),
    };
    client.send(&[answer]).unwrap();
    let told = arrived(&mut peer);
    assert_eq!(told[24..], [0, 0, 1, 0, 0, 0, 0, 2]);
}

#[test]
fn nonsense_is_refused() {
    let state_of = |change: fn(&mut Vec<u8>)| {
        let (client, peer) = pair(session(false, false));
        let mut parked = Box::new(client).park(vec![]).unwrap();
        change(&mut parked.state);
        (NbdClient::resume(parked).err(), peer)
    };
    assert!(state_of(|_| {}).0.is_none());
    let changes: [fn(&mut Vec<u8>); 4] = [
        |state| state.clear(),
        |state| state[0] ^= 1,
        |state| state.push(0),
        |state| state.truncate(4),
    ];
    for change in changes {
        assert!(matches!(state_of(change).0, Some(ResumeError::State)));
    }
}

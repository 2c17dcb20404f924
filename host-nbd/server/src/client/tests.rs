//! Clients over a socket pair, with a queue that only records requests.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use vcp_nbd_proto::wire::{
    IHAVEOPT, MAX_PAYLOAD, REQUEST_MAGIC, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, chunk,
    cmd_flag, opt,
};
use vcp_nbd_proto::{ExportInfo, Negotiation, Step};
use vcp_queue::{Extent, Geometry, Status};

use super::*;

mod parking;
mod properties;

const SIZE: u64 = 1 << 30;

/// Records submitted requests; has room for `room` of them.
struct Queue {
    room: usize,
    requests: Vec<ClientRequest>,
}

impl Submit for Queue {
    fn admit(&mut self, _holding: usize) -> bool {
        self.requests.len() < self.room
    }

    fn submit(&mut self, request: ClientRequest) {
        assert!(self.requests.len() < self.room);
        self.requests.push(request);
    }

    fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        // The buffer is larger than asked, as recycled ones are.
        Vec::with_capacity(capacity * 2 + 7)
    }
}

fn queue() -> Queue {
    Queue {
        room: usize::MAX,
        requests: vec![],
    }
}

/// A session as negotiated with GO, without the minimum block size.
fn session(structured: bool, read_only: bool) -> Session {
    let geometry = Geometry {
        size: SIZE,
        block_size: 512,
        preferred_block_size: 4096,
        max_transfer: 1 << 20,
        max_discard: 1 << 20,
        max_write_zeroes: 1 << 20,
        extents: true,
        read_only,
        write_cache: true,
        identity: String::new(),
    };
    let export = ExportInfo::new("a", "", &geometry, false).unwrap();
    let option = |number: u32, data: &[u8]| {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [
            &IHAVEOPT.to_be_bytes()[..],
            &number.to_be_bytes(),
            &length,
            data,
        ]
        .concat()
    };
    let mut negotiation = Negotiation::new();
    negotiation.receive(&[0, 0, 0, 3]);
    if structured {
        negotiation.receive(&option(opt::STRUCTURED_REPLY, b""));
        let query = b"\0\0\0\x01a\0\0\0\x01\0\0\0\x0fbase:allocation";
        negotiation.receive(&option(opt::SET_META_CONTEXT, query));
    }
    negotiation.receive(&option(opt::GO, b"\0\0\0\x01a\0\0"));
    loop {
        match negotiation.step().unwrap() {
            Step::Export(_) => negotiation.export(Ok(&export)),
            Step::Transmission(session) => return session,
            Step::Replied => {}
            other => panic!("{other:?}"),
        }
    }
}

fn pair(session: Session) -> (NbdClient, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (
        NbdClient::new(ours.into(), "test".into(), session).unwrap(),
        theirs,
    )
}

fn request(kind: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    flagged(kind, 0, cookie, offset, length)
}

fn flagged(kind: u16, flags: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    let mut bytes = REQUEST_MAGIC.to_be_bytes().to_vec();
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&cookie.to_be_bytes());
    bytes.extend_from_slice(&offset.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

fn simple(error: u32, cookie: u64) -> Vec<u8> {
    [
        &SIMPLE_REPLY_MAGIC.to_be_bytes()[..],
        &error.to_be_bytes(),
        &cookie.to_be_bytes(),
    ]
    .concat()
}

/// The bytes that have arrived at the peer.
fn arrived(peer: &mut UnixStream) -> Vec<u8> {
    peer.set_nonblocking(true).unwrap();
    let mut bytes = vec![];
    let error = peer.read_to_end(&mut bytes);
    peer.set_nonblocking(false).unwrap();
    assert!(error.is_err(), "the connection is still open");
    bytes
}

fn ok(cookie: u64) -> Answer<'static> {
    Answer {
        cookie,
        status: Status::Ok,
        data: &[],
    }
}

#[test]
fn a_batch_of_requests_and_its_answers() {
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = queue();
    let mut stream = request(cmd::READ, 100, 4096, 4);
    stream.extend(flagged(cmd::WRITE, cmd_flag::FUA, 200, 8192, 3));
    stream.extend_from_slice(b"abc");
    stream.extend(request(cmd::FLUSH, 300, 0, 0));
    stream.extend(request(cmd::TRIM, 100, 512, 512));
    peer.write_all(&stream).unwrap();
    assert!(!client.receive(&mut queue).unwrap());

    let seen: Vec<_> = queue
        .requests
        .iter()
        .map(|r| (r.operation, r.offset, r.length))
        .collect();
    assert_eq!(
        seen,
        [
            (Operation::Read, 4096, 4),
            (Operation::Write, 8192, 3),
            (Operation::Flush, 0, 0),
            (Operation::Discard, 512, 512),
        ]
    );
    assert_eq!(queue.requests[1].payload, b"abc");
    assert!(queue.requests[1].modifiers.fua);

    // The order is another, and two requests have the same cookie.
    let keys: Vec<_> = queue.requests.iter().map(|r| r.cookie).collect();
    let answers = [
        Answer {
            cookie: keys[2],
            status: Status::ShuttingDown,
            data: &[],
        },
        ok(keys[3]),
        Answer {
            cookie: keys[0],
            status: Status::Ok,
            data: b"data",
        },
        ok(keys[1]),
        ok(4711),
    ];
    assert_eq!(client.send(&answers).unwrap(), Flushed::All);
    let want = [
        simple(108, 300),
        simple(0, 100),
        simple(0, 100),
        b"data".to_vec(),
        simple(0, 200),
    ];
    assert_eq!(arrived(&mut peer), want.concat());
}

#[test]
fn a_read_answered_with_too_little_is_an_error() {
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = queue();
    peer.write_all(&request(cmd::READ, 1, 0, 8)).unwrap();
    client.receive(&mut queue).unwrap();
    let short = Answer {
        cookie: queue.requests[0].cookie,
        status: Status::Ok,
        data: b"1234",
    };
    client.send(&[short]).unwrap();
    assert_eq!(arrived(&mut peer), simple(5, 1));
}

#[test]
fn refused_requests_do_not_reach_the_queue() {
    let (mut client, mut peer) = pair(session(false, true));
    let mut queue = queue();
    let payload = vec![0x25; 300_000];
    let mut stream = request(cmd::WRITE, 1, 0, 300_000);
    stream.extend_from_slice(&payload);
    stream.extend(request(cmd::READ, 2, SIZE, 1));
    stream.extend(request(cmd::READ, 3, 0, 0));
    stream.extend(request(77, 4, 0, 0));
    peer.set_nonblocking(true).unwrap();
    let mut at = 0;
    while at < stream.len() {
        at += peer.write(&stream[at..]).unwrap_or(0);
        assert!(!client.receive(&mut queue).unwrap());
    }
    assert!(queue.requests.is_empty());
    let want = [simple(1, 1), simple(22, 2), simple(0, 3), simple(22, 4)];
    assert_eq!(arrived(&mut peer), want.concat());
}

#[test]
fn structured_replies_and_block_status() {
    let (mut client, mut peer) = pair(session(true, false));
    let mut queue = queue();
    peer.write_all(&request(cmd::READ, 7, 512, 4)).unwrap();
    peer.write_all(&flagged(cmd::BLOCK_STATUS, cmd_flag::REQ_ONE, 8, 512, 1024))
        .unwrap();
    peer.write_all(&request(cmd::BLOCK_STATUS, 9, 512, 1024))
        .unwrap();
    client.receive(&mut queue).unwrap();
    let asked: Vec<_> = queue.requests.iter().map(|r| r.operation).collect();
    assert_eq!(
        asked,
        [Operation::Read, Operation::Extents, Operation::Extents]
    );
    let extent = |length, hole| Extent {
        length,
        hole,
        zero: hole,
    };
    let extents = [extent(1000, true).encode(), extent(24, false).encode()].concat();
    let answer = |n: usize, data| Answer {
        cookie: queue.requests[n].cookie,
        status: Status::Ok,
        data,
    };
    client
        .send(&[answer(0, b"data"), answer(1, &extents), answer(2, &extents)])
        .unwrap();
    let bytes = arrived(&mut peer);
    let magic = STRUCTURED_REPLY_MAGIC.to_be_bytes();
    let (read, status) = bytes.split_at(32);
    assert_eq!(read[..4], magic);
    assert_eq!(read[6..8], chunk::OFFSET_DATA.to_be_bytes());
    assert_eq!(read[20..28], 512_u64.to_be_bytes());
    assert_eq!(&read[28..], b"data");
    let (one, all) = status.split_at(32);
    for (status, length) in [(one, 12_u32), (all, 20)] {
        assert_eq!(status[..4], magic);
        assert_eq!(status[6..8], chunk::BLOCK_STATUS.to_be_bytes());
        assert_eq!(status[16..20], length.to_be_bytes());
        assert_eq!(status[24..32], [0, 0, 3, 232, 0, 0, 0, 3]);
    }
    assert_eq!(all[32..], [0, 0, 0, 24, 0, 0, 0, 0]);
}

#[test]
fn a_device_that_can_not_tell_has_data_only() {
    let (mut client, mut peer) = pair(session(true, false));
    let mut queue = queue();
    peer.write_all(&request(cmd::BLOCK_STATUS, 9, 512, 1024))
        .unwrap();
    client.receive(&mut queue).unwrap();
    let answer = Answer {
        cookie: queue.requests[0].cookie,
        status: Status::Ok,
        data: &[],
    };
    client.send(&[answer]).unwrap();
    let bytes = arrived(&mut peer);
    assert_eq!(bytes[24..], [0, 0, 4, 0, 0, 0, 0, 0]);
}

#[test]
fn without_room_it_stops_and_goes_on_later() {
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = Queue {
        room: 2,
        requests: vec![],
    };
    for cookie in 0..5 {
        peer.write_all(&request(cmd::WRITE, cookie, 0, 2)).unwrap();
        peer.write_all(&[cookie as u8; 2]).unwrap();
    }
    let mut seen = vec![];
    for more in [true, true, false] {
        assert_eq!(client.receive(&mut queue).unwrap(), more);
        seen.extend(queue.requests.drain(..).map(|r| r.payload[0]));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

/// Answers that go out while the client looks for room make some. It must notice, as no
/// answer is due that would make it go on.
#[test]
fn room_that_comes_while_it_is_looked_for_is_used() {
    const LENGTH: usize = 12 << 20;
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = queue();
    for cookie in 0..2 {
        let read = request(cmd::READ, cookie, 0, LENGTH as u32);
        peer.write_all(&read).unwrap();
    }
    assert!(client.receive(&mut queue).unwrap(), "both fit into it");
    assert_eq!(queue.requests.len(), 1);
    let data = vec![0x5a; LENGTH];
    let answer = Answer {
        cookie: queue.requests.remove(0).cookie,
        status: Status::Ok,
        data: &data,
    };
    assert_eq!(client.send(&[answer]).unwrap(), Flushed::Pending);
    let fits = 16 + LENGTH - client.outbox.unsent();
    peer.set_nonblocking(true).unwrap();
    let mut room = vec![0; 1 << 20];
    let mut drain = || while peer.read(&mut room).is_ok_and(|count| count > 0) {};
    drain();
    while client.outbox.unsent() > fits {
        client.outbox.flush(client.socket.as_fd()).unwrap();
        drain();
    }
    assert!(client.outbox.unsent() > 0, "the rest fits at once");
    let more = client.receive(&mut queue).unwrap();
    assert!(!more || client.outbox.unsent() > 0, "nothing would wake it");
    assert_eq!(queue.requests.len(), 1, "the second one is not taken");
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    const COUNT: u64 = 8;
    const LENGTH: usize = 2 << 20;
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = queue();
    let data = vec![0x5a; LENGTH];
    for cookie in 0..COUNT {
        peer.write_all(&request(cmd::READ, cookie, 0, LENGTH as u32))
            .unwrap();
    }
    // Takes as many requests as the client may owe, answers them, and returns the number
    // of bytes.
    let mut turn = || {
        client.receive(&mut queue).unwrap();
        let owed = client.held();
        assert!(owed <= MAX_HELD, "{owed}");
        let taken = queue.requests.len() as u64;
        for request in queue.requests.drain(..) {
            let answer = Answer {
                cookie: request.cookie,
                status: Status::Ok,
                data: &data,
            };
            client.send(&[answer]).unwrap();
        }
        client.send(&[]).unwrap();
        taken
    };
    let mut taken = turn();
    assert!((1..COUNT).contains(&taken));
    loop {
        match turn() {
            0 => break,
            more => taken += more,
        }
    }
    assert!(taken < COUNT, "all of it went somewhere");

    let reader = std::thread::spawn(move || {
        let mut got = vec![0; COUNT as usize * (16 + LENGTH)];
        peer.read_exact(&mut got).unwrap();
        (peer, got)
    });
    while !reader.is_finished() {
        taken += turn();
        std::thread::yield_now();
    }
    let (_peer, got) = reader.join().unwrap();
    assert_eq!(taken, COUNT);
    for (cookie, reply) in got.chunks(16 + LENGTH).enumerate() {
        assert_eq!(reply[..16], simple(0, cookie as u64));
        assert!(reply[16..] == data);
    }
}

#[test]
fn a_single_reply_of_the_largest_size_is_taken() {
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = queue();
    peer.write_all(&request(cmd::READ, 1, 0, MAX_PAYLOAD))
        .unwrap();
    peer.write_all(&request(cmd::READ, 2, 0, 1)).unwrap();
    assert!(client.receive(&mut queue).unwrap());
    assert_eq!(queue.requests.len(), 1);
}

#[test]
fn a_disconnect_waits_for_what_is_outstanding() {
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = queue();
    peer.write_all(&request(cmd::FLUSH, 1, 0, 0)).unwrap();
    peer.write_all(&request(cmd::DISC, 2, 0, 0)).unwrap();
    assert!(!client.receive(&mut queue).unwrap());
    // The peer is done sending but still reads: there is nothing more to poll for.
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.receive(&mut queue).unwrap());
    let answer = ok(queue.requests[0].cookie);
    assert!(matches!(
        client.send(&[answer]),
        Err(ClientError::Disconnected)
    ));
    drop(client);
    let mut rest = vec![];
    peer.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, simple(0, 1));
}

#[test]
fn ends_of_connections() {
    let ending = |stream: &[u8]| {
        let (mut client, mut peer) = pair(session(false, false));
        peer.write_all(stream).unwrap();
        drop(peer);
        let mut queue = queue();
        loop {
            match client.receive(&mut queue) {
                Ok(more) => assert!(!more),
                Err(error) => return error.to_string(),
            }
        }
    };
    let write = request(cmd::WRITE, 1, 0, 4);
    assert!(ending(b"").contains("without a disconnect"));
    assert!(ending(&write[..9]).contains("middle"));
    assert!(ending(&[&write[..], b"ab"].concat()).contains("middle"));
    assert!(ending(&[0; 28]).contains("protocol violation"));
    assert_eq!(ending(&request(cmd::DISC, 1, 0, 0)), "disconnected");
    let early = [request(cmd::FLUSH, 1, 0, 0), request(cmd::DISC, 2, 0, 0)].concat();
    assert!(ending(&early).contains("before all requests were answered"));
}

#[test]
fn a_peer_that_is_gone_is_noticed_while_there_is_no_room() {
    let (mut client, mut peer) = pair(session(false, false));
    let mut queue = Queue {
        room: 1,
        requests: vec![],
    };
    peer.write_all(&request(cmd::READ, 1, 0, 1).repeat(2))
        .unwrap();
    assert!(client.receive(&mut queue).unwrap());
    drop(peer);
    assert!(matches!(
        client.receive(&mut queue),
        Err(ClientError::Io(_))
    ));
}

/// Such a peer is like the kernel, which holds on to its requests.
#[test]
fn who_lasts_is_not_told_of_the_end() {
    let (tx, ended) = std::sync::mpsc::channel();
    let tell = move |left| tx.send(left).unwrap();
    let (ours, mut theirs) = pair(session(false, false));
    let mut ours = ours.lasting(tell.clone());
    let mut queue = queue();
    let request = |kind: u16, offset: u64, length: u32| {
        [
            &REQUEST_MAGIC.to_be_bytes()[..],
            &[0, 0],
            &kind.to_be_bytes(),
            &7_u64.to_be_bytes(),
            &offset.to_be_bytes(),
            &length.to_be_bytes(),
        ]
        .concat()
    };
    theirs.write_all(&request(0, 0, 512)).unwrap();
    ours.receive(&mut queue).unwrap();
    let answer = Answer {
        cookie: queue.requests[0].cookie,
        status: Status::ShuttingDown,
        data: &[],
    };
    // Others may hold descriptors of the socket.
    let _held = ours.socket.try_clone().unwrap();
    assert!(matches!(ours.send(&[answer]), Err(ClientError::Io(_))));
    drop(ours);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "no answer, only the end");
    assert!(!ended.recv().unwrap());
    let (ours, mut theirs) = pair(session(false, false));
    let mut ours = ours.lasting(tell);
    theirs.write_all(&request(2, 0, 0)).unwrap();
    assert!(matches!(
        ours.receive(&mut queue),
        Err(ClientError::Disconnected)
    ));
    drop(ours);
    assert!(ended.recv().unwrap(), "it took its leave");
}

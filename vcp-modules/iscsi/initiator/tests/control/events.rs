//! Asynchronous messages, and the logouts and negotiations that they request.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::{BHS_LEN, Lun, RESERVED_TAG};

use crate::pair::*;

fn send_async(pair: &mut Pair, event: AsyncEvent) {
    let sn = pair.peer.status();
    pair.peer.send(
        AsyncMessage {
            event,
            data_len: 0,
            lun: Lun::default(),
            sn,
        },
        &[],
    );
}

#[test]
fn logout_when_asked() {
    let mut pair = Pair::plain().ready();
    send_async(&mut pair, AsyncEvent::LogoutRequest { within: 5 });
    pair.run();
    assert!(
        pair.peer
            .seen
            .iter()
            .any(|p| matches!(p, InitiatorPdu::LogoutRequest(_)))
    );
    assert_eq!(pair.suspended().len(), 1);
    let tag = pair.read(0, 512, 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.readies(), 2);
}

#[test]
fn logout_waits_for_commands_under_way_but_not_for_new_ones() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        peer.logins == 1 && matches!(pdu, InitiatorPdu::ScsiCommand(_))
    }));
    let held = pair.read(0, 512, 0);
    pair.run();
    send_async(&mut pair, AsyncEvent::LogoutRequest { within: 2 });
    let new = pair.read(512, 512, 0);
    pair.run();
    let logout = |pair: &Pair| {
        pair.peer
            .seen
            .iter()
            .any(|p| matches!(p, InitiatorPdu::LogoutRequest(_)))
    };
    assert!(!logout(&pair));
    // The logout is never later than requested.
    pair.run_for(1500 * MS);
    assert!(logout(&pair));
    pair.run_for(SECOND);
    assert_eq!(
        (pair.completed[&held], pair.completed[&new]),
        (Status::Ok, Status::Ok)
    );
}

#[test]
fn dropped_connections_and_sessions_are_left_alone_for_a_while() {
    for event in [
        AsyncEvent::DropConnection {
            cid: 0,
            time2wait: 4,
            time2retain: 0,
        },
        AsyncEvent::DropSession {
            time2wait: 4,
            time2retain: 0,
        },
    ] {
        let mut pair = Pair::plain().ready();
        send_async(&mut pair, event);
        pair.run_for(3900 * MS);
        assert_eq!((pair.connects.len(), pair.suspended().len()), (1, 1));
        pair.run_for(200 * MS);
        assert_eq!(pair.readies(), 2);
    }
}

#[test]
fn renegotiates_when_asked() {
    let mut pair = Pair::plain().ready();
    let mut asked = 0;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::TextRequest(text) = pdu else {
            return false;
        };
        asked += 1;
        let sn = peer.status();
        let first = asked == 1;
        if first {
            assert_eq!(data, b"MaxRecvDataSegmentLength=262144\0");
        } else {
            assert_eq!(data, b"X-com.example=NotUnderstood\0");
            assert_eq!(text.ttt, 55);
        }
        peer.send(
            TextResponse {
                is_final: !first,
                is_continued: false,
                data_len: 0,
                lun: Lun::default(),
                itt: text.itt,
                ttt: if first { 55 } else { RESERVED_TAG },
                sn,
            },
            if first {
                b"MaxRecvDataSegmentLength=1024\0X-com.example=1\0"
            } else {
                b""
            },
        );
        peer.settings.max_recv = 1024;
        true
    }));
    send_async(&mut pair, AsyncEvent::Negotiate { within: 5 });
    pair.run();
    assert_eq!(pair.suspended(), Vec::<String>::new());
    // The scripted target checks the length of Data-Outs from here on.
    let tag = pair.write(0, 65536, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn text_that_is_continued_in_the_full_feature_phase() {
    let mut pair = Pair::plain().ready();
    let mut asked = 0;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::TextRequest(text) = pdu else {
            return false;
        };
        asked += 1;
        let sn = peer.status();
        let (is_continued, is_final, text_out): (_, _, &[u8]) = match asked {
            1 => (true, false, b"MaxRecvDataSeg"),
            2 => {
                assert!(data.is_empty() && !text.is_final);
                (false, true, b"mentLength=2048\0")
            }
            _ => panic!("one too many"),
        };
        let ttt = if is_final { RESERVED_TAG } else { 9 };
        let lun = Lun::default();
        peer.send(
            TextResponse {
                is_final,
                is_continued,
                data_len: 0,
                lun,
                itt: text.itt,
                ttt,
                sn,
            },
            text_out,
        );
        peer.settings.max_recv = 2048;
        true
    }));
    send_async(&mut pair, AsyncEvent::Negotiate { within: 5 });
    pair.run();
    let tag = pair.write(0, 65536, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn tasks_terminated_without_fast_abort_is_a_violation() {
    let mut pair = Pair::plain().ready();
    send_async(&mut pair, AsyncEvent::TasksTerminated);
    pair.run();
    assert!(pair.suspended()[0].contains("not negotiated"));
}

#[test]
fn other_events_are_noted() {
    let mut pair = Pair::plain().ready();
    let event = AsyncEvent::Other {
        event: 255,
        vendor_code: 1,
        parameters: [0; 3],
    };
    send_async(&mut pair, event);
    pair.run();
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

/// Answers Text Requests with these parts; each but the last leaves the exchange
/// open.
fn exchange(pair: &mut Pair, parts: &'static [&'static [u8]], last_ttt: u32) {
    let mut parts = parts.iter();
    let mut tag = None;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::TextRequest(text) = pdu else {
            return false;
        };
        assert_eq!(*tag.get_or_insert(text.itt), text.itt, "one tag for all");
        let part = parts.next().expect("a request too many");
        let is_final = parts.len() == 0;
        let sn = peer.status();
        peer.send(
            TextResponse {
                is_final,
                is_continued: false,
                data_len: 0,
                lun: Lun::default(),
                itt: text.itt,
                ttt: if is_final { last_ttt } else { 9 },
                sn,
            },
            part,
        );
        true
    }));
    send_async(pair, AsyncEvent::Negotiate { within: 5 });
    pair.run();
}

/// The longest data segment that the initiator sends if it can.
fn longest_segment(pair: &mut Pair) -> u32 {
    pair.peer.seen.clear();
    let tag = pair.write(0, 65536, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let lengths = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::DataOut(data) => Some(data.data_len),
        _ => None,
    });
    lengths.max().expect("Data-Out")
}

#[test]
fn tag_of_a_final_text_response_is_ignored() {
    let mut pair = Pair::plain().ready();
    exchange(&mut pair, &[b"MaxRecvDataSegmentLength=2048\0"], 77);
    assert_eq!(pair.suspended(), Vec::<String>::new());
    assert_eq!(longest_segment(&mut pair), 2048);
}

#[test]
fn failed_negotiation_changes_nothing() {
    let mut pair = Pair::plain().ready();
    let before = longest_segment(&mut pair);
    let mut first = true;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::TextRequest(text) = pdu else {
            return false;
        };
        let sn = peer.status();
        if core::mem::replace(&mut first, false) {
            peer.send(
                TextResponse {
                    is_final: false,
                    is_continued: false,
                    data_len: 0,
                    lun: Lun::default(),
                    itt: text.itt,
                    ttt: 9,
                    sn,
                },
                b"MaxRecvDataSegmentLength=2048\0",
            );
        } else {
            let mut header = [0; BHS_LEN];
            text.emit(&mut header);
            let reason = RejectReason::ProtocolError;
            peer.send(
                Reject {
                    reason,
                    data_len: 0,
                    sn,
                    data_sn: 0,
                },
                &header,
            );
        }
        true
    }));
    send_async(&mut pair, AsyncEvent::Negotiate { within: 5 });
    pair.run();
    assert_eq!(pair.suspended(), Vec::<String>::new());
    assert_eq!(longest_segment(&mut pair), before);
}

#[test]
fn key_declared_twice_in_the_full_feature_phase() {
    let mut pair = Pair::plain().ready();
    const PART: &[u8] = b"MaxRecvDataSegmentLength=2048\0";
    exchange(&mut pair, &[PART, PART], RESERVED_TAG);
    assert!(pair.suspended()[0].contains("MaxRecvDataSegmentLength declared twice"));
}

#[test]
fn text_that_neither_ends_nor_goes_on() {
    for (is_final, is_continued, ttt) in [(false, false, RESERVED_TAG), (true, true, RESERVED_TAG)]
    {
        let mut pair = Pair::plain().ready();
        pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
            let InitiatorPdu::TextRequest(text) = pdu else {
                return false;
            };
            let sn = peer.status();
            peer.send(
                TextResponse {
                    is_final,
                    is_continued,
                    data_len: 0,
                    lun: Lun::default(),
                    itt: text.itt,
                    ttt,
                    sn,
                },
                b"",
            );
            true
        }));
        send_async(&mut pair, AsyncEvent::Negotiate { within: 5 });
        pair.run();
        assert_eq!(pair.suspended().len(), 1);
    }
}

#[test]
fn one_text_request_at_a_time() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|_, pdu, _| {
        matches!(pdu, InitiatorPdu::TextRequest(_))
    }));
    for _ in 0..3 {
        send_async(&mut pair, AsyncEvent::Negotiate { within: 5 });
        pair.run();
    }
    let requests = pair.peer.seen.iter();
    let requests = requests.filter(|pdu| matches!(pdu, InitiatorPdu::TextRequest(_)));
    assert_eq!(requests.count(), 1);
}

//! Unsolicited messages of a portal during a discovery.

use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::{BHS_LEN, Lun, RESERVED_TAG};

use crate::pair::{Peer, SECOND};
use crate::{ONE, Run};

fn send_async(peer: &mut Peer, event: AsyncEvent) {
    let sn = peer.status();
    let lun = Lun::default();
    let message = AsyncMessage {
        event,
        data_len: 0,
        lun,
        sn,
    };
    peer.send(message, &[]);
}

fn answer(peer: &mut Peer, request: &TextRequest) {
    let sn = peer.status();
    let response = TextResponse {
        is_final: true,
        is_continued: false,
        data_len: 0,
        lun: Lun::default(),
        itt: request.itt,
        ttt: RESERVED_TAG,
        sn,
    };
    peer.send(response, ONE);
}

/// A portal that acts so the first `times` times instead of answering.
fn first(times: u32, mut act: impl FnMut(&mut Peer, &TextRequest) + 'static) -> Run {
    let mut left = times;
    Run::new(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::TextRequest(request) = pdu else {
            return false;
        };
        if left > 0 {
            left -= 1;
            act(peer, request);
        } else {
            answer(peer, request);
        }
        true
    }))
}

fn logouts(run: &Run) -> usize {
    let logout = |pdu: &&InitiatorPdu| matches!(pdu, InitiatorPdu::LogoutRequest(_));
    run.peer.seen.iter().filter(logout).count()
}

#[test]
fn events_that_concern_no_discovery_are_passed_over() {
    for event in [
        AsyncEvent::Scsi,
        AsyncEvent::Negotiate { within: 3 },
        AsyncEvent::TasksTerminated,
        AsyncEvent::Other {
            event: 248,
            vendor_code: 1,
            parameters: [1, 2, 3],
        },
    ] {
        let run = first(1, move |peer, request| {
            send_async(peer, event);
            answer(peer, request);
            send_async(peer, event);
        });
        let run = run.run();
        assert_eq!((run.found().len(), run.connects()), (1, 1), "{event:?}");
        assert_eq!(logouts(&run), 1);
    }
}

/// The answer is received completely, and the portal gets its logout.
#[test]
fn logout_is_asked_for_before_the_answer() {
    let run = first(1, |peer, request| {
        send_async(peer, AsyncEvent::LogoutRequest { within: 3 });
        answer(peer, request);
    });
    let run = run.run();
    assert_eq!((run.found().len(), run.connects()), (1, 1));
    assert_eq!((logouts(&run), run.discovery.next_deadline()), (1, None));
}

#[test]
fn logout_is_asked_for_instead_of_an_answer() {
    let run = first(1, |peer, _| {
        send_async(peer, AsyncEvent::LogoutRequest { within: 3 });
    });
    let run = run.run_until(SECOND);
    assert_eq!((logouts(&run), run.connects()), (0, 1));
    // The logout comes in the time that the portal allows.
    let run = run.run_until(2 * SECOND);
    assert_eq!((run.found().len(), run.connects()), (1, 2));
    assert_eq!(logouts(&run), 2);
}

/// The same from a portal that rejects the question to ask for a logout, or that is gone
/// before the logout.
#[test]
fn portal_that_waits_for_a_logout() {
    let run = first(1, |peer, request| {
        let mut header = [0; BHS_LEN];
        request.emit(&mut header);
        let sn = peer.status();
        let reject = Reject {
            reason: RejectReason::WaitingForLogout,
            data_len: 0,
            sn,
            data_sn: 0,
        };
        peer.send(reject, &header);
    });
    let run = run.run_until(SECOND);
    assert_eq!((run.found().len(), run.connects()), (1, 2));

    let run = first(1, |peer, _| {
        send_async(peer, AsyncEvent::LogoutRequest { within: 3 });
    });
    let mut run = run.run_until(SECOND);
    run.open = false;
    run.discovery.disconnected(run.now, "reset by peer");
    let run = run.run_until(2 * SECOND);
    assert_eq!((run.found().len(), run.connects()), (1, 2));
}

fn dropped(time2wait: u16) -> [AsyncEvent; 2] {
    let time2retain = 0;
    [
        AsyncEvent::DropConnection {
            cid: 0,
            time2wait,
            time2retain,
        },
        AsyncEvent::DropSession {
            time2wait,
            time2retain,
        },
    ]
}

#[test]
fn dropped_session_is_begun_again_after_a_while() {
    for event in dropped(4) {
        let run = first(1, move |peer, _| send_async(peer, event));
        let run = run.run_until(3 * SECOND);
        assert_eq!(run.connects(), 1);
        let run = run.run_until(5 * SECOND);
        assert_eq!((run.found().len(), run.connects()), (1, 2));
    }
    // After the answer it is only the end.
    for event in dropped(4) {
        let run = first(1, move |peer, request| {
            answer(peer, request);
            send_async(peer, event);
        });
        let run = run.run_until(9 * SECOND);
        assert_eq!((run.found().len(), run.connects()), (1, 1));
    }
}

/// The session comes back only once, and only if there is time.
#[test]
fn portal_that_only_sends_away() {
    for event in dropped(4) {
        let run = first(9, move |peer, _| send_async(peer, event)).run_until(60 * SECOND);
        assert_eq!(run.connects(), 2);
        assert!(run.failed().contains("sends us away and does not answer"));
    }
    for event in dropped(15) {
        let run = first(9, move |peer, _| send_async(peer, event)).run();
        assert_eq!(run.connects(), 1);
        assert!(run.failed().contains("sends us away for 15 s"));
    }
    let event = AsyncEvent::LogoutRequest { within: 1 };
    let run = first(9, move |peer, _| send_async(peer, event)).run_until(60 * SECOND);
    assert_eq!((run.connects(), logouts(&run)), (2, 2));
    assert!(run.failed().contains("sends us away and does not answer"));
    // The time limit for an answer does not start again.
    let [event, _] = dropped(14);
    let mut once = Some(event);
    let run = first(9, move |peer, _| {
        if let Some(event) = once.take() {
            send_async(peer, event);
        }
    });
    let run = run.run_until(15 * SECOND);
    assert!(run.failed().contains("no answer in time"));
}

#[test]
fn rejects_are_about_what_was_rejected() {
    // An answer to a ping may be rejected.
    let run = first(1, |peer, request| {
        let mut header = [0; BHS_LEN];
        let sn = InitiatorSn {
            cmd_sn: request.sn.cmd_sn,
            exp_stat_sn: request.sn.exp_stat_sn,
        };
        let nop = NopOut {
            immediate: true,
            data_len: 0,
            lun: Lun::default(),
            itt: RESERVED_TAG,
            ttt: 5,
            sn,
        };
        nop.emit(&mut header);
        reject(peer, &header);
        answer(peer, request);
    });
    assert_eq!(run.run().found().len(), 1);
    // The question may not be rejected.
    let run = first(1, |peer, request| {
        let mut header = [0; BHS_LEN];
        request.emit(&mut header);
        reject(peer, &header);
    });
    let line = run.run().failed();
    assert!(
        line.ends_with("TextRequest rejected: protocol error"),
        "{line}"
    );
}

fn reject(peer: &mut Peer, header: &[u8; BHS_LEN]) {
    let sn = peer.status();
    let reason = RejectReason::ProtocolError;
    let reject = Reject {
        reason,
        data_len: 0,
        sn,
        data_sn: 0,
    };
    peer.send(reject, header);
}

fn ping(peer: &mut Peer, ttt: u32) {
    let sn = peer.numbers();
    let nop = NopIn {
        data_len: 0,
        lun: Lun::default(),
        itt: RESERVED_TAG,
        ttt,
        sn,
    };
    peer.send(nop, &[]);
}

#[test]
fn pings_are_answered_in_discovery() {
    let run = first(1, |peer, request| {
        ping(peer, 7);
        ping(peer, RESERVED_TAG);
        answer(peer, request);
        // Nothing is sent after the logout.
        ping(peer, 8);
    });
    let run = run.run();
    assert_eq!(run.found().len(), 1);
    let answered = run.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::NopOut(nop) => Some(nop.ttt),
        _ => None,
    });
    assert_eq!(answered.collect::<Vec<_>>(), [7]);

    let many = first(1, |peer, _| (0..100).for_each(|ttt| ping(peer, ttt)));
    let mut many = many;
    many.piece = 1 << 16;
    assert!(many.run().failed().contains("more pings"));
}

//! Discovery sessions.

#[path = "../pair/mod.rs"]
mod pair;

mod events;

use pair::peer::Intercept;
use pair::{Disk, Peer, Settings};
use vcp_iscsi_initiator::{Config, Discovery, DiscoveryAction};
use vcp_iscsi_proto::pdu::{InitiatorPdu, TargetPdu, TextResponse};
use vcp_iscsi_proto::{Lun, RESERVED_TAG};

struct Run {
    discovery: Discovery,
    peer: Peer,
    actions: Vec<DiscoveryAction>,
    piece: usize,
    open: bool,
    now: u64,
}

/// Runs with a portal that answers in these parts.
fn run_with(parts: Vec<&'static [u8]>) -> Run {
    let mut parts = parts.into_iter().peekable();
    let mut asked = 0;
    Run::new(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::TextRequest(text) = pdu else {
            return false;
        };
        asked += 1;
        if asked == 1 {
            assert_eq!((data, text.ttt), (&b"SendTargets=All\0"[..], RESERVED_TAG));
        } else {
            assert_eq!((data, text.ttt), (&b""[..], 7));
        }
        let Some(part) = parts.next() else {
            return true;
        };
        let last = parts.peek().is_none();
        let sn = peer.status();
        peer.send(
            TextResponse {
                is_final: last,
                is_continued: !last,
                data_len: 0,
                lun: Lun::default(),
                itt: text.itt,
                ttt: if last { RESERVED_TAG } else { 7 },
                sn,
            },
            part,
        );
        true
    }))
}

impl Run {
    fn new(intercept: Intercept) -> Self {
        let config = Config::parse_discovery([("portal", "10.0.0.1:3260")]).unwrap();
        let mut peer = Peer::new(Settings::default(), Disk::new(512, 1));
        peer.intercept = Some(intercept);
        Self {
            discovery: Discovery::new(config, [3; 32], 0),
            peer,
            actions: Vec::new(),
            piece: 1000,
            open: false,
            now: 0,
        }
    }

    /// Runs until nothing happens any more without advancing time.
    fn run(mut self) -> Self {
        loop {
            while let Some(action) = self.discovery.poll_action() {
                match action {
                    DiscoveryAction::Connect { .. } => {
                        self.open = true;
                        self.peer.accept();
                        self.discovery.connected(self.now);
                    }
                    DiscoveryAction::Close { .. } => self.open = false,
                    _ => {}
                }
                self.actions.push(action);
            }
            let mut buffer = vec![0; self.piece];
            let count = self.discovery.transmit(self.now, &mut buffer);
            if self.open && count > 0 {
                self.peer.receive(&buffer[..count]);
            }
            let incoming: Vec<u8> = {
                let n = self.peer.out.len().min(self.piece);
                self.peer.out.drain(..n).collect()
            };
            if self.open && !incoming.is_empty() {
                self.discovery.receive(self.now, &incoming);
            } else if count == 0 {
                return self;
            }
        }
    }

    /// Does the same and lets timers expire, up to a time.
    fn run_until(mut self, when: u64) -> Self {
        self = self.run();
        while let Some(deadline) = self.discovery.next_deadline().filter(|&d| d <= when) {
            self.now = self.now.max(deadline);
            self.discovery.handle_timeout(self.now);
            self = self.run();
        }
        self.now = when;
        self
    }

    fn connects(&self) -> usize {
        let connect = |action: &&DiscoveryAction| matches!(action, DiscoveryAction::Connect { .. });
        self.actions.iter().filter(connect).count()
    }

    fn found(&self) -> Vec<(String, Vec<String>)> {
        let found = self.actions.iter().find_map(|action| match action {
            DiscoveryAction::Found(found) => Some(found.clone()),
            _ => None,
        });
        found
            .unwrap_or_else(|| panic!("{:#?}", self.actions))
            .into_iter()
            .map(|t| (t.name, t.portals.into_iter().map(|p| p.address).collect()))
            .collect()
    }

    fn failed(&self) -> String {
        match self.actions.last() {
            Some(DiscoveryAction::Failed(line)) => line.clone(),
            other => panic!("{other:?}"),
        }
    }
}

const ONE: &[u8] = b"TargetName=iqn.2026-11.example:a\0TargetAddress=10.0.0.1:3260,1\0";

#[test]
fn targets_are_found() {
    let run = run_with(vec![ONE]).run();
    assert_eq!(
        run.found(),
        [("iqn.2026-11.example:a".into(), vec!["10.0.0.1:3260".into()])]
    );
    assert!(
        run.peer
            .seen
            .iter()
            .any(|p| matches!(p, InitiatorPdu::LogoutRequest(_)))
    );
    assert_eq!(
        run.actions.last(),
        Some(&DiscoveryAction::Close { abort: false })
    );
    assert_eq!(run.discovery.next_deadline(), None);
}

#[test]
fn long_answers_come_in_parts() {
    let mut run = run_with(vec![
        b"TargetName=iqn.2026-11.example:a\0TargetAddr",
        b"ess=10.0.0.1:3260,1\0TargetName=iqn.2026",
        b"-11.example:b\0",
    ]);
    run.piece = 1;
    let found = run.run().found();
    assert_eq!(found.len(), 2);
    assert_eq!(
        found[1],
        ("iqn.2026-11.example:b".into(), vec!["10.0.0.1:3260".into()])
    );
}

#[test]
fn endless_answers_are_refused() {
    static LONG: [u8; 60_000] = [b'a'; 60_000];
    let line = run_with(vec![&LONG; 30]).run().failed();
    assert!(line.contains("more than 1048576 bytes"), "{line}");
}

#[test]
fn failures_name_the_portal() {
    let config = || Config::parse_discovery([("portal", "10.0.0.1:3260")]).unwrap();
    let mut discovery = Discovery::new(config(), [3; 32], 0);
    discovery.poll_action();
    discovery.disconnected(0, "connection refused");
    assert_eq!(
        discovery.poll_action(),
        Some(DiscoveryAction::Failed(
            "portal 10.0.0.1:3260: cannot connect: connection refused".into()
        ))
    );

    let mut discovery = Discovery::new(config(), [3; 32], 0);
    discovery.poll_action();
    discovery.handle_timeout(discovery.next_deadline().unwrap());
    assert_eq!(
        discovery.poll_action(),
        Some(DiscoveryAction::Close { abort: true })
    );
    assert!(matches!(
        discovery.poll_action(),
        Some(DiscoveryAction::Failed(_))
    ));
    assert_eq!(discovery.next_deadline(), None);
}

#[test]
fn a_refused_login_is_told() {
    let mut run = run_with(vec![ONE]);
    run.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.status = vcp_iscsi_proto::login::LoginStatus::AuthenticationFailure;
        }
        true
    }));
    assert!(run.run().failed().contains("authentication failure"));
}

#[test]
fn what_has_no_place_in_discovery_is_refused() {
    let error = Config::parse_discovery([("portal", "::1"), ("target", "iqn.2026-11.example:a")]);
    assert!(error.unwrap_err().to_string().starts_with("target:"));
}

#[test]
fn tag_of_the_final_answer_is_ignored() {
    let mut run = run_with(vec![ONE]);
    run.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::TextResponse(response) = pdu {
            response.ttt = 99;
        }
        true
    }));
    assert_eq!(run.run().found().len(), 1);
}

/// Some targets count every Text Request. A request with a number suits all of them.
#[test]
fn questions_have_numbers_of_their_own() {
    let mut run = run_with(vec![
        b"TargetName=iqn.2026-11.example:a\0TargetAddr",
        b"ess=10.0.0.1:3260,1\0",
    ]);
    run.peer.mangle = Some(Box::new(counts_every_text_request()));
    let run = run.run();
    assert_eq!(run.found().len(), 1);
    assert!(texts(&run).all(|immediate| !immediate));
}

/// A target whose window is closed after the login can be asked, too.
#[test]
fn questions_have_no_numbers_where_there_are_none() {
    let mut run = run_with(vec![ONE]);
    run.peer.settings.window = 0;
    let run = run.run();
    assert_eq!(run.found().len(), 1);
    assert!(texts(&run).all(|immediate| immediate));
}

/// Raises ExpCmdSN with every Text Response, whatever its request was.
fn counts_every_text_request() -> impl FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool {
    let mut expected = None;
    move |pdu, _| {
        match pdu {
            TargetPdu::LoginResponse(response) => expected = Some(response.sn.exp_cmd_sn),
            TargetPdu::TextResponse(response) => {
                let next = expected.expect("a login goes before").next();
                expected = Some(next);
                response.sn.exp_cmd_sn = next;
                response.sn.max_cmd_sn = next.add(8);
            }
            _ => {}
        }
        true
    }
}

/// Whether each Text Request was immediate.
fn texts(run: &Run) -> impl Iterator<Item = bool> {
    run.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::TextRequest(text) => Some(text.immediate),
        _ => None,
    })
}

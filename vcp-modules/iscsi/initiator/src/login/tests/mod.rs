//! Logins against a target that is played line by line.

mod operational;
mod security;
mod stages;
mod text;

use alloc::string::String;
use vcp_iscsi_proto::Isid;
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::TargetSn;

use super::*;

/// A login, and its last text.
struct Play {
    login: Login,
    stage: Stage,
    transit: Option<Stage>,
    text: String,
}

const OURS: [u8; 32] = [9; 32];

fn play(extra: &[(&str, &str)]) -> Play {
    play_with(extra, None, 8192)
}

fn play_with(extra: &[(&str, &str)], spent: Option<[u8; 32]>, segment: usize) -> Play {
    let basic = [
        ("portal", "10.0.0.1"),
        ("target", "iqn.2026-11.example:disk"),
        ("lun", "1"),
    ];
    let config = Config::parse(basic.iter().chain(extra).copied()).unwrap();
    play_as(&config, spent, segment)
}

fn play_as(config: &Config, spent: Option<[u8; 32]>, segment: usize) -> Play {
    let challenge = Challenge {
        identifier: 5,
        bytes: OURS,
    };
    let mut login = Login::new(config, false, challenge, spent);
    login.set_segment(segment);
    let mut play = Play {
        login,
        stage: Stage::Security,
        transit: None,
        text: String::new(),
    };
    play.ask();
    play
}

const CHAP: [(&str, &str); 2] = [("user", "me"), ("password", "secret-of-mine")];

const MUTUAL: [(&str, &str); 4] = [
    ("user", "me"),
    ("password", "secret-of-mine"),
    ("target-user", "you"),
    ("target-password", "secret-of-yours"),
];

impl Play {
    /// Takes the next request, over as many PDUs as it needs.
    fn ask(&mut self) {
        self.text.clear();
        loop {
            let request = self.login.request();
            assert_eq!(request.stage, self.login.stage);
            self.text += core::str::from_utf8(&request.text).unwrap();
            (self.stage, self.transit) = (request.stage, request.transit);
            if !request.is_continued {
                return;
            }
            assert_eq!(request.transit, None, "T and C exclude each other");
            let empty = self.response(None, false);
            assert_eq!(self.login.response(&empty, b""), Ok(Outcome::Continue));
        }
    }

    fn response(&self, transit: Option<Stage>, is_continued: bool) -> LoginResponse {
        LoginResponse {
            transit,
            is_continued,
            stage: self.stage,
            version_max: 0,
            version_active: 0,
            data_len: 0,
            isid: Isid::default(),
            tsih: 1,
            itt: 0,
            sn: TargetSn::default(),
            status: LoginStatus::Success,
        }
    }

    /// Gives a response, and takes the request that follows.
    fn hear(&mut self, transit: bool, text: &str) -> Result<Outcome, LoginError> {
        let response = self.response(self.transit.filter(|_| transit), false);
        let outcome = self.login.response(&response, text.as_bytes())?;
        if outcome == Outcome::Continue {
            self.ask();
        }
        Ok(outcome)
    }

    /// Does as `hear`, where the login must go on.
    fn tell(&mut self, transit: bool, text: &str) {
        assert_eq!(self.hear(transit, text), Ok(Outcome::Continue));
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.text
            .split('\0')
            .filter_map(|pair| pair.split_once('='))
            .find(|(k, _)| *k == key)
            .map(|(_, value)| value)
    }

    /// Proceeds to the operational stage, without authentication.
    fn operational(mut self) -> Self {
        self.tell(true, "AuthMethod=None\0TargetPortalGroupTag=1\0");
        assert_eq!(self.stage, Stage::Operational);
        self
    }

    fn done(&mut self, text: &str) -> Params {
        match self.hear(true, text) {
            Ok(Outcome::Done(params)) => params,
            other => panic!("{other:?}"),
        }
    }
}

fn authentication(result: Result<Outcome, LoginError>) -> String {
    match result {
        Err(LoginError::Authentication(line)) => line,
        other => panic!("{other:?}"),
    }
}

fn violation(result: Result<Outcome, LoginError>) -> String {
    match result {
        Err(LoginError::Protocol(line)) => line,
        other => panic!("{other:?}"),
    }
}

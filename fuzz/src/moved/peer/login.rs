//! The login: always answered as it should be.

use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::{LoginRequest, LoginResponse};
use vcp_iscsi_proto::text::{self, Key, KeyKind, Writer, pairs, value};

use super::Peer;
use crate::moved::settings::Settings;

impl Peer {
    pub(super) fn login(&mut self, request: &LoginRequest, data: &[u8], settings: &Settings) {
        self.exp_cmd_sn = request.sn.cmd_sn;
        let mut answer = Writer::new();
        let mut offered = false;
        for pair in pairs(data) {
            let pair = pair.expect("well-formed text");
            let Some(key) = Key::from_name(pair.key) else {
                continue;
            };
            offered |= key == Key::MaxBurstLength;
            if let Some(result) = agree(key, pair.value, settings) {
                answer.put(key.name(), result);
            }
        }
        if offered {
            answer.put(Key::MaxRecvDataSegmentLength.name(), settings.max_recv);
        }
        let done = request.transit == Some(Stage::FullFeature);
        let response = LoginResponse {
            transit: request.transit,
            is_continued: false,
            stage: request.stage,
            version_max: 0,
            version_active: 0,
            data_len: 0,
            isid: request.isid,
            tsih: u16::from(done),
            itt: request.itt,
            sn: self.status(),
            status: LoginStatus::Success,
        };
        self.send(response, answer.as_bytes());
    }
}

/// The answer to an offer; `None` for what needs none.
fn agree(key: Key, offered: &str, settings: &Settings) -> Option<String> {
    match key.spec().kind {
        KeyKind::Number { function, .. } => {
            let own = match key {
                Key::MaxBurstLength => settings.max_burst,
                Key::FirstBurstLength => settings.first_burst,
                Key::MaxOutstandingR2T => settings.max_outstanding_r2t,
                Key::DefaultTime2Wait => settings.time2wait,
                Key::MaxConnections => 1,
                _ => 0,
            };
            let offered = value::number(offered).expect("a number") as u32;
            Some(function.select(offered, own).to_string())
        }
        KeyKind::Boolean { function, .. } => {
            let own = match key {
                Key::InitialR2T => settings.initial_r2t,
                Key::ImmediateData => settings.immediate_data,
                _ => true,
            };
            Some(value::boolean_str(function.select(offered == "Yes", own)).into())
        }
        KeyKind::List { .. } => Some(text::NONE.into()),
        _ => None,
    }
}

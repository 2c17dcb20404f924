//! The login, and the scripted target's part in it.

use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::text::{Key, KeyKind, Writer, pairs, value};

use super::Peer;

impl Peer {
    pub(super) fn login(&mut self, request: &LoginRequest, data: &[u8]) {
        let first = self.login_itt.is_none();
        if first {
            self.exp_cmd_sn = request.sn.cmd_sn;
            self.logins += 1;
        }
        assert!(!request.is_continued, "login text fits into one PDU");
        assert_eq!((request.tsih, request.cid), (0, 0), "a new session");
        assert_eq!((request.version_min, request.version_max), (0, 0));
        assert_eq!(
            self.exp_cmd_sn, request.sn.cmd_sn,
            "one CmdSN for the whole login"
        );
        let itt = *self.login_itt.get_or_insert(request.itt);
        assert_eq!(request.itt, itt, "one tag for the whole login");
        let mut answer = Writer::new();
        if request.stage == Stage::Operational
            && !self.negotiated.contains_key(Key::MaxBurstLength.name())
        {
            for (key, value) in core::mem::take(&mut self.settings.extra_keys) {
                answer.put(key, value);
            }
        }
        for pair in pairs(data) {
            let pair = pair.unwrap();
            let Some(key) = Key::from_name(pair.key) else {
                continue;
            };
            let result = self.negotiate(key, pair.value);
            self.negotiated
                .insert(key.name(), result.clone().unwrap_or(pair.value.into()));
            if let Some(result) = result {
                answer.put(key.name(), result);
            }
        }
        if let (Some(group), true) = (self.settings.portal_group, first) {
            answer.put("TargetPortalGroupTag", group);
        }
        if request.stage == Stage::Operational && self.negotiated.len() > 4 {
            answer.put("MaxRecvDataSegmentLength", self.settings.max_recv);
        }
        let done = request.transit == Some(Stage::FullFeature);
        let sn = self.status();
        self.send(
            LoginResponse {
                transit: request.transit,
                is_continued: false,
                stage: request.stage,
                version_max: 0,
                version_active: 0,
                data_len: 0,
                isid: request.isid,
                tsih: if done { 77 } else { 0 },
                itt: request.itt,
                sn,
                status: LoginStatus::Success,
            },
            answer.as_bytes(),
        );
        self.full_feature = done;
    }

    pub(super) fn negotiate(&self, key: Key, offered: &str) -> Option<String> {
        let s = &self.settings;
        let number = match key {
            Key::MaxBurstLength => s.max_burst,
            Key::FirstBurstLength => s.first_burst,
            Key::MaxOutstandingR2T => s.max_outstanding_r2t,
            Key::DefaultTime2Wait => s.time2wait,
            Key::MaxConnections => 1,
            _ => 0,
        };
        match key.spec().kind {
            KeyKind::Number { function, .. } => {
                let offered = value::number(offered).unwrap() as u32;
                Some(function.select(offered, number).to_string())
            }
            KeyKind::Boolean { function, .. } => {
                let own = match key {
                    Key::InitialR2T => s.initial_r2t,
                    Key::ImmediateData => s.immediate_data,
                    _ => true,
                };
                let result = function.select(offered == "Yes", own);
                Some(value::boolean_str(result).to_string())
            }
            KeyKind::List { .. } => {
                let insists = s.insists_on_digests && key != Key::AuthMethod;
                let pick = if insists && offered.split(',').all(|one| one != "CRC32C") {
                    "Reject"
                } else if insists || s.digests && offered.starts_with("CRC32C") {
                    "CRC32C"
                } else {
                    "None"
                };
                Some(pick.to_string())
            }
            _ => None,
        }
    }
}

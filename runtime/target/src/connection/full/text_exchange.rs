//! Text Request and Response in full feature phase (RFC 7143 §11.10, §11.11):
//! SendTargets, and a new MaxRecvDataSegmentLength.

use vcp_iscsi_proto::pdu::{RejectReason, TextRequest, TextResponse};
use vcp_iscsi_proto::{Lun, RESERVED_TAG};

use super::super::input::Pdu;
use super::super::text::{self, MAX_TEXT};
use super::super::wire::{End, Wire};
use super::FullFeature;
use crate::chap::number;
use crate::target::PORTAL_GROUP;

/// A text exchange in progress.
pub(super) struct TextExchange {
    itt: u32,
    /// The tag that the initiator must repeat to go on; `None` while its text goes on.
    ttt: Option<u32>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl FullFeature {
    pub(super) fn text_request(
        &mut self,
        wire: &mut Wire,
        pdu: &Pdu<'_>,
        request: &TextRequest,
    ) -> Result<(), End> {
        let begins = request.ttt == RESERVED_TAG;
        let mut exchange = match self.exchange.take() {
            Some(old) if !begins => {
                if old.itt != request.itt || old.ttt != Some(request.ttt) {
                    wire.violate("Text Request goes on with another tag (RFC 7143 §11.10.4)");
                    self.reject(wire, pdu.header, RejectReason::InvalidPduField);
                    return Ok(());
                }
                old
            }
            None if !begins => {
                wire.violate("Text Request goes on with no exchange (RFC 7143 §11.10.4)");
                self.reject(wire, pdu.header, RejectReason::InvalidPduField);
                return Ok(());
            }
            // A new exchange resets the earlier one (RFC 7143 §11.10.4).
            _ => TextExchange {
                itt: request.itt,
                ttt: None,
                incoming: vec![],
                outgoing: vec![],
            },
        };
        if !exchange.outgoing.is_empty() {
            if !pdu.data.is_empty() {
                wire.violate("text before the target's own text has ended (RFC 7143 §11.11.1)");
            }
            self.answer_text(wire, exchange, true);
            return Ok(());
        }
        exchange.incoming.extend_from_slice(pdu.data);
        if exchange.incoming.len() > MAX_TEXT {
            return Err(wire.violated("a text of more than 64 KiB"));
        }
        if request.is_continued {
            self.answer_text(wire, exchange, false);
            return Ok(());
        }
        let incoming = std::mem::take(&mut exchange.incoming);
        match text::parse(&incoming) {
            Ok(pairs) => exchange.outgoing = self.text_answer(wire, &pairs),
            Err(error) => {
                wire.violate(format!("{error} (RFC 7143 §6.1)"));
                self.reject(wire, pdu.header, RejectReason::InvalidPduField);
                return Ok(());
            }
        }
        self.answer_text(wire, exchange, request.is_final);
        Ok(())
    }

    /// Sends the next piece of an answer.
    fn answer_text(&mut self, wire: &mut Wire, mut exchange: TextExchange, may_end: bool) {
        let limit = wire.target.config().policy.text_piece.unwrap_or(usize::MAX);
        let limit = limit.min(self.session.parameters.max_send as usize);
        let piece = text::take_piece(&mut exchange.outgoing, limit);
        let is_continued = !exchange.outgoing.is_empty();
        let is_final = may_end && !is_continued;
        let ttt = if is_final {
            RESERVED_TAG
        } else {
            self.new_ttt()
        };
        let sn = self.next_sn(wire);
        let response = TextResponse {
            is_final,
            is_continued,
            data_len: piece.len() as u32,
            lun: Lun(0),
            itt: exchange.itt,
            ttt,
            sn,
        };
        wire.send(response, &piece);
        if !is_final {
            exchange.ttt = Some(ttt);
            self.exchange = Some(exchange);
        }
    }

    fn text_answer(&mut self, wire: &Wire, pairs: &[text::Pair]) -> Vec<u8> {
        let mut said: Vec<text::Pair> = Vec::new();
        for (key, value) in pairs {
            match key.as_str() {
                "SendTargets" => said.extend(self.send_targets(wire, value)),
                "MaxRecvDataSegmentLength" => {
                    let size = number(value).filter(|size| (512..1 << 24).contains(size));
                    match size.and_then(|size| u32::try_from(size).ok()) {
                        Some(size) => {
                            let most = wire.target.config().policy.max_send_data_segment;
                            self.session.parameters.max_send = size.min(most).max(512);
                        }
                        None => wire.violate(format!("{key}={value} (RFC 7143 §13.12)")),
                    }
                }
                _ => said.push((key.clone(), "NotUnderstood".into())),
            }
        }
        text::emit(
            said.iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )
    }

    /// The records for SendTargets: all targets in a discovery session, only its own in a
    /// normal one (RFC 7143 §4.2.3).
    fn send_targets(&self, wire: &Wire, value: &str) -> Vec<text::Pair> {
        let own = self.session.node.as_ref().map(|node| node.name.as_str());
        if value == "All" && own.is_some() {
            wire.violate("SendTargets=All in a normal session (RFC 7143 App. C)");
            return vec![("SendTargets".into(), "Reject".into())];
        }
        let portals = &wire.target.config().portals;
        let here = std::slice::from_ref(&wire.portal);
        let portals = if portals.is_empty() { here } else { portals };
        let wanted = match value {
            "All" => None,
            "" => own,
            name => Some(name),
        };
        let mut said = Vec::new();
        let visible = |name: &str| own.is_none_or(|own| own == name);
        let asked = |name: &str| wanted.is_none_or(|wanted| wanted == name);
        for node in wire
            .target
            .nodes()
            .iter()
            .filter(|n| visible(&n.name) && asked(&n.name))
        {
            said.push(("TargetName".into(), node.name.clone()));
            let address = |portal: &String| format!("{portal},{PORTAL_GROUP}");
            said.extend(portals.iter().map(|p| ("TargetAddress".into(), address(p))));
        }
        said
    }
}

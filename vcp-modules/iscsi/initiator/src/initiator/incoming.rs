//! PDUs from the target: checks whether they are allowed, and passes them on. Every error
//! here ends the connection.

use alloc::format;
use alloc::string::ToString;

use vcp_iscsi_proto::bhs::RESERVED_TAG;
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::TargetPdu;

use super::session::Fault;
use super::{Initiator, Phase};
use crate::block::Memory;
use crate::connection::Sink;
use crate::wire::rx::Event;

impl Initiator {
    pub(super) fn incoming(
        &mut self,
        now: u64,
        mut bytes: &[u8],
        memory: &mut impl Memory,
    ) -> Result<(), Fault> {
        // The connection may be given up in the middle; the rest of its bytes is then
        // dropped.
        while let Some(connection) = &mut self.connection {
            match connection.rx.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(Event::Header)) => self.header()?,
                Ok(Some(Event::Data(chunk))) => self.data(chunk, memory)?,
                Ok(Some(Event::End)) => self.pdu(now)?,
                Err(error) => return Err(error.to_string().into()),
            }
        }
        Ok(())
    }

    /// Handles a header: checks whether it is allowed, and where its data goes.
    fn header(&mut self) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let pdu = TargetPdu::parse(connection.rx.header()).map_err(|e| e.to_string())?;
        connection.filled = 0;
        connection.collected.clear();
        connection.sink = Sink::Collect;
        connection.pdu = Some(pdu);
        let login = matches!(self.phase, Phase::Login(_));
        match pdu {
            TargetPdu::LoginResponse(_) if !login => Err("a Login Response after the login".into()),
            TargetPdu::LoginResponse(_) | TargetPdu::Reject(_) => Ok(()),
            _ if login => Err(format!("{:?} during login", pdu.opcode()).into()),
            TargetPdu::DataIn(data) => {
                let sink = self.data_in(&data)?;
                if let Some(connection) = &mut self.connection {
                    connection.sink = sink;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn data(&mut self, chunk: &[u8], memory: &mut impl Memory) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let length = chunk.len() as u32;
        match connection.sink {
            Sink::Memory(id, span) => {
                memory
                    .bytes_mut(span.part(connection.filled, length))
                    .copy_from_slice(chunk);
                self.tasks.get_mut(id).progress.stored += length;
            }
            Sink::Answer(id, place, offset) => {
                if let Some(survey) = &mut self.survey {
                    survey.store(place, offset + connection.filled, chunk);
                    self.tasks.get_mut(id).progress.stored += length;
                }
            }
            Sink::Collect => connection.collect(chunk)?,
        }
        connection.filled += length;
        Ok(())
    }

    /// Handles a complete PDU, whose digests are right.
    fn pdu(&mut self, now: u64) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let Some(pdu) = connection.pdu.take() else {
            return Ok(());
        };
        if let (TargetPdu::Reject(reject), Phase::Login(_)) = (&pdu, &self.phase) {
            // Only Login Responses are allowed there (RFC 7143 §4.2.4); but a Reject has
            // the reason.
            return Err(format!("rejected during login: {}", reject.reason).into());
        }
        let failed_login =
            matches!(&pdu, TargetPdu::LoginResponse(r) if r.status != LoginStatus::Success);
        if !failed_login && !connection.numbers.window(&pdu.sn()) {
            return Err("it acknowledges commands that were never sent".into());
        }
        if let TargetPdu::DataIn(data) = &pdu {
            return self.data_in_end(now, data);
        }
        let data = core::mem::take(&mut connection.collected);
        let result = self.other_pdu(now, &pdu, &data);
        if let Some(connection) = &mut self.connection {
            connection.collected = data;
        }
        result
    }

    fn other_pdu(&mut self, now: u64, pdu: &TargetPdu, data: &[u8]) -> Result<(), Fault> {
        self.acknowledge(pdu)?;
        match pdu {
            TargetPdu::LoginResponse(response) => self.login_response(now, response, data),
            TargetPdu::ScsiResponse(response) => self.response(now, response, data),
            TargetPdu::R2t(r2t) => self.r2t(r2t),
            TargetPdu::NopIn(nop) => self.nop_in(now, nop),
            TargetPdu::TaskResponse(response) => self.task_response(now, response),
            TargetPdu::TextResponse(response) => self.text_response(response, data),
            TargetPdu::LogoutResponse(response) => self.logout_response(response),
            TargetPdu::AsyncMessage(message) => self.async_message(now, message, data),
            TargetPdu::Reject(reject) => self.rejected(now, reject, data),
            TargetPdu::DataIn(_) => Ok(()),
        }
    }

    /// Checks the StatSN of a PDU that carries a status (RFC 7143 §4.2.2.2).
    fn acknowledge(&mut self, pdu: &TargetPdu) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let sn = pdu.sn();
        match pdu {
            // The StatSN of these is only the next one.
            TargetPdu::R2t(_) => return Ok(()),
            TargetPdu::NopIn(nop) if nop.itt == RESERVED_TAG => return Ok(()),
            TargetPdu::LoginResponse(response) => {
                if response.status != LoginStatus::Success {
                    return Ok(());
                }
                if !core::mem::replace(&mut connection.heard, true) {
                    connection.numbers.start_status(sn.stat_sn);
                }
            }
            _ => {}
        }
        if connection.numbers.status(&sn) {
            connection.unconfirmed.get_or_insert(self.last_heard);
            Ok(())
        } else {
            let expected = connection.numbers.exp_stat_sn();
            Err(format!("StatSN {} where {expected} is due", sn.stat_sn).into())
        }
    }
}

//! Asynchronous Message (RFC 7143 §11.9): an unsolicited message of a target.

use super::common::{FINAL, TargetSn, begin, expect};
use crate::bhs::{BhsBytes, Opcode, RESERVED_TAG};
use crate::error::Error;
use crate::field::{put_u16, put_u32, put_u64, u16_at, u24_at, u64_at};
use crate::lun::Lun;

/// The event reported, with its parameters. Times are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsyncEvent {
    /// 0: a SCSI asynchronous event; the sense data is in the data segment.
    Scsi,
    /// 1: the target asks for a logout within the time given.
    LogoutRequest {
        /// Seconds until the target drops the connection.
        within: u16,
    },
    /// 2: the target drops or has dropped one connection.
    DropConnection {
        /// The connection.
        cid: u16,
        /// Seconds to wait before connecting again.
        time2wait: u16,
        /// Seconds after that for which tasks may be reassigned.
        time2retain: u16,
    },
    /// 3: the target drops or has dropped all connections of the session.
    DropSession {
        /// Seconds to wait before connecting again.
        time2wait: u16,
        /// Seconds after that for which tasks may be reassigned.
        time2retain: u16,
    },
    /// 4: the target asks for a text negotiation within the time given.
    Negotiate {
        /// Seconds until the target drops the connection.
        within: u16,
    },
    /// 5: all active tasks of the LUN are being terminated. The initiator stops their
    /// Data-Outs and acknowledges the message's StatSN by a NOP-Out.
    TasksTerminated,
    /// A vendor's event or a code unknown here, with AsyncVCode and the three parameters.
    Other {
        /// AsyncEvent.
        event: u8,
        /// AsyncVCode.
        vendor_code: u8,
        /// Parameter1 to Parameter3.
        parameters: [u16; 3],
    },
}

/// Asynchronous Message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncMessage {
    /// The event.
    pub event: AsyncEvent,
    /// Length of the data segment: sense length, sense data, event data; see
    /// [`split_sense`](super::split_sense).
    pub data_len: u32,
    /// The logical unit, where the event has one.
    pub lun: Lun,
    /// StatSN, ExpCmdSN and MaxCmdSN.
    pub sn: TargetSn,
}

impl AsyncMessage {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::AsyncMessage)?;
        let parameters = [u16_at(b, 38), u16_at(b, 40), u16_at(b, 42)];
        let [p1, p2, p3] = parameters;
        let event = match b[36] {
            0 => AsyncEvent::Scsi,
            1 => AsyncEvent::LogoutRequest { within: p3 },
            2 => AsyncEvent::DropConnection {
                cid: p1,
                time2wait: p2,
                time2retain: p3,
            },
            3 => AsyncEvent::DropSession {
                time2wait: p2,
                time2retain: p3,
            },
            4 => AsyncEvent::Negotiate { within: p3 },
            5 => AsyncEvent::TasksTerminated,
            event => AsyncEvent::Other {
                event,
                vendor_code: b[37],
                parameters,
            },
        };
        Ok(Self {
            event,
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            sn: TargetSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(b, Opcode::AsyncMessage, false, FINAL, self.data_len);
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, RESERVED_TAG);
        self.sn.emit(b);
        let (event, vendor_code, parameters) = match self.event {
            AsyncEvent::Scsi => (0, 0, [0; 3]),
            AsyncEvent::LogoutRequest { within } => (1, 0, [0, 0, within]),
            AsyncEvent::DropConnection {
                cid,
                time2wait,
                time2retain,
            } => (2, 0, [cid, time2wait, time2retain]),
            AsyncEvent::DropSession {
                time2wait,
                time2retain,
            } => (3, 0, [0, time2wait, time2retain]),
            AsyncEvent::Negotiate { within } => (4, 0, [0, 0, within]),
            AsyncEvent::TasksTerminated => (5, 0, [0; 3]),
            AsyncEvent::Other {
                event,
                vendor_code,
                parameters,
            } => (event, vendor_code, parameters),
        };
        b[36] = event;
        b[37] = vendor_code;
        for (at, parameter) in [38, 40, 42].into_iter().zip(parameters) {
            put_u16(b, at, parameter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, target_sn};
    use super::*;
    use crate::bhs::BHS_LEN;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = AsyncEvent> {
        let triple = any::<(u16, u16, u16)>;
        prop_oneof![
            Just(AsyncEvent::Scsi),
            any::<u16>().prop_map(|within| AsyncEvent::LogoutRequest { within }),
            triple().prop_map(|(cid, time2wait, time2retain)| AsyncEvent::DropConnection {
                cid,
                time2wait,
                time2retain
            }),
            triple().prop_map(|(time2wait, time2retain, _)| AsyncEvent::DropSession {
                time2wait,
                time2retain
            }),
            any::<u16>().prop_map(|within| AsyncEvent::Negotiate { within }),
            Just(AsyncEvent::TasksTerminated),
            (6..=255u8, any::<u8>(), any::<[u16; 3]>()).prop_map(
                |(event, vendor_code, parameters)| AsyncEvent::Other {
                    event,
                    vendor_code,
                    parameters
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn round_trip(event in event(), lun: u64, data_len in data_len(), sn in target_sn()) {
            let message = AsyncMessage { event, data_len, lun: Lun(lun), sn };
            let mut b = [0xff; BHS_LEN];
            message.emit(&mut b);
            prop_assert_eq!(AsyncMessage::parse(&b), Ok(message));
        }
    }
}

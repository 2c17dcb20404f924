//! Login Request and Response (RFC 7143 §11.12, §11.13).

use super::common::{FINAL, InitiatorSn, TargetSn, begin, expect, flag};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{put_u16, put_u32, u16_at, u24_at, u32_at};
use crate::isid::Isid;
use crate::login::{LoginStatus, Stage};

const CONTINUE: u8 = 0x40;

/// Login Request. Always immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginRequest {
    /// The stage to go on to (T bit and NSG), when the initiator is ready for it.
    pub transit: Option<Stage>,
    /// The text goes on in the next request. Excludes `transit`.
    pub is_continued: bool,
    /// The stage that this request belongs to.
    pub stage: Stage,
    /// Highest protocol version supported (0 for RFC 7143).
    pub version_max: u8,
    /// Lowest protocol version supported.
    pub version_min: u8,
    /// Length of the text.
    pub data_len: u32,
    /// The initiator's part of the session identifier.
    pub isid: Isid,
    /// The target's part; 0 for a new session.
    pub tsih: u16,
    /// Initiator task tag, one for the whole login.
    pub itt: u32,
    /// Connection identifier within the session.
    pub cid: u16,
    /// CmdSN, which stays the same for the whole login, and ExpStatSN.
    pub sn: InitiatorSn,
}

impl LoginRequest {
    /// Reads the header. Whether the stages follow one another is for the caller to
    /// see.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] for the reserved stage, or for both the
    /// T and the C bit.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::LoginRequest)?;
        let (transit, is_continued, stage) = stages(b, "Login Request")?;
        Ok(Self {
            transit,
            is_continued,
            stage,
            version_max: b[2],
            version_min: b[3],
            data_len: u24_at(b, 5),
            isid: isid(b),
            tsih: u16_at(b, 14),
            itt: u32_at(b, 16),
            cid: u16_at(b, 20),
            sn: InitiatorSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        let flags = flags(self.transit, self.is_continued, self.stage);
        begin(b, Opcode::LoginRequest, true, flags, self.data_len);
        b[2] = self.version_max;
        b[3] = self.version_min;
        b[8..14].copy_from_slice(&self.isid.0);
        put_u16(b, 14, self.tsih);
        put_u32(b, 16, self.itt);
        put_u16(b, 20, self.cid);
        self.sn.emit(b);
    }
}

/// Login Response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginResponse {
    /// The stage that the target goes on to with the initiator (T bit and NSG).
    pub transit: Option<Stage>,
    /// The text goes on in the next response. Excludes `transit`.
    pub is_continued: bool,
    /// The stage that this response belongs to.
    pub stage: Stage,
    /// Highest protocol version supported.
    pub version_max: u8,
    /// The version in use.
    pub version_active: u8,
    /// Length of the text.
    pub data_len: u32,
    /// The initiator's part of the session identifier, repeated.
    pub isid: Isid,
    /// The target's part; valid in the last response.
    pub tsih: u16,
    /// Initiator task tag of the login.
    pub itt: u32,
    /// StatSN, ExpCmdSN and MaxCmdSN.
    pub sn: TargetSn,
    /// How the login stands.
    pub status: LoginStatus,
}

impl LoginResponse {
    /// Reads the header. A response with a failing status is read whatever its stages
    /// say, because they mean nothing then.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] for the reserved stage, or for both the
    /// T and the C bit.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::LoginResponse)?;
        let status = LoginStatus::new(b[36], b[37]);
        let (transit, is_continued, stage) = match stages(b, "Login Response") {
            Err(_) if status != LoginStatus::Success => (None, false, Stage::Security),
            stages => stages?,
        };
        Ok(Self {
            transit,
            is_continued,
            stage,
            version_max: b[2],
            version_active: b[3],
            data_len: u24_at(b, 5),
            isid: isid(b),
            tsih: u16_at(b, 14),
            itt: u32_at(b, 16),
            sn: TargetSn::parse(b),
            status,
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        let flags = flags(self.transit, self.is_continued, self.stage);
        begin(b, Opcode::LoginResponse, false, flags, self.data_len);
        b[2] = self.version_max;
        b[3] = self.version_active;
        b[8..14].copy_from_slice(&self.isid.0);
        put_u16(b, 14, self.tsih);
        put_u32(b, 16, self.itt);
        self.sn.emit(b);
        b[36] = self.status.class();
        b[37] = self.status.detail();
    }
}

fn isid(b: &BhsBytes) -> Isid {
    Isid([b[8], b[9], b[10], b[11], b[12], b[13]])
}

/// T and NSG, C, CSG. NSG is reserved without T.
fn stages(b: &BhsBytes, structure: &'static str) -> Result<(Option<Stage>, bool, Stage), Error> {
    let flags = b[1];
    let stage = Stage::from_bits(flags >> 2).ok_or(Error::field(structure, "CSG"))?;
    let is_continued = flags & CONTINUE != 0;
    if flags & FINAL == 0 {
        return Ok((None, is_continued, stage));
    }
    if is_continued {
        return Err(Error::field(structure, "T and C bits"));
    }
    let next = Stage::from_bits(flags).ok_or(Error::field(structure, "NSG"))?;
    Ok((Some(next), false, stage))
}

fn flags(transit: Option<Stage>, is_continued: bool, stage: Stage) -> u8 {
    transit.map_or(0, |next| FINAL | next as u8) | flag(is_continued, CONTINUE) | (stage as u8) << 2
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, initiator_sn, target_sn};
    use super::*;
    use crate::bhs::BHS_LEN;
    use proptest::prelude::*;

    /// The first request of a login without authentication.
    const REQUEST: [u8; 48] = [
        0x43, 0x87, 0x00, 0x00, 0x00, 0x00, 0x01, 0x2c, // T, operational to full feature
        0x80, 0x12, 0x34, 0x56, 0x00, 0x01, 0x00, 0x00, // ISID (random), TSIH
        0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, // ITT, CID
        0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, // CmdSN, ExpStatSN
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn request_layout() {
        let request = LoginRequest::parse(&REQUEST).unwrap();
        assert_eq!(request.stage, Stage::Operational);
        assert_eq!(request.transit, Some(Stage::FullFeature));
        assert_eq!(
            (request.isid, request.data_len),
            (Isid::random(0x123456, 1), 300)
        );
        let mut out = [0xff; BHS_LEN];
        request.emit(&mut out);
        assert_eq!(out, REQUEST);
    }

    #[test]
    fn impossible_stages_are_refused() {
        for flags in [0x08, 0x86, 0xc7] {
            let mut b = REQUEST;
            b[1] = flags;
            assert!(LoginRequest::parse(&b).is_err(), "{flags:#x}");
        }
        let mut b = REQUEST;
        b[1] = 0x06; // NSG is reserved without T
        assert_eq!(LoginRequest::parse(&b).unwrap().transit, None);
    }

    #[test]
    fn a_failure_is_read_whatever_its_stages() {
        let mut b = [0; BHS_LEN];
        b[..2].copy_from_slice(&[0x23, 0xcb]);
        assert!(LoginResponse::parse(&b).is_err());
        b[36..38].copy_from_slice(&[2, 1]);
        assert_eq!(
            LoginResponse::parse(&b).unwrap().status,
            LoginStatus::AuthenticationFailure
        );
    }

    fn stage() -> impl Strategy<Value = Stage> {
        prop_oneof![
            Just(Stage::Security),
            Just(Stage::Operational),
            Just(Stage::FullFeature)
        ]
    }

    proptest! {
        #[test]
        fn request_round_trip(
            (stage, transit, is_continued) in (stage(), proptest::option::of(stage()), any::<bool>()),
            (version_max, version_min, isid, tsih) in any::<(u8, u8, [u8; 6], u16)>(),
            (itt, cid) in any::<(u32, u16)>(),
            (data_len, sn) in (data_len(), initiator_sn()),
        ) {
            let request = LoginRequest {
                transit, is_continued: is_continued && transit.is_none(), stage, version_max,
                version_min, data_len, isid: Isid(isid), tsih, itt, cid, sn,
            };
            let mut b = [0xff; BHS_LEN];
            request.emit(&mut b);
            prop_assert_eq!(LoginRequest::parse(&b), Ok(request));
        }

        #[test]
        fn response_round_trip(
            (stage, transit, is_continued) in (stage(), proptest::option::of(stage()), any::<bool>()),
            (version_max, version_active, isid, tsih) in any::<(u8, u8, [u8; 6], u16)>(),
            (itt, class, detail) in any::<(u32, u8, u8)>(),
            (data_len, sn) in (data_len(), target_sn()),
        ) {
            let response = LoginResponse {
                transit, is_continued: is_continued && transit.is_none(), stage, version_max,
                version_active, data_len, isid: Isid(isid), tsih, itt, sn,
                status: LoginStatus::new(class, detail),
            };
            let mut b = [0xff; BHS_LEN];
            response.emit(&mut b);
            prop_assert_eq!(LoginResponse::parse(&b), Ok(response));
        }
    }
}

//! The bytes of a connection to the scripted target: PDUs with their padding and digests.
//! All reserved bits of received PDUs are checked.

use vcp_iscsi_proto::Crc32c;
use vcp_iscsi_proto::bhs::{BHS_LEN, Bhs};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::text::Key;

use super::Peer;

impl Peer {
    fn digest(&self, key: Key) -> bool {
        self.full_feature
            && self
                .negotiated
                .get(key.name())
                .is_some_and(|v| v == "CRC32C")
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            let Some(header) = self.input.first_chunk::<BHS_LEN>().copied() else {
                return;
            };
            let bhs = Bhs::parse(&header);
            let layout = bhs.layout(self.digest(Key::HeaderDigest), self.digest(Key::DataDigest));
            if self.input.len() < layout.total {
                return;
            }
            let pdu: Vec<u8> = self.input.drain(..layout.total).collect();
            if layout.data_start > layout.header_len {
                let digest = Crc32c::of(&pdu[..layout.header_len]);
                assert_eq!(
                    pdu[layout.header_len..layout.data_start],
                    digest,
                    "header digest"
                );
            }
            if layout.has_data_digest() {
                let digest = Crc32c::of(&pdu[layout.data_start..layout.data_end()]);
                assert_eq!(pdu[layout.data_end()..], digest, "data digest");
            }
            let data = &pdu[layout.data_start..layout.data_start + layout.data_len];
            let padding = &pdu[layout.data_start + layout.data_len..layout.data_end()];
            assert!(padding.iter().all(|&b| b == 0), "padding");
            let parsed = InitiatorPdu::parse(&header).expect("a PDU of an initiator");
            let mut again = [0; BHS_LEN];
            parsed.emit(&mut again);
            assert_eq!(header, again, "reserved bits are zero");
            self.take(parsed, data.to_vec());
        }
    }

    pub fn send(&mut self, pdu: impl Into<TargetPdu>, data: &[u8]) {
        let mut pdu = pdu.into();
        let mut data = data.to_vec();
        set_len(&mut pdu, data.len() as u32);
        if let Some(mangle) = &mut self.mangle
            && !mangle(&mut pdu, &mut data)
        {
            return;
        }
        let mut header = [0; BHS_LEN];
        pdu.emit(&mut header);
        if self.scribble {
            scribble(&pdu, &mut header);
        }
        self.send_raw(&header, &data);
    }

    /// Sends a header and data segment unchanged, with padding and digests.
    pub fn send_raw(&mut self, header: &[u8; BHS_LEN], data: &[u8]) {
        self.out.extend(header);
        if self.digest(Key::HeaderDigest) {
            self.out.extend(Crc32c::of(header));
        }
        let mut data = data.to_vec();
        let has_data = !data.is_empty();
        data.resize(data.len().next_multiple_of(4), 0);
        self.out.extend(&data);
        if has_data && self.digest(Key::DataDigest) {
            self.out.extend(Crc32c::of(&data));
        }
    }
}

/// Sets reserved bits, and the residual count where no flag announces one.
fn scribble(pdu: &TargetPdu, header: &mut [u8; BHS_LEN]) {
    match pdu {
        TargetPdu::NopIn(_) => {
            header[2..4].fill(0xff);
            header[36..].fill(0xff);
        }
        TargetPdu::R2t(_) => header[2..4].fill(0xff),
        TargetPdu::DataIn(p) => {
            header[1] |= 0x38;
            header[2] = 0xff;
            if p.residual == Residual::None {
                header[44..].fill(0xff);
            }
        }
        TargetPdu::ScsiResponse(p) => {
            header[1] |= 0x61;
            if p.residual == Residual::None {
                header[44..].fill(0xff);
            }
        }
        _ => {}
    }
}

fn set_len(pdu: &mut TargetPdu, length: u32) {
    match pdu {
        TargetPdu::NopIn(p) => p.data_len = length,
        TargetPdu::ScsiResponse(p) => p.data_len = length,
        TargetPdu::TaskResponse(p) => p.data_len = length,
        TargetPdu::LoginResponse(p) => p.data_len = length,
        TargetPdu::TextResponse(p) => p.data_len = length,
        TargetPdu::DataIn(p) => p.data_len = length,
        TargetPdu::LogoutResponse(p) => p.data_len = length,
        TargetPdu::R2t(p) => p.data_len = length,
        TargetPdu::AsyncMessage(p) => p.data_len = length,
        TargetPdu::Reject(p) => p.data_len = length,
    }
}

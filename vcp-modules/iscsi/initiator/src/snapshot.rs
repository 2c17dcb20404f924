//! What the next version of an initiator needs to go on with a session: plain data,
//! checked before it is believed. Holds no secret.

use alloc::string::String;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vcp_iscsi_proto::Lun;

use crate::config::{Config, DigestPolicy, Forms, Offer};
use crate::login::Params;
use crate::scsi::Device;
use crate::wire::numbers::{Numbers, NumbersState};

/// A session as it stands between two commands, made by
/// [`Initiator::snapshot`](crate::Initiator::snapshot) and taken over by
/// [`Initiator::resume`](crate::Initiator::resume). What its connection has received
/// and not passed on, and sent and not got acknowledged, is the caller's to hand
/// over beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Of the configuration that the session was made with.
    pub(crate) fingerprint: [u8; 32],
    /// The portal to begin with, and the one in use.
    pub(crate) portal: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) portal_group: Option<(SocketAddr, u16)>,
    pub(crate) params: Params,
    pub(crate) numbers: NumbersState,
    /// Where the count of initiator task tags is.
    pub(crate) tags: u16,
    /// Where the logical unit is: its eight bytes.
    pub(crate) lun: u64,
    pub(crate) device: Device,
    /// It has still to be asked what it did not answer.
    pub(crate) unsettled: bool,
    /// The challenge of the last login, which was on the wire.
    pub(crate) spent: Option<[u8; 32]>,
    /// An earlier write has failed, and no flush has said so yet.
    pub(crate) lost_write: bool,
    /// The target was found to know no CHAP with SHA-256.
    pub(crate) without_sha256: bool,
    /// In which the target takes the names.
    pub(crate) forms: Forms,
}

/// The longest name of a medium: four times what a designator can hold.
const MAX_IDENTITY: usize = 1024;
const SEGMENT: core::ops::RangeInclusive<u32> = 512..=(1 << 24) - 1;

impl Snapshot {
    /// Whether an initiator with this configuration can go on with it; if not, why.
    pub(crate) fn check(&self, config: &Config) -> Result<Numbers, String> {
        if self.fingerprint != fingerprint(config) {
            return Err("the session was made with another configuration".into());
        }
        let addresses = [Some(self.portal), Some(self.address)];
        let group = self.portal_group.map(|(address, _)| address);
        if addresses
            .into_iter()
            .chain([group])
            .flatten()
            .any(|a| a.port() == 0)
        {
            return Err("a snapshot with an address that cannot be".into());
        }
        if Lun(self.lun).number() != Some(config.lun) {
            return Err("a snapshot of another logical unit".into());
        }
        check_params(&self.params, &config.offer)?;
        check_device(&self.device)?;
        Numbers::restore(self.numbers)
            .ok_or_else(|| "a snapshot with sequence numbers that cannot be".into())
    }
}

fn check_params(params: &Params, offer: &Offer) -> Result<(), String> {
    let digest = |policy, agreed: bool| match policy {
        DigestPolicy::None => !agreed,
        DigestPolicy::Crc32c => agreed,
        DigestPolicy::Accept | DigestPolicy::Prefer => true,
    };
    let good = digest(offer.header_digest, params.header_digest)
        && digest(offer.data_digest, params.data_digest)
        && SEGMENT.contains(&params.max_send_segment)
        && SEGMENT.contains(&params.max_burst)
        && (*SEGMENT.start()..=params.max_burst).contains(&params.first_burst)
        && (1..=65535).contains(&params.max_outstanding_r2t)
        && params.time2wait <= 3600;
    match good {
        true => Ok(()),
        false => Err("a snapshot with parameters that nobody agrees on".into()),
    }
}

/// As strict as the survey is with what a logical unit says.
fn check_device(device: &Device) -> Result<(), String> {
    let power = |bytes: u32, longest| bytes.is_power_of_two() && (512..=longest).contains(&bytes);
    let block = device.block_size;
    let good = power(block, 65536)
        && power(device.physical_block_size, 1 << 20)
        && device.blocks > 0
        && device.blocks.checked_mul(block.into()).is_some()
        && device.max_transfer >= block
        && device.max_transfer.is_multiple_of(block)
        && device.identity.is_sound(MAX_IDENTITY);
    match good {
        true => Ok(()),
        false => Err("a snapshot of a logical unit that cannot be".into()),
    }
}

/// Whatever of a configuration makes a session what it is: who talks to whom, where,
/// and what was offered. Secrets are not in it, for a hash would give short ones away.
pub(crate) fn fingerprint(config: &Config) -> [u8; 32] {
    let Offer {
        header_digest,
        data_digest,
        max_recv_data_segment_length,
        max_burst_length,
        first_burst_length,
        initial_r2t,
        immediate_data,
        max_outstanding_r2t,
    } = config.offer;
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    put(alloc::format!("{}", config.portal).as_bytes());
    put(config.names.target().as_bytes());
    put(&config.lun.to_be_bytes());
    put(config.names.initiator().as_bytes());
    put(&config.isid.0);
    let chap = config.chap.as_ref();
    put(chap.map_or(&[], |chap| chap.user.as_bytes()));
    let peer = chap.and_then(|chap| chap.target.as_ref());
    put(&[chap.is_some().into(), peer.is_some().into()]);
    put(peer
        .and_then(|peer| peer.user.as_deref())
        .unwrap_or_default()
        .as_bytes());
    for policy in [header_digest, data_digest] {
        put(&[match policy {
            // These differ in what may be agreed on, which is looked at by itself: with
            // neither was a digest wanted.
            DigestPolicy::None | DigestPolicy::Accept => 0,
            DigestPolicy::Crc32c => 1,
            DigestPolicy::Prefer => 2,
        }]);
    }
    for number in [
        max_recv_data_segment_length,
        max_burst_length,
        first_burst_length,
        initial_r2t.into(),
        immediate_data.into(),
        max_outstanding_r2t,
    ] {
        put(&number.to_be_bytes());
    }
    hash.finalize().into()
}

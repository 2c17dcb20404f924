//! The state that the next version of an initiator needs to resume a session: plain data,
//! checked before use. Holds no secret.

use alloc::string::String;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vcp_iscsi_proto::Lun;

use crate::config::{Config, DigestPolicy, Forms, Offer};
use crate::login::Params;
use crate::scsi::Device;
use crate::wire::numbers::{Numbers, NumbersState};

/// A session between two commands, made by
/// [`Initiator::snapshot`](crate::Initiator::snapshot) and taken over by
/// [`Initiator::resume`](crate::Initiator::resume). The caller has to hand over beside it
/// the bytes that its connection has received and not passed on, and sent without
/// acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The fingerprint of the session's configuration.
    pub(crate) fingerprint: [u8; 32],
    /// The configured portal, and the one in use.
    pub(crate) portal: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) portal_group: Option<(SocketAddr, u16)>,
    pub(crate) params: Params,
    pub(crate) numbers: NumbersState,
    /// The count of initiator task tags.
    pub(crate) tags: u16,
    /// The eight bytes of the logical unit's LUN.
    pub(crate) lun: u64,
    pub(crate) device: Device,
    /// Whether it has still to be asked what it did not answer.
    pub(crate) unsettled: bool,
    /// The challenge of the last login, which was on the wire.
    pub(crate) spent: Option<[u8; 32]>,
    /// Whether an earlier write has failed, and no flush has reported it yet.
    pub(crate) lost_write: bool,
    /// Whether the target was found not to know CHAP with SHA-256.
    pub(crate) without_sha256: bool,
    /// The forms in which the target knows the names.
    pub(crate) forms: Forms,
}

/// The longest name of a medium: four times what a designator can hold.
const MAX_IDENTITY: usize = 1024;
const SEGMENT: core::ops::RangeInclusive<u32> = 512..=(1 << 24) - 1;

impl Snapshot {
    /// Checks that an initiator with this configuration can resume it; if not, says why.
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

/// Checks a device as strictly as the survey checks a logical unit's answers.
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

/// A hash of all configuration that determines a session: the identities, the addresses,
/// and the offers. Secrets are not in it, for a hash would give short ones away.
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
            // These differ in what may be agreed on, which is checked separately: with
            // neither was a digest requested.
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

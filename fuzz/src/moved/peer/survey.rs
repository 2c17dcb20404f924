//! What the initiator asks the disk about itself: always answered as it should be.

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::scsi::*;

use crate::moved::settings::Settings;

/// Blocks of the disk: more than all requests of a run have to themselves.
const BLOCKS: u64 = 1 << 24;
const BLOCK: u32 = crate::moved::ledger::BLOCK;

/// The data that answers a question; `Err`: the sense code of a refusal.
pub(super) fn answer(command: &Command, settings: &Settings) -> Result<Vec<u8>, Asc> {
    Ok(match command {
        Command::TestUnitReady => Vec::new(),
        Command::ReportLuns { .. } => emit_luns(&[Lun::default(), unit()]),
        Command::Inquiry { vpd: None, .. } => inquiry().emit().to_vec(),
        Command::Inquiry {
            vpd: Some(code), ..
        } => page(*code, settings)?,
        Command::ReadCapacity16 { .. } => capacity().emit().to_vec(),
        Command::ModeSense { form, .. } => settings.mode.emit(*form, &[]),
        _ => return Err(Asc::INVALID_OPCODE),
    })
}

/// The logical unit.
fn unit() -> Lun {
    Lun::new(1).expect("a small number")
}

fn inquiry() -> Inquiry {
    Inquiry {
        qualifier: PeripheralQualifier::Connected,
        device_type: Inquiry::DIRECT_ACCESS,
        removable: false,
        version: 6,
        command_queue: true,
        vendor: Inquiry::ascii("VCP"),
        product: Inquiry::ascii("Moved"),
        revision: Inquiry::ascii("1"),
    }
}

fn capacity() -> Capacity16 {
    Capacity16 {
        last_lba: BLOCKS - 1,
        block_len: BLOCK,
        protection: false,
        physical_exponent: 0,
        provisioning: true,
        reads_zeros: true,
        lowest_aligned: 0,
    }
}

fn page(code: u8, settings: &Settings) -> Result<Vec<u8>, Asc> {
    let mut pages = vec![
        page::SUPPORTED_PAGES,
        page::SERIAL_NUMBER,
        page::BLOCK_LIMITS,
    ];
    pages.extend(
        settings
            .provisioning
            .map(|_| page::LOGICAL_BLOCK_PROVISIONING),
    );
    let data = match code {
        page::SUPPORTED_PAGES => pages,
        page::SERIAL_NUMBER => b"moved-1".to_vec(),
        page::BLOCK_LIMITS => settings.limits.emit().to_vec(),
        page::LOGICAL_BLOCK_PROVISIONING => {
            let provisioning = settings.provisioning.ok_or(Asc::INVALID_FIELD_IN_CDB)?;
            provisioning.emit().to_vec()
        }
        _ => return Err(Asc::INVALID_FIELD_IN_CDB),
    };
    let mut out = Vec::new();
    Vpd {
        peripheral: 0,
        page: code,
        data: &data,
    }
    .emit(&mut out);
    Ok(out)
}

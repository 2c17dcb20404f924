//! Translation of a request, or its next part, to a SCSI command (SBC-3).

use vcp_iscsi_proto::scsi::{Command as Cdb, Extent, emit_unmap};

use super::Device;
use crate::block::{Operation, Request};
use crate::task::{Command, Data, Step};
use crate::wire::tx::Short;

/// The command for the part of `request` from byte `done` on, or for the cache behind it.
/// The device does not refuse the request.
pub(crate) fn plan(device: &Device, request: &Request, step: Step, done: u32) -> Command {
    if step == Step::Sync || request.operation == Operation::Flush {
        return synchronize();
    }
    let part = Part::new(device, request, done);
    match request.operation {
        Operation::Read => {
            let cdb = Cdb::Read {
                lba: part.lba,
                blocks: part.blocks,
                fua: false,
                dpo: false,
            };
            part.command(
                cdb.emit(),
                Data::In(request.data.part(done, part.length)),
                part.length,
            )
        }
        Operation::Write => {
            let data = Data::Out(request.data.part(done, part.length));
            part.write(request.fua && device.fua, data)
        }
        Operation::Discard if device.max_unmap > 0 => unmap(&part),
        Operation::Discard => write_same(&part, device, true),
        Operation::WriteZeroes if device.max_write_same > 0 => {
            let unmap = !request.no_unmap && device.write_same_unmaps && device.unmapped_is_zero;
            write_same(&part, device, unmap)
        }
        Operation::WriteZeroes => part.write(request.fua && device.fua, Data::Zeroes),
        Operation::Flush => synchronize(),
    }
}

/// Consecutive blocks for one command.
struct Part {
    lba: u64,
    blocks: u32,
    /// The length in bytes.
    length: u32,
}

impl Part {
    fn new(device: &Device, request: &Request, done: u32) -> Self {
        let most_blocks = match request.operation {
            Operation::Discard if device.max_unmap > 0 => device.max_unmap,
            Operation::Discard => device.max_write_same,
            Operation::WriteZeroes if device.max_write_same > 0 => device.max_write_same,
            _ => device.max_transfer / device.block_size,
        };
        let left = (request.length - done) / device.block_size;
        let blocks = left.min(most_blocks.max(1));
        Self {
            lba: (request.offset + u64::from(done)) / u64::from(device.block_size),
            blocks,
            length: blocks * device.block_size,
        }
    }

    fn command(&self, cdb: [u8; 16], data: Data, length: u32) -> Command {
        Command {
            cdb,
            data,
            length,
            covers: self.length,
            counted: true,
            fua: false,
            other_lun: false,
        }
    }

    fn write(&self, fua: bool, data: Data) -> Command {
        let cdb = Cdb::Write {
            lba: self.lba,
            blocks: self.blocks,
            fua,
            dpo: false,
        };
        Command {
            fua,
            ..self.command(cdb.emit(), data, self.length)
        }
    }

    /// A command whose data is a parameter list, and not the data to be written. Some
    /// targets do not count it.
    fn parameters(&self, cdb: [u8; 16], data: Data, length: u32) -> Command {
        Command {
            counted: false,
            ..self.command(cdb, data, length)
        }
    }
}

/// Flushes the whole medium; a range would have to be remembered for every write.
fn synchronize() -> Command {
    let cdb = Cdb::SynchronizeCache {
        lba: 0,
        blocks: 0,
        immediate: false,
    }
    .emit();
    Command {
        cdb,
        ..Command::NONE
    }
}

/// Brings the unit to the active power condition; its status comes once that is reached.
pub(crate) fn start_unit() -> Command {
    let cdb = Cdb::StartStopUnit {
        start: true,
        immediate: false,
    }
    .emit();
    Command {
        cdb,
        ..Command::NONE
    }
}

fn unmap(part: &Part) -> Command {
    let list = emit_unmap(&[Extent {
        lba: part.lba,
        blocks: part.blocks,
    }]);
    let mut short = Short {
        bytes: [0; 24],
        from: 0,
        to: 24,
    };
    debug_assert_eq!(list.len(), short.bytes.len());
    short.bytes.copy_from_slice(&list);
    let cdb = Cdb::Unmap {
        anchor: false,
        list_len: 24,
    }
    .emit();
    part.parameters(cdb, Data::Parameters(short), 24)
}

/// A WRITE SAME of 16 bytes, the only form whose support the logical block provisioning
/// page tells. One block of zeroes goes with it.
fn write_same(part: &Part, device: &Device, unmap: bool) -> Command {
    const WRITE_SAME_16: u8 = 0x93;
    let mut cdb = [0; 16];
    cdb[0] = WRITE_SAME_16;
    cdb[1] = u8::from(unmap) << 3;
    cdb[2..10].copy_from_slice(&part.lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&part.blocks.to_be_bytes());
    part.parameters(cdb, Data::Zeroes, device.block_size)
}

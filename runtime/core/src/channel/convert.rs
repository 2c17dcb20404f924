//! Between the queue's words and the table's. No logic.

use vcp_queue::Status;

use crate::bindings::{block, processor};

/// The VCP's view of the network, from the link's properties.
pub(crate) fn network_of(
    properties: &vcp_queue::LinkProperties,
    addresses: &[String],
    gateways: &[String],
) -> processor::Network {
    processor::Network::Frames(crate::bindings::frames::Link {
        mac: properties.mac.to_vec(),
        mtu: properties.mtu,
        addresses: addresses.to_vec(),
        gateways: gateways.to_vec(),
        checksum_offload: properties.checksum_offload,
        segmentation_offload: properties.segmentation_offload,
    })
}

/// From the table's words to the queue's.
pub(super) fn request_of(entry: &vcp_queue::Entry) -> block::Request {
    use vcp_queue::Operation as Op;
    let mut modifiers = block::Modifiers::empty();
    if entry.modifiers.fua {
        modifiers |= block::Modifiers::FUA;
    }
    if entry.modifiers.no_unmap {
        modifiers |= block::Modifiers::NO_UNMAP;
    }
    let (address, length) = entry
        .loan
        .map_or((0, 0), |loan| (loan.address, loan.length));
    block::Request {
        tag: entry.tag,
        operation: match entry.operation {
            Op::Read => block::Operation::Read,
            Op::Write => block::Operation::Write,
            Op::Flush => block::Operation::Flush,
            Op::Discard => block::Operation::Discard,
            Op::WriteZeroes => block::Operation::WriteZeroes,
            Op::Extents => block::Operation::Extents,
        },
        modifiers,
        offset: entry.offset,
        length: entry.length,
        data: crate::bindings::types::Span { address, length },
    }
}

pub(super) fn status_of(status: block::Status) -> Status {
    match status {
        block::Status::Ok => Status::Ok,
        block::Status::IoError => Status::IoError,
        block::Status::Invalid => Status::Invalid,
        block::Status::NoSpace => Status::NoSpace,
        block::Status::NotPermitted => Status::NotPermitted,
        block::Status::NotSupported => Status::NotSupported,
        block::Status::ShuttingDown => Status::ShuttingDown,
        block::Status::NoMemory => Status::NoMemory,
    }
}

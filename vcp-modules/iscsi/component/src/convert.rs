//! Conversion between the queue's types and the initiator's. No logic.

use vcp_iscsi_initiator as initiator;
use vcp_sdk::block;

/// `None` if the initiator has no such operation.
pub(crate) fn request(request: &block::Request) -> Option<initiator::Request> {
    Some(initiator::Request {
        tag: request.tag,
        operation: match request.operation {
            block::Operation::Read => initiator::Operation::Read,
            block::Operation::Write => initiator::Operation::Write,
            block::Operation::Flush => initiator::Operation::Flush,
            block::Operation::Discard => initiator::Operation::Discard,
            block::Operation::WriteZeroes => initiator::Operation::WriteZeroes,
            block::Operation::Extents => return None,
        },
        fua: request.modifiers.contains(block::Modifiers::FUA),
        no_unmap: request.modifiers.contains(block::Modifiers::NO_UNMAP),
        offset: request.offset,
        length: request.length,
        data: initiator::Span {
            address: request.data.address,
            length: request.data.length,
        },
    })
}

pub(crate) fn status(status: initiator::Status) -> block::Status {
    match status {
        initiator::Status::Ok => block::Status::Ok,
        initiator::Status::IoError => block::Status::IoError,
        initiator::Status::Invalid => block::Status::Invalid,
        initiator::Status::NoSpace => block::Status::NoSpace,
        initiator::Status::NotPermitted => block::Status::NotPermitted,
        initiator::Status::NotSupported => block::Status::NotSupported,
        initiator::Status::ShuttingDown => block::Status::ShuttingDown,
    }
}

pub(crate) fn geometry(geometry: initiator::Geometry) -> block::Geometry {
    block::Geometry {
        size: geometry.size,
        block_size: geometry.block_size,
        preferred_block_size: geometry.preferred_block_size,
        max_transfer: geometry.max_transfer,
        max_discard: geometry.max_discard,
        max_write_zeroes: geometry.max_write_zeroes,
        extents: false,
        read_only: geometry.read_only,
        write_cache: geometry.write_cache,
        identity: geometry.identity,
    }
}

pub(crate) fn level(level: initiator::Level) -> vcp_sdk::Level {
    match level {
        initiator::Level::Error => vcp_sdk::Level::Error,
        initiator::Level::Warn => vcp_sdk::Level::Warn,
        initiator::Level::Info => vcp_sdk::Level::Info,
        initiator::Level::Debug => vcp_sdk::Level::Debug,
    }
}

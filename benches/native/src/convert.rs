//! Between C's records and the SDK's, one by one. No logic. Records are taken apart by
//! all of their fields, so that none is forgotten when one more comes.

use vcp_sdk::block::{self, Modifiers, Operation, Status};
use vcp_sdk::control::{self, Command};
use vcp_sdk::net::frames::{self, Checksum, Link};
use vcp_sdk::processor::{self, Network};
use vcp_sdk::types;

use crate::abi;

/// # Safety
/// The arrays are there.
pub(crate) unsafe fn start(start: &abi::Start) -> (control::Start, Network) {
    // SAFETY: the caller's word.
    let (config, mac, seed) = unsafe {
        let config = start.config.entries().unwrap_or_default().iter();
        (
            config.map(|pair| (text(pair.key), text(pair.value))),
            start.mac.entries().unwrap_or_default(),
            start.seed.entries().unwrap_or_default(),
        )
    };
    let texts = |array: abi::Array<abi::Text>| {
        // SAFETY: the caller's word.
        let texts = unsafe { array.entries() }.unwrap_or_default().iter();
        // SAFETY: the caller's word.
        texts.map(|line| unsafe { text(*line) }).collect()
    };
    let link = Link {
        mac: mac.to_vec(),
        mtu: start.mtu,
        addresses: texts(start.addresses),
        gateways: texts(start.gateways),
        checksum_offload: start.checksum_offload,
        segmentation_offload: start.segmentation_offload,
    };
    let start = control::Start {
        generation: start.generation,
        now: start.now,
        seed: seed.to_vec(),
        config: config.collect(),
        queue_depth: start.queue_depth,
        // SAFETY: the caller's word.
        identity: unsafe { text(start.identity) },
    };
    (start, Network::Frames(link))
}

/// Into `to`, whose room is used again.
///
/// # Safety
/// The arrays are there.
pub(crate) unsafe fn events(events: &abi::Events, to: &mut processor::Events) {
    // SAFETY: the caller's word.
    let (requests, frames) = unsafe { (events.requests.entries(), events.frames.entries()) };
    to.now = events.now;
    to.commands.clear();
    to.commands.extend(events.stop.then_some(Command::Stop));
    to.requests.clear();
    to.requests
        .extend(requests.unwrap_or_default().iter().map(request));
    to.frames.clear();
    to.frames
        .extend(frames.unwrap_or_default().iter().map(received));
}

/// # Safety
/// The bytes are there.
unsafe fn text(text: abi::Text) -> String {
    // SAFETY: the caller's word.
    let bytes = unsafe { text.entries() }.unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

fn request(request: &abi::Request) -> block::Request {
    let mut modifiers = Modifiers::empty();
    modifiers.set(Modifiers::FUA, request.fua);
    modifiers.set(Modifiers::NO_UNMAP, request.no_unmap);
    block::Request {
        tag: request.tag,
        operation: match request.operation {
            0 => Operation::Read,
            1 => Operation::Write,
            2 => Operation::Flush,
            3 => Operation::Discard,
            4 => Operation::WriteZeroes,
            _ => Operation::Extents,
        },
        modifiers,
        offset: request.offset,
        length: request.length,
        data: span_of(request.data),
    }
}

fn received(frame: &abi::Received) -> frames::Received {
    frames::Received {
        data: span_of(frame.data),
        checksum: match frame.checksum {
            0 => Checksum::Unverified,
            1 => Checksum::Verified,
            _ => Checksum::Partial,
        },
    }
}

pub(crate) fn completion(completion: &block::Completion) -> abi::Completion {
    let &block::Completion { tag, status, data } = completion;
    abi::Completion {
        tag,
        data: span(data),
        status: match status {
            Status::Ok => 0,
            Status::IoError => 1,
            Status::Invalid => 2,
            Status::NoSpace => 3,
            Status::NotPermitted => 4,
            Status::NotSupported => 5,
            Status::ShuttingDown => 6,
            Status::NoMemory => 7,
        },
    }
}

pub(crate) fn outgoing(frame: &frames::Outgoing) -> abi::Outgoing {
    let &frames::Outgoing {
        data,
        checksum_start,
        checksum_offset,
        segment_size,
    } = frame;
    abi::Outgoing {
        data: span(data),
        checksum_start,
        checksum_offset,
        segment_size,
    }
}

/// The line that goes with a notice.
pub(crate) fn line(notice: &block::Notice) -> String {
    match notice {
        block::Notice::Ready(geometry) => geometry.identity.clone(),
        block::Notice::Suspended(why) | block::Notice::Failed(why) => why.clone(),
        block::Notice::Found(what) | block::Notice::LowSpace(what) => what.clone(),
        block::Notice::Stopped => String::new(),
    }
}

/// The notice, with its line.
pub(crate) fn notice(notice: &block::Notice, line: &str) -> abi::Notice {
    let (what, geometry) = match notice {
        block::Notice::Ready(geometry) => (0, geometry_of(geometry)),
        block::Notice::Suspended(_) => (1, abi::Geometry::default()),
        block::Notice::Failed(_) => (2, abi::Geometry::default()),
        block::Notice::Found(_) => (3, abi::Geometry::default()),
        block::Notice::LowSpace(_) => (5, abi::Geometry::default()),
        block::Notice::Stopped => (4, abi::Geometry::default()),
    };
    abi::Notice {
        what,
        geometry,
        text: abi::Text::of(line.as_bytes()),
    }
}

fn geometry_of(geometry: &block::Geometry) -> abi::Geometry {
    let &block::Geometry {
        size,
        block_size,
        preferred_block_size,
        max_transfer,
        max_discard,
        max_write_zeroes,
        // The only one is the initiator, which does not tell.
        extents: _,
        read_only,
        write_cache,
        // A line of its own.
        identity: _,
    } = geometry;
    abi::Geometry {
        size,
        block_size,
        preferred_block_size,
        max_transfer,
        max_discard,
        max_write_zeroes,
        read_only,
        write_cache,
    }
}

pub(crate) fn span(span: types::Span) -> abi::Span {
    abi::Span {
        address: span.address,
        length: span.length,
    }
}

pub(crate) fn span_of(span: abi::Span) -> types::Span {
    types::Span {
        address: span.address,
        length: span.length,
    }
}

//! Between the core's records and C's, one by one. No logic. Records are taken apart by
//! all of their fields, so that none is forgotten when one more comes.

use vcp_core::native::{
    Areas, Command, Completion, Effects, Events, Geometry, Modifiers, Notice, Operation, Request,
    Span, Start, Status, frames,
};

use super::abi::{self, Array};

/// Calls with the arguments of `init` in C's layout.
pub(crate) fn with_start<T>(
    start: &Start,
    link: &frames::Link,
    call: impl FnOnce(&abi::Start) -> T,
) -> T {
    let Start {
        generation,
        now,
        seed,
        config,
        queue_depth,
        identity,
    } = start;
    let frames::Link {
        mac,
        mtu,
        addresses,
        gateways,
        checksum_offload,
        segmentation_offload,
    } = link;
    let word = |text: &String| abi::Text::of(text.as_bytes());
    let config: Vec<_> = config
        .iter()
        .map(|(key, value)| abi::Pair {
            key: word(key),
            value: word(value),
        })
        .collect();
    let [addresses, gateways] =
        [addresses, gateways].map(|texts| texts.iter().map(word).collect::<Vec<_>>());
    call(&abi::Start {
        generation: *generation,
        now: *now,
        seed: Array::of(seed),
        config: Array::of(&config),
        queue_depth: *queue_depth,
        identity: abi::Text::of(identity.as_bytes()),
        mac: Array::of(mac),
        mtu: *mtu,
        addresses: Array::of(&addresses),
        gateways: Array::of(&gateways),
        checksum_offload: *checksum_offload,
        segmentation_offload: *segmentation_offload,
    })
}

/// Room for the entries of a call.
#[derive(Default)]
pub(crate) struct Flat {
    requests: Vec<abi::Request>,
    frames: Vec<abi::Received>,
}

impl Flat {
    /// The events of a call; they name what is here.
    pub(crate) fn fill(&mut self, events: &Events) -> abi::Events {
        let Events {
            now,
            commands,
            requests,
            frames,
            // There are none where there is a link.
            stream_data: _,
            stream_events: _,
        } = events;
        self.requests.clear();
        self.requests.extend(requests.iter().map(request));
        self.frames.clear();
        self.frames.extend(frames.iter().map(received));
        abi::Events {
            now: *now,
            stop: commands.contains(&Command::Stop),
            requests: Array::of(&self.requests),
            frames: Array::of(&self.frames),
        }
    }
}

fn request(request: &Request) -> abi::Request {
    let &Request {
        tag,
        operation,
        modifiers,
        offset,
        length,
        data,
    } = request;
    abi::Request {
        tag,
        offset,
        length,
        data: span_of(data),
        operation: match operation {
            Operation::Read => 0,
            Operation::Write => 1,
            Operation::Flush => 2,
            Operation::Discard => 3,
            Operation::WriteZeroes => 4,
            Operation::Extents => 5,
        },
        fua: modifiers.contains(Modifiers::FUA),
        no_unmap: modifiers.contains(Modifiers::NO_UNMAP),
    }
}

fn received(frame: &frames::Received) -> abi::Received {
    let &frames::Received { data, checksum } = frame;
    abi::Received {
        data: span_of(data),
        checksum: match checksum {
            frames::Checksum::Unverified => 0,
            frames::Checksum::Verified => 1,
            frames::Checksum::Partial => 2,
        },
    }
}

/// # Safety
/// The arrays are there.
pub(crate) unsafe fn effects(effects: &abi::Effects) -> Effects {
    // SAFETY: the caller's word.
    let (completions, notices, frames) = unsafe {
        (
            effects.completions.entries().unwrap_or_default(),
            effects.notices.entries().unwrap_or_default(),
            effects.frames.entries().unwrap_or_default(),
        )
    };
    Effects {
        completions: completions.iter().map(completion).collect(),
        // SAFETY: the caller's word.
        notices: notices.iter().map(|n| unsafe { notice(n) }).collect(),
        frames: frames.iter().map(outgoing).collect(),
        connects: Vec::new(),
        sends: Vec::new(),
        closes: Vec::new(),
        deadline: Some(effects.deadline).filter(|deadline| *deadline < u64::MAX),
    }
}

fn completion(completion: &abi::Completion) -> Completion {
    Completion {
        tag: completion.tag,
        status: match completion.status {
            0 => Status::Ok,
            1 => Status::IoError,
            2 => Status::Invalid,
            3 => Status::NoSpace,
            4 => Status::NotPermitted,
            5 => Status::NotSupported,
            6 => Status::ShuttingDown,
            _ => Status::NoMemory,
        },
        data: span(completion.data),
    }
}

fn outgoing(frame: &abi::Outgoing) -> frames::Outgoing {
    frames::Outgoing {
        data: span(frame.data),
        checksum_start: frame.checksum_start,
        checksum_offset: frame.checksum_offset,
        segment_size: frame.segment_size,
    }
}

/// # Safety
/// Its line is there.
unsafe fn notice(notice: &abi::Notice) -> Notice {
    // SAFETY: the caller's word.
    let line = text(unsafe { notice.text.entries() }.unwrap_or_default());
    match notice.what {
        0 => Notice::Ready(geometry(&notice.geometry, line)),
        1 => Notice::Suspended(line),
        2 => Notice::Failed(line),
        3 => Notice::Found(line),
        5 => Notice::LowSpace(line),
        _ => Notice::Stopped,
    }
}

fn geometry(geometry: &abi::Geometry, identity: String) -> Geometry {
    Geometry {
        size: geometry.size,
        block_size: geometry.block_size,
        preferred_block_size: geometry.preferred_block_size,
        max_transfer: geometry.max_transfer,
        max_discard: geometry.max_discard,
        max_write_zeroes: geometry.max_write_zeroes,
        extents: false,
        read_only: geometry.read_only,
        write_cache: geometry.write_cache,
        identity,
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn areas(areas: &abi::Areas) -> Areas {
    Areas {
        data: span(areas.data),
        receive: span(areas.receive),
    }
}

fn span(span: abi::Span) -> Span {
    Span {
        address: span.address,
        length: span.length,
    }
}

pub(crate) fn span_of(span: Span) -> abi::Span {
    abi::Span {
        address: span.address,
        length: span.length,
    }
}

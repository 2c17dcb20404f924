//! A native VCP behind a network: a device of nothing but zeroes, which reports what it was
//! told.

use std::sync::Arc;

use vcp_core::native::{
    Areas, Completion, Effects, Events, Geometry, NativeVcp, Network, Notice, Span, Start,
    Status as Answer,
};
use vcp_core::{Module, World};

/// Where its areas begin, as far as the host knows.
const DATA: Span = Span {
    address: 0x1_0000,
    length: 256 << 10,
};
const RECEIVE: Span = Span {
    address: 0x10_0000,
    length: 128 << 10,
};

/// A module whose instances tell `hear` of their network.
pub(crate) fn module(hear: impl Fn(&Network) + Send + Sync + 'static) -> Module {
    let hear: Arc<dyn Fn(&Network) + Send + Sync> = Arc::new(hear);
    Module::native("zeroes", World::Processor, move || {
        Box::new(Zeroes {
            hear: Arc::clone(&hear),
            bytes: vec![0; DATA.length as usize],
            announced: false,
        })
    })
}

struct Zeroes {
    hear: Arc<dyn Fn(&Network) + Send + Sync>,
    bytes: Vec<u8>,
    announced: bool,
}

impl NativeVcp for Zeroes {
    fn init(&mut self, _: &Start, network: Option<&Network>) -> Result<Areas, String> {
        (self.hear)(network.ok_or("no network")?);
        Ok(Areas {
            data: DATA,
            receive: RECEIVE,
        })
    }

    fn process(&mut self, events: &Events) -> Effects {
        let first = !std::mem::replace(&mut self.announced, true);
        let ready = first.then(|| Notice::Ready(geometry()));
        let stopped = events.commands.first().map(|_| Notice::Stopped);
        let done = events.requests.iter().map(|request| Completion {
            tag: request.tag,
            status: Answer::Ok,
            data: Span {
                address: 0,
                length: 0,
            },
        });
        Effects {
            completions: done.collect(),
            notices: ready.into_iter().chain(stopped).collect(),
            frames: Vec::new(),
            connects: Vec::new(),
            sends: Vec::new(),
            closes: Vec::new(),
            deadline: None,
        }
    }

    fn bytes(&self, span: Span) -> Option<&[u8]> {
        self.bytes.get(..span.length as usize)
    }

    fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        self.bytes.get_mut(..span.length as usize)
    }
}

fn geometry() -> Geometry {
    Geometry {
        size: 1 << 20,
        block_size: 512,
        preferred_block_size: 4096,
        max_transfer: 64 << 10,
        max_discard: 0,
        max_write_zeroes: 0,
        extents: false,
        read_only: false,
        write_cache: false,
        identity: String::new(),
    }
}

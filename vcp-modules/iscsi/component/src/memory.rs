//! The areas that the host writes into, and the data area as the initiator's
//! memory.

use vcp_iscsi_initiator::{Memory, Span};
use vcp_sdk::Arena;
use vcp_sdk::control::Areas;

/// Room for the data of requests, in bytes. The host lets requests wait that do not fit.
const DATA: u32 = 32 << 20;
/// Room for received data in one call: at least 16 frames of the largest size.
const RECEIVE: u32 = 2 << 20;

/// The base of the areas natively, where there is no linear memory.
const DATA_BASE: u32 = 0x1000_0000;
const RECEIVE_BASE: u32 = 0x2000_0000;

pub(crate) struct Memories {
    pub(crate) data: DataArea,
    pub(crate) receive: Arena,
}

pub(crate) struct DataArea(pub(crate) Arena);

impl Memories {
    pub(crate) fn new() -> Self {
        Self {
            data: DataArea(Arena::new(DATA, DATA_BASE)),
            receive: Arena::new(RECEIVE, RECEIVE_BASE),
        }
    }

    pub(crate) fn areas(&self) -> Areas {
        Areas {
            data: self.data.0.span(),
            receive: self.receive.span(),
        }
    }
}

fn sdk(span: Span) -> vcp_sdk::types::Span {
    vcp_sdk::types::Span {
        address: span.address,
        length: span.length,
    }
}

impl Memory for DataArea {
    fn bytes(&self, span: Span) -> &[u8] {
        self.0
            .get(sdk(span))
            .expect("the host's spans lie in the data area")
    }

    fn bytes_mut(&mut self, span: Span) -> &mut [u8] {
        self.0
            .get_mut(sdk(span))
            .expect("the host's spans lie in the data area")
    }
}

//! PDUs on the byte stream: taken off it in [`rx`], put on it in [`tx`], numbered
//! by [`numbers`]. Nothing here knows what a PDU is for.

pub(crate) mod numbers;
pub(crate) mod rx;
pub(crate) mod tx;

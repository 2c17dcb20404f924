//! PDUs on the byte stream: received by [`rx`], sent by [`tx`], numbered by [`numbers`].
//! Nothing here knows the purpose of a PDU.

pub(crate) mod numbers;
pub(crate) mod rx;
pub(crate) mod tx;

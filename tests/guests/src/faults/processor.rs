//! Every fault that `MISBEHAVE_PROCESSOR` has. The guest includes this file.

/// By name, as in `config.fault`.
pub const FAULTS: &[&str] = &[
    // In `init`.
    "receive-none",
    "receive-small",
    // When it is asked to flush, over frames.
    "frame-outside",
    "frame-near-end",
    "frame-empty",
    "frame-short",
    "frame-over-mtu",
    "frame-huge",
    "frames-many",
    "checksum-unasked",
    "checksum-outside",
    "segment-unasked",
    "segment-alone",
    "segment-odd",
    "streams-on-frames",
    // When it is asked to flush, over streams.
    "frames-on-streams",
    "connect-not-granted",
    "connect-no-address",
    "connect-twice",
    "connect-many",
    "connect-batch",
    "send-early",
    "send-beyond-credit",
    "send-outside",
    "send-unknown",
    "close-unknown",
    "close-batch",
    "close-unsent",
    "failed-with-stream",
];

/// With a stream that is handed over.
pub const HANDOVER: &[&str] = &["stream-kept", "stream-reused"];

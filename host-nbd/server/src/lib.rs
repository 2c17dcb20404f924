//! NBD listeners, and NBD connections as clients of a block queue.

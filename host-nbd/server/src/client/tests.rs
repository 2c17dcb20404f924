//! Clients over a socket pair.

//! A RAM disk as a VCP.

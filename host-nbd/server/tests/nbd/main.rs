//! The server and its clients, driven as a channel processor drives them, with
//! stock NBD programs at the other end.
//!
//! | module | what it has |
//! |---|---|
//! | `disk` | a device in memory |
//! | `processor` | one thread that drives the clients of a disk |
//! | `host` | exports and a listening server |
//! | `tool` | programs: what a test needs, and running them within a limit |
//! | `copying` | nbdcopy, qemu-img, fio |
//! | `describing` | nbdinfo, qemu-img info |
//! | `io` | qemu-io: alignment, zeroes, discard |
//! | `odd` | libnbd scripts that send requests no decent client sends |
//! | `listening` | addresses, modes, stale sockets |
//! | `crowds` | more clients than there is room for |
//! | `vanishing` | peers that are gone without a word |

mod copying;
mod crowds;
mod describing;
mod disk;
mod host;
mod io;
mod listening;
mod odd;
mod processor;
mod tool;
mod vanishing;

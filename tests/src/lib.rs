//! End-to-end tests: the `vcp` binary as a user runs it, between a real iSCSI
//! target (`tgtd`, in a network namespace of its own) and real NBD clients.
//! This library is the harness; the tests are in `tests/`, one subject a file.
//!
//! A test that lacks something (root, a package) says so with [`requires!`] and
//! is counted as skipped. Whatever a test starts ends with it: processes are
//! killed by their own id when their handle is dropped, namespaces deleted with
//! what is in them, and what a killed test program left is removed by the next.
//!
//! | module | what it has |
//! |---|---|
//! | [`need`] | what a test needs, and skipping |
//! | [`scale`] | how big and how long, by environment |
//! | [`calls`] | the system calls of a process, counted |
//! | [`process`] | processes with a limit on their time and their output kept |
//! | [`hostile`] | clients that mean no good |
//! | [`lab`] | two namespaces joined by a wire, and a directory |
//! | [`tgtd`] | the target: portals, units, accounts |
//! | [`offer`] | what a target of any make is to offer |
//! | [`istgt`] | another target |
//! | [`lio`] | the target in Linux's kernel, in a machine |
//! | [`rival`] | another initiator that has a unit for itself |
//! | [`vm`] | a machine of its own, with another kernel |
//! | [`wiring`] | the links and portals between the two |
//! | [`vcp`] | the program under test |
//! | [`user`] | somebody who runs it and asks it, with a directory of their own |
//! | [`host`] | the same from a configuration file, and asking it |
//! | [`manager`] | a service manager that runs it and keeps its descriptors |
//! | [`nbd`] | one NBD connection, held to see what becomes of it |
//! | [`peer`] | qemu-nbd's libiscsi and nbdkit in its place, for comparison |
//! | [`image`] | disk images with random and zero runs |
//! | [`load`] | fio verifying beside the test |
//! | [`mounted`] | file systems on disks: made, mounted, checked, and cleared away |
//! | [`tree`] | a tree of files that follows from a seed, written and compared |
//! | [`client`] | qemu-img, nbdcopy, fio and nbdinfo on an NBD URI |

pub mod calls;
pub mod client;
pub mod host;
pub mod hostile;
pub mod image;
pub mod istgt;
pub mod lab;
pub mod lio;
pub mod load;
pub mod manager;
pub mod mounted;
pub mod nbd;
pub mod need;
pub mod offer;
pub mod peer;
pub mod process;
pub mod rival;
pub mod scale;
pub mod tgtd;
pub mod tree;
pub mod user;
pub mod vcp;
pub mod vm;
pub mod wiring;

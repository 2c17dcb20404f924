//! A machine of its own for a test: Debian's kernel in qemu, with an initial file
//! system made of this machine's programs. What a test says about disks it says
//! about a kernel that has `nbd`, whatever kernel runs here, and it can take that
//! kernel's network, devices and mounts apart without leaving anything behind.
//! Emulated, as virtual machines often can't have others in them: some ten times
//! slower than here.
//!
//! ```text
//!   test ── unix socket ── ttyS1: the agent, which runs shell scripts
//!           a file ◄────── ttyS0: the console, what the kernel complains of
//!           127.0.0.1 ◄─── virtio-net: 10.0.2.2, as the VM has it
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | [`machine`] | booting, ending |
//! | [`session`] | running things in a machine that is up |
//! | [`debian`] | a machine with systemd, on which the package is installed |
//! | [`agent`] | this end of the line to the agent; the other is `bin/vm-agent` |
//! | [`kernel`] | where the kernel is, and which modules in which order |
//! | [`initramfs`] | programs with the libraries they want, as an archive |
//! | [`files`] | what is in that archive |
//! | `target` | the same for a machine that is nothing but a target |
//! | `hardware` | what qemu is told |
//! | [`judge`] | what in a kernel's log a test must not pass over |
//! | [`warm`] | modules compiled for the machine once |

pub mod agent;
pub mod debian;
pub mod files;
mod hardware;
pub mod initramfs;
pub mod judge;
pub mod kernel;
pub mod machine;
pub mod session;
mod target;
pub mod warm;

pub use debian::Debian;
pub use machine::Vm;

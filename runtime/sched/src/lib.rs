//! Which VCP of a channel processor runs next, and for at most how long.
//!
//! Several VCPs may share one processor thread. Each has a [`Budget`]: a *slice* of every
//! *period* that is reserved for it, and a weight by which it shares the *slack*, the time
//! that no VCP has reserved or that its owner does not use. The [`Scheduler`] is told which
//! VCPs have something to do and how long each one ran, and says which is next. No VCP can
//! take what is reserved for another, whatever it does.
//!
//! It has no clock, starts no thread and does no I/O: times are arguments, in nanoseconds of
//! one monotonic clock, and the cost of a run is what its caller measured. It preempts
//! nothing. It only says after how long it wants to be asked again, and expects runs to be
//! longer than that: an overrun is a debt, paid from the next slices, so that in the long
//! run each VCP has the share that it was promised. How late a deadline can be met is
//! therefore a matter of how long the caller lets one run.
//!
//! # The rules
//! - *Admission*: slices divided by periods may add up to one processor, not more.
//!   That is all the time that earliest-deadline-first can promise, and it can
//!   promise all of it (Liu and Layland, "Scheduling Algorithms for
//!   Multiprogramming in a Hard-Real-Time Environment", 1973).
//! - *Reservations* are constant-bandwidth servers (Abeni and Buttazzo, "Integrating
//!   Multimedia Applications in Hard Real-Time Systems", 1998), with one difference:
//!   one whose slice is used up waits for its next period instead of going on with a
//!   later deadline, so that a share is a limit too. Among those with time left the
//!   earliest deadline goes first.
//! - *Slack* goes to those with a weight, in its proportion, when nobody with
//!   reserved time left has anything to do. It costs nothing of a reservation.
//!
//! The form of a budget, (period, slice, extra time), comes from Atropos, a scheduler of the
//! first Xen.
//!
//! Start reading at [`Scheduler`]; `server` has what happens to one reservation,
//! `budget` what is promised and what is refused.
#![forbid(unsafe_code)]

mod account;
mod budget;
mod scheduler;
mod server;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use budget::{Budget, MAX_PERIOD, Part, Refused};
pub use scheduler::{Id, Pick, QUANTUM, Scheduler};
pub use server::MAX_DEBT;

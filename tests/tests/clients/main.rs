//! Clients beside each other: who is served when, what is kept for whom, and what
//! becomes of those who keep others waiting. All on RAM disks, so that nothing but the
//! host is slow.

mod descriptors;
mod fairness;
mod flood;
mod hostile;
mod idle;
mod listed;
mod memory;
mod shutdown;

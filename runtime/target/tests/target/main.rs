//! The target as initiators see it: a raw one that sends what it is told to, and real
//! ones over loopback.

mod client;
mod data;
mod faults;
mod fencing;
mod fixture;
mod full;
mod hostile;
mod link;
mod login;
mod real;

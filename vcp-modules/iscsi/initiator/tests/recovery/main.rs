//! Connections that are lost, refused or slow, and what becomes of requests then.

#[path = "../pair/mod.rs"]
mod pair;

mod back;
mod connecting;
mod outages;
mod stop;
mod successor;
mod suspects;

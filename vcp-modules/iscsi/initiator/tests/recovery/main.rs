//! Lost, refused or slow connections, and the fate of requests.

#[path = "../pair/mod.rs"]
mod pair;

mod back;
mod connecting;
mod outages;
mod stop;
mod successor;
mod suspects;

//! Ways to let initiators reach a target. Moves bytes; decides nothing.

mod event;
mod link;
mod tcp;

pub use link::{LinkOptions, LinkServer, ServeLinkError, serve_link};
pub use tcp::{TcpServer, serve_tcp};

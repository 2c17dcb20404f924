//! Ways to let initiators reach a target. This only moves bytes.

mod event;
mod link;
mod tcp;

pub use link::{LinkOptions, LinkServer, ServeLinkError, serve_link};
pub use tcp::{TcpServer, serve_tcp};

//! Ways to let initiators reach a target. Moves bytes; decides nothing.

mod event;
mod tcp;

pub use tcp::{TcpServer, serve_tcp};

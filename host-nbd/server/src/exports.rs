//! The interface by which a host provides the exports of a server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use vcp_nbd_proto::Unavailable;
use vcp_queue::{Client, Geometry};

/// The table of exports. It is asked anew for each client, so it may change.
pub trait Exports: Send + Sync {
    /// The names of all exports, as clients use them.
    fn list(&self) -> Vec<String>;

    /// The export of this name.
    fn open(&self, name: &str) -> Option<Arc<dyn Export>>;
}

/// The answer of [`Export::geometry`].
pub type GeometryFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Geometry, Unavailable>> + Send + 'a>>;

/// One export.
pub trait Export: Send + Sync {
    /// The device's geometry, once it is ready, or why it will not be. The server waits
    /// only for a limited time, and then drops the future.
    fn geometry(&self) -> GeometryFuture<'_>;

    /// Whether the export refuses writes, whatever the device takes.
    fn read_only(&self) -> bool;

    /// A description for humans; may be empty.
    fn description(&self) -> String;

    /// Reserves the memory for a client that is to come from another process with `held`
    /// bytes. Others cannot have that memory until the returned value is dropped, after
    /// [`Export::attach`].
    fn expect(&self, _held: usize) -> Box<dyn Send> {
        Box::new(())
    }

    /// Takes over a client in its transmission phase. It was told the geometry
    /// that [`Export::geometry`] gave last. An error is a line for the log, and
    /// the client is dropped.
    fn attach(&self, client: Box<dyn Client>) -> Result<(), String>;
}

/// Finds an export and its canonical name. The empty name means the default: the
/// export called `default`, or the only one.
pub(crate) fn find(exports: &dyn Exports, name: &str) -> Option<(String, Arc<dyn Export>)> {
    let name = if name.is_empty() {
        default(exports.list())?
    } else {
        name.to_owned()
    };
    let export = exports.open(&name)?;
    Some((name, export))
}

fn default(mut names: Vec<String>) -> Option<String> {
    if names.len() == 1 {
        return names.pop();
    }
    names.into_iter().find(|name| name == "default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_only_one_or_the_one_named_so() {
        let default = |names: &[&str]| default(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(default(&[]), None);
        assert_eq!(default(&["a"]).as_deref(), Some("a"));
        assert_eq!(default(&["a", "b"]), None);
        assert_eq!(default(&["a", "default"]).as_deref(), Some("default"));
    }
}

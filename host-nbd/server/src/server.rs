//! The listener: accepts, negotiates within limits, and hands connections over.
//!
//! It touches no data: after negotiation a connection belongs to its export's
//! channel processor, and the server only remembers that it exists.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::address::Address;
use crate::client::NbdClient;
use crate::exports::Exports;
use crate::listen::{Listener, SocketFile, Stream, address_of};
use crate::negotiate::{NegotiationError, negotiate};

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody else listens there.
    #[error("cannot listen on {0}: address in use by another server")]
    InUse(Address),
    /// The path of a unix socket is taken by something else.
    #[error("cannot listen on unix:{}: the file exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: Address,
        /// Why.
        error: io::Error,
    },
}

impl ServerError {
    pub(crate) fn new(address: &Address, error: impl Into<io::Error>) -> Self {
        let (address, error) = (address.clone(), error.into());
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            _ => Self::Listen { address, error },
        }
    }
}

/// A server's limits.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at a time, negotiating or transmitting. More are closed as
    /// soon as they are accepted.
    pub max_connections: usize,
    /// Time for a client to negotiate, waiting for exports included.
    pub negotiation_limit: Duration,
    /// Time for an export to become ready when a client asks for it.
    pub ready_limit: Duration,
    /// Mode of a unix socket's file.
    pub socket_mode: u32,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 128,
            negotiation_limit: Duration::from_secs(30),
            ready_limit: Duration::from_secs(20),
            socket_mode: 0o600,
        }
    }
}

/// A listening server. Dropping it stops listening, drops connections that are
/// still negotiating and removes its unix socket; connections that were handed
/// over live on.
#[derive(Debug)]
pub struct Server {
    address: Address,
    listener: Arc<Listener>,
    acceptor: JoinHandle<()>,
    finishing: watch::Sender<bool>,
    file: Option<SocketFile>,
}

impl Server {
    /// Listens on `address` and serves `exports` from a task of the current
    /// tokio runtime, whose I/O and time must be enabled.
    pub async fn bind(
        address: &Address,
        exports: Arc<dyn Exports>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        let (listener, address, file) = Listener::bind(address, options.socket_mode).await?;
        Ok(Self::serving(listener, address, file, exports, options))
    }

    /// The same on a socket that somebody else bound and listens on; whose the file
    /// of a unix socket is, too.
    pub fn on(
        socket: OwnedFd,
        exports: Arc<dyn Exports>,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let (listener, address) = Listener::of(socket)?;
        Ok(Self::serving(listener, address, None, exports, options))
    }

    fn serving(
        listener: Listener,
        address: Address,
        file: Option<SocketFile>,
        exports: Arc<dyn Exports>,
        options: ServerOptions,
    ) -> Self {
        let listener = Arc::new(listener);
        let (finishing, finish) = watch::channel(false);
        let options = Arc::new(options);
        let task = accept(Arc::clone(&listener), exports, options, finish);
        Self {
            address,
            listener,
            acceptor: tokio::spawn(task),
            finishing,
            file,
        }
    }

    /// Where the socket `socket` listens.
    pub fn address_of(socket: BorrowedFd<'_>) -> io::Result<Address> {
        address_of(socket)
    }

    /// The listening socket, for whoever keeps it while there is no server.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.listener.socket()
    }

    /// Accepts no more, and lets those that are negotiating come to an end of it,
    /// within `patience`. Who connects now waits for the next server on the socket;
    /// its file stays.
    pub async fn retire(mut self, patience: Duration) {
        self.finishing.send_replace(true);
        // Those that take longer are dropped, as by a server that ends.
        let _ = timeout(patience, &mut self.acceptor).await;
        if let Some(file) = self.file.take() {
            file.leave();
        }
    }

    /// Where it listens; with the port that the kernel chose if that was asked.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The URI of an export; see [`Address::uri`].
    #[must_use]
    pub fn uri(&self, export: &str) -> String {
        self.address.uri(export)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// Accepts until it is to finish. The negotiations under way end with it.
async fn accept(
    listener: Arc<Listener>,
    exports: Arc<dyn Exports>,
    options: Arc<ServerOptions>,
    mut finish: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(options.max_connections));
    let mut negotiations = JoinSet::new();
    loop {
        while negotiations.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = finish.wait_for(|finish| *finish) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely out of descriptors; others may be closed soon.
                warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            warn!(
                client = peer,
                limit = options.max_connections,
                "too many connections"
            );
            continue;
        };
        negotiations.spawn(serve(
            stream,
            peer,
            exports.clone(),
            options.clone(),
            permit,
        ));
    }
    while negotiations.join_next().await.is_some() {}
}

/// Negotiates with one client and hands it over.
async fn serve(
    mut stream: Stream,
    peer: String,
    exports: Arc<dyn Exports>,
    options: Arc<ServerOptions>,
    permit: OwnedSemaphorePermit,
) {
    let patience = options.ready_limit;
    let negotiation = async {
        match &mut stream {
            Stream::Unix(stream) => negotiate(stream, &*exports, patience).await,
            Stream::Tcp(stream) => negotiate(stream, &*exports, patience).await,
        }
    };
    let (session, export) = match timeout(options.negotiation_limit, negotiation).await {
        Ok(Ok(Some(agreed))) => agreed,
        Ok(Ok(None)) => return debug!(client = peer, "left during negotiation"),
        Ok(Err(NegotiationError::Io(error))) => {
            return debug!(client = peer, %error, "lost during negotiation");
        }
        Ok(Err(NegotiationError::Violation(violation))) => {
            return warn!(client = peer, %violation, "refused during negotiation");
        }
        Err(_) => return warn!(client = peer, "took too long to negotiate"),
    };
    let name = session.name().to_owned();
    let client = stream
        .into_fd()
        .and_then(|fd| NbdClient::new(fd, format!("{peer} of export {name}"), session));
    let attached = client
        .map_err(|error| error.to_string())
        .and_then(|client| export.attach(Box::new(client.holding(permit))));
    match attached {
        Ok(()) => info!(client = peer, export = name, "connected"),
        Err(error) => warn!(client = peer, export = name, error, "cannot be served"),
    }
}

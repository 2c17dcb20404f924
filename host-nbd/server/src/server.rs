//! The listener: accepts, negotiates within limits, and hands connections over.
//!
//! It touches no data: after negotiation a connection belongs to its export's
//! channel processor, and the server only remembers that it exists.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};
use vcp_nbd_proto::Unavailable;

use crate::address::Address;
use crate::client::NbdClient;
use crate::exports::Exports;
use crate::gate::{Admission, Gate, Place};
use crate::listen::{Listener, SocketFile, Stream, Way, address_of};
use crate::negotiate::{Agreed, NegotiationError, negotiate};
use crate::options::ServerOptions;
use crate::reserve::is_for_clients;
use crate::tally::Tally;

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another server listens there.
    #[error("cannot listen on {0}: address in use by another server")]
    InUse(Address),
    /// The path of a unix socket is taken by another kind of file.
    #[error("cannot listen on unix:{}: the file exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: Address,
        /// The reason.
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

/// A listening server. Dropping it stops listening, drops connections that are
/// still negotiating and removes its unix socket; connections that were handed
/// over live on.
#[derive(Debug)]
pub struct Server {
    address: Address,
    listener: Arc<Listener>,
    acceptor: JoinHandle<()>,
    finishing: watch::Sender<bool>,
    options: watch::Sender<Arc<ServerOptions>>,
    file: Option<SocketFile>,
    /// `None` on TCP.
    way: Option<Way>,
}

impl Server {
    /// Listens on `address` and serves `exports` from a task of the current
    /// tokio runtime, whose I/O and time must be enabled.
    pub async fn bind(
        address: &Address,
        exports: Arc<dyn Exports>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        let (listener, address, file) = Listener::bind(address, options.access).await?;
        Ok(Self::serving(listener, address, file, exports, options))
    }

    /// Does the same on a listening socket that another process bound, which also owns
    /// the file of a unix socket.
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
        let (options, current) = watch::channel(Arc::new(options));
        let door = Door::new(exports, current);
        let way = Way::to(&address);
        let task = accept(Arc::clone(&listener), door, finish);
        Self {
            address,
            listener,
            acceptor: tokio::spawn(task),
            finishing,
            options,
            file,
            way,
        }
    }

    /// Changes the options. Existing connections stay; a negotiation under way keeps its
    /// own time limits. The file of a unix socket gets its new group and mode if this
    /// server owns it, and an error is about that.
    pub fn change(&self, options: ServerOptions) -> Result<(), ServerError> {
        let mut access = options.access;
        let before = self.options.send_replace(Arc::new(options));
        if before.access.group.is_some() && access.group.is_none() {
            access.group = Some(rustix::process::getegid().as_raw());
        }
        match &self.file {
            Some(file) if before.access != access => file
                .set_access(access)
                .map_err(|error| ServerError::new(&self.address, error)),
            _ => Ok(()),
        }
    }

    /// Whether the server owns the file of its unix socket, to change and to remove it.
    #[must_use]
    pub fn owns_file(&self) -> bool {
        self.file.is_some()
    }

    /// Whether the file at its address still leads to it: another process can put its own
    /// socket there.
    #[must_use]
    pub fn can_be_reached(&self) -> bool {
        self.way.as_ref().is_none_or(Way::is_open)
    }

    /// The address of the listening socket `socket`.
    pub fn address_of(socket: BorrowedFd<'_>) -> io::Result<Address> {
        address_of(socket)
    }

    /// The listening socket, for the process that keeps it while there is no server.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.listener.socket()
    }

    /// Accepts no more clients, and waits at most `patience` for negotiations under way.
    /// Clients that connect now wait for the next server on the socket; its file stays.
    pub async fn retire(mut self, patience: Duration) {
        self.finishing.send_replace(true);
        // Negotiations that take longer are dropped, as when a server ends.
        let _ = timeout(patience, &mut self.acceptor).await;
        if let Some(file) = self.file.take() {
            file.leave();
        }
    }

    /// The address, with the port that the kernel chose if that was asked.
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

/// What all negotiations of a server share.
struct Door {
    exports: Arc<dyn Exports>,
    options: watch::Receiver<Arc<ServerOptions>>,
    gate: Arc<Gate>,
    /// Counts clients that had to go for others.
    shed: Arc<Tally>,
    /// Counts clients for whom there were no open files left.
    beyond: Arc<Tally>,
}

impl Door {
    fn new(exports: Arc<dyn Exports>, options: watch::Receiver<Arc<ServerOptions>>) -> Arc<Self> {
        Arc::new(Self {
            exports,
            options,
            gate: Gate::new(),
            shed: Tally::new("had to go for a newcomer, as too many negotiate"),
            beyond: Tally::new("not let in, as there are too many open files"),
        })
    }

    fn options(&self) -> Arc<ServerOptions> {
        Arc::clone(&self.options.borrow())
    }

    /// A place for a newcomer, unless clients that make progress have taken all.
    fn admit(&self, peer: &str) -> Option<Place> {
        let limit = self.options().max_negotiations;
        match self.gate.admit(limit, std::time::Instant::now()) {
            Admission::Free(place) => Some(place),
            Admission::Instead(place) => {
                self.shed.note(|| {
                    warn!(limit, "too many negotiate: one that got nowhere was closed");
                });
                Some(place)
            }
            Admission::Refused => {
                warn!(client = peer, limit, "not let in: too many negotiate");
                None
            }
        }
    }
}

/// Accepts clients until it is told to finish. Negotiations under way end with it.
async fn accept(listener: Arc<Listener>, door: Arc<Door>, mut finish: watch::Receiver<bool>) {
    let mut negotiations = JoinSet::new();
    loop {
        while negotiations.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept(|| door.options().keep_alive) => accepted,
            _ = finish.wait_for(|finish| *finish) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // The process is most likely out of descriptors; others may be closed
                // soon.
                warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !is_for_clients(stream.socket()) {
            door.beyond.note(|| {
                warn!(
                    client = peer,
                    "not let in: too many open files; raise the limit (LimitNOFILE=, ulimit -n)"
                );
            });
            continue;
        }
        if let Some(place) = door.admit(&peer) {
            let number = place.number();
            let task = negotiations.spawn(serve(stream, peer, Arc::clone(&door), place));
            door.gate.held_by(number, task);
        }
    }
    while negotiations.join_next().await.is_some() {}
}

/// Negotiates with one client and hands it over.
async fn serve(mut stream: Stream, peer: String, door: Arc<Door>, place: Place) {
    let options = door.options();
    let crowded = |why: &Unavailable| {
        warn!(client = peer, "refused: {why}");
    };
    let negotiation = async {
        let exports = &*door.exports;
        match &mut stream {
            Stream::Unix(stream) => negotiate(stream, exports, &options, &place, crowded).await,
            Stream::Tcp(stream) => negotiate(stream, exports, &options, &place, crowded).await,
        }
    };
    let agreed = match timeout(options.negotiation_limit, negotiation).await {
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
    drop(place);
    let Agreed {
        session,
        export,
        permit,
    } = agreed;
    let name = session.name().to_owned();
    let client = stream
        .into_fd()
        .and_then(|fd| NbdClient::new(fd, peer.clone(), session));
    let attached = client
        .map_err(|error| error.to_string())
        .and_then(|client| export.attach(Box::new(client.holding(permit))));
    match attached {
        Ok(()) => info!(client = peer, export = name, "connected"),
        Err(error) => warn!(client = peer, export = name, error, "cannot be served"),
    }
}

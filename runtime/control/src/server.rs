//! The host's end of a control socket.
//!
//! The kernel tells who a client is; only the host's own user and root are answered.
//! Connections, lines and silence have limits.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::line::{self, LineError};
use crate::place;
use crate::protocol::{Answer, LONGEST_REQUEST, Refusal, RefusalKind, Request};

/// The most clients at a time.
const MOST_CONNECTIONS: usize = 16;

/// How long a client may take to send a request, or to accept each piece of an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes sent at a time.
const PIECE: usize = 1 << 20;

/// Carries out clients' requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropped when the host stops, but not when the client goes
    /// away.
    fn handle(&self, request: Request) -> Handling<'_>;
}

/// The future of an answer.
pub type Handling<'a> = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send + 'a>>;

/// A control socket. Dropping it ends all connections and removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// Device and inode of the socket, if it is ours: a file that has replaced it is not
    /// removed.
    identity: Option<(u64, u64)>,
    finishing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// Why the control socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("control socket {}: another process listens there", .0.display())]
    Taken(PathBuf),
    /// Another kind of file is there.
    #[error("control socket {}: there is a file that is no socket", .0.display())]
    NoSocket(PathBuf),
    /// The system refused.
    #[error("control socket {}: {error}", path.display())]
    System {
        /// The socket's path.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

impl Server {
    /// Listens at `path`, whose directory must be there. A socket that a dead
    /// process left there is replaced. Runs on the current tokio runtime.
    pub fn bind(path: &Path, handler: Arc<dyn Handler>) -> Result<Self, BindError> {
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(BindError::NoSocket(path.to_owned()));
            }
            if !place::is_stale(path) {
                return Err(BindError::Taken(path.to_owned()));
            }
        }
        let (listener, identity) = listen(path).map_err(|error| BindError::System {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self::serving(listener, path, Some(identity), handler))
    }

    /// Does the same on a listening socket that another process bound, which also owns
    /// its file.
    pub fn on(socket: OwnedFd, handler: Arc<dyn Handler>) -> io::Result<Self> {
        let listener = std::os::unix::net::UnixListener::from(socket);
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        let path = bound.as_pathname().unwrap_or(Path::new("")).to_owned();
        let listener = UnixListener::from_std(listener)?;
        Ok(Self::serving(listener, &path, None, handler))
    }

    fn serving(
        listener: UnixListener,
        path: &Path,
        identity: Option<(u64, u64)>,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let (finishing, finish) = watch::channel(false);
        Self {
            path: path.to_owned(),
            identity,
            accepting: tokio::spawn(accept(listener, handler, finish)),
            finishing,
        }
    }

    /// Takes no more requests, and waits at most `patience` for the answers to earlier
    /// ones.
    pub async fn finish(mut self, patience: Duration) {
        self.finishing.send_replace(true);
        // Requests that take longer get no answer.
        let _ = timeout(patience, &mut self.accepting).await;
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| Some((found.dev(), found.ino())) == self.identity);
        if ours {
            // If the file can't be removed, the next program that looks finds it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The listener, and device and inode of its socket. The socket gets its name only once
/// it listens and is closed to others, so that nobody finds it half made.
fn listen(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let draft = path.with_file_name(format!(".{}.new", std::process::id()));
    // A dead process with our PID may have left one.
    let _ = fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft)?;
    let named = fs::set_permissions(&draft, Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&draft, path));
    if let Err(error) = named {
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    let found = fs::symlink_metadata(path)?;
    Ok((listener, (found.dev(), found.ino())))
}

async fn accept(
    listener: UnixListener,
    handler: Arc<dyn Handler>,
    mut finish: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Dropping it, when this task is aborted, ends all connections.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = finish.wait_for(|finish| *finish) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("control socket: accepting: {error}");
                // The process is most likely out of descriptors, which may pass.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (handler, room) = (Arc::clone(&handler), Arc::clone(&room));
        match room.try_acquire_owned() {
            Ok(permit) => {
                let finish = finish.clone();
                connections.spawn(async move {
                    converse(stream, &*handler, finish).await;
                    drop(permit);
                });
            }
            Err(_) => turn_away(&stream, RefusalKind::Busy, "too many connections"),
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Sends the reason, as far as that can be done without waiting.
fn turn_away(stream: &UnixStream, kind: RefusalKind, why: &str) {
    let _ = stream.try_write(&Refusal::new(kind, why).to_line());
}

async fn converse(stream: UnixStream, handler: &dyn Handler, mut finish: watch::Receiver<bool>) {
    if let Err(why) = admit(&stream) {
        tracing::warn!("control socket: {why}");
        turn_away(&stream, RefusalKind::Denied, &why);
        return;
    }
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let line = tokio::select! {
            line = line::next(&mut read, LONGEST_REQUEST, PATIENCE) => line,
            _ = finish.wait_for(|finish| *finish) => return,
        };
        let request = match line {
            Ok(None) => return,
            Ok(Some(line)) => Request::parse(&line),
            Err(LineError::TooLong(most)) => {
                // It is not known where the next request would begin.
                let why = format!("a request of more than {most} bytes");
                let refusal = Refusal::new(RefusalKind::BadRequest, why);
                let _ = send(&mut write, &refusal.to_line()).await;
                return;
            }
            Err(error) => {
                tracing::debug!("control socket: {error}");
                return;
            }
        };
        let answer = match request {
            Ok(request) => handler.handle(request).await,
            Err(refusal) => Err(refusal),
        };
        let (line, bytes) = match &answer {
            Ok(answer) => (answer.to_line(), answer.bytes.as_deref().unwrap_or(&[])),
            Err(refusal) => (refusal.to_line(), &[][..]),
        };
        for piece in std::iter::once(&line[..]).chain(bytes.chunks(PIECE)) {
            if send(&mut write, piece).await.is_err() {
                return;
            }
        }
    }
}

async fn send(to: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, to.write_all(bytes)).await?
}

/// Allows only the host's own user and root. The socket's mode already ensures that; this
/// check holds even if somebody changed the mode.
fn admit(stream: &UnixStream) -> Result<(), String> {
    let peer = stream
        .peer_cred()
        .map_err(|error| format!("who connected can't be told: {error}"))?;
    let own = rustix::process::geteuid().as_raw();
    if peer.uid() == own || peer.uid() == 0 {
        return Ok(());
    }
    Err(format!(
        "user {} may not control this host, which is user {own}'s",
        peer.uid()
    ))
}

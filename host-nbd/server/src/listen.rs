//! Listening sockets: binding them with clear errors, and cleaning up after
//! them.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::address::Address;
use crate::keep_alive;
use crate::options::Access;
use crate::server::ServerError;

const BACKLOG: i32 = 128;

/// A bound socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// The address of a listening socket; an error for any other socket.
pub(crate) fn address_of(socket: BorrowedFd<'_>) -> io::Result<Address> {
    use rustix::net::sockopt;
    if !sockopt::socket_acceptconn(socket)? {
        return Err(io::Error::other("not a socket that listens"));
    }
    let family = sockopt::socket_domain(socket)?;
    let socket = socket.try_clone_to_owned()?;
    if family == AddressFamily::UNIX {
        let bound = std::os::unix::net::UnixListener::from(socket).local_addr()?;
        let path = bound.as_pathname();
        let path = path.ok_or_else(|| io::Error::other("a unix socket without a path"))?;
        return Ok(Address::Unix(path.to_owned()));
    }
    let bound = std::net::TcpListener::from(socket).local_addr()?;
    Ok(Address::Tcp {
        host: bound.ip().to_string(),
        port: bound.port(),
    })
}

/// An accepted connection.
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Listener {
    /// Listens on `address`, and returns the address as it was bound and a guard to keep
    /// while the server runs.
    pub(crate) async fn bind(
        address: &Address,
        access: Access,
    ) -> Result<(Self, Address, Option<SocketFile>), ServerError> {
        match address {
            Address::Unix(path) => {
                let (listener, file) = bind_unix(path, access)?;
                Ok((Self::Unix(listener), address.clone(), Some(file)))
            }
            Address::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port))
                    .await
                    .map_err(|error| ServerError::new(address, error))?;
                let bound = listener
                    .local_addr()
                    .map_err(|error| ServerError::new(address, error))?;
                let actual = Address::Tcp {
                    host: host.clone(),
                    port: bound.port(),
                };
                Ok((Self::Tcp(listener), actual, None))
            }
        }
    }

    /// Takes over a listening socket that another process bound, and returns its address.
    pub(crate) fn of(socket: OwnedFd) -> io::Result<(Self, Address)> {
        let address = address_of(socket.as_fd())?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let listener = match address {
            Address::Unix(_) => Self::Unix(UnixListener::from_std(socket.into())?),
            Address::Tcp { .. } => Self::Tcp(TcpListener::from_std(socket.into())?),
        };
        Ok((listener, address))
    }

    /// The listener's descriptor.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }

    /// Accepts the next connection, and names it for logs. A TCP peer is watched for
    /// `keep_alive`.
    pub(crate) async fn accept(
        &self,
        keep_alive: impl Fn() -> Option<Duration>,
    ) -> io::Result<(Stream, String)> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let pid = stream.peer_cred().ok().and_then(|cred| cred.pid());
                let name = pid.map_or("unix".to_owned(), |pid| format!("unix:pid:{pid}"));
                Ok((Stream::Unix(stream), name))
            }
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Negotiation consists of short messages.
                let _ = stream.set_nodelay(true);
                if let Some(limit) = keep_alive() {
                    keep_alive::watch(&stream, limit)?;
                }
                Ok((Stream::Tcp(stream), peer.to_string()))
            }
        }
    }
}

impl Stream {
    /// The stream's descriptor.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }

    /// The bare socket, without the reactor.
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Unix(stream) => stream.into_std()?.into(),
            Self::Tcp(stream) => stream.into_std()?.into(),
        })
    }
}

/// Checks whether a server could listen there, as far as that can be seen without doing
/// it. Another server that already listens there is no error: it may be the one to be
/// replaced.
pub fn look(address: &Address) -> Result<(), ServerError> {
    match address {
        Address::Unix(path) => look_unix(path, address),
        // Any port shows whether this machine has the address.
        Address::Tcp { host, .. } => std::net::TcpListener::bind((host.as_str(), 0))
            .map(drop)
            .map_err(|error| ServerError::new(address, error)),
    }
}

fn look_unix(path: &Path, address: &Address) -> Result<(), ServerError> {
    let error = |error| ServerError::new(address, error);
    SocketAddrUnix::new(path).map_err(|errno| error(errno.into()))?;
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(ServerError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(error(other)),
    }
    let directory = match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    };
    let may = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(directory, may).map_err(|errno| {
        let why = io::Error::from(errno);
        let message = format!("directory {}: {why}", directory.display());
        error(io::Error::new(why.kind(), message))
    })
}

fn bind_unix(path: &Path, access: Access) -> Result<(UnixListener, SocketFile), ServerError> {
    let address = Address::Unix(path.to_owned());
    let bound = match open_unix(path, access) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, &address)?;
            open_unix(path, access)
        }
        bound => bound,
    };
    bound.map_err(|error| ServerError::new(&address, error))
}

fn open_unix(path: &Path, access: Access) -> io::Result<(UnixListener, SocketFile)> {
    let socket = unix_socket()?;
    // Linux gives the file the mode of the socket, less the umask. Until the socket
    // listens nobody can connect, whatever the file's mode.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(access.mode & 0o700))?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let file = SocketFile::of(path)?;
    set_access(path, access)?;
    listen(&socket, BACKLOG)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Gives the file of a unix socket its group and mode. Without a group the file keeps
/// the one that it was made with.
pub fn set_access(path: &Path, access: Access) -> io::Result<()> {
    // The group goes first: the mode is meant for that group.
    if let Some(wanted) = access.group
        && std::fs::symlink_metadata(path)?.gid() != wanted
    {
        std::os::unix::fs::lchown(path, None, Some(wanted)).map_err(|error| {
            let message = format!("its file cannot be given the group {wanted}: {error}");
            io::Error::new(error.kind(), message)
        })?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(access.mode & 0o777))
}

/// Removes the socket of a server that is gone. Anything else at `path` stays.
fn remove_stale(path: &Path, address: &Address) -> Result<(), ServerError> {
    let error = |error| ServerError::new(address, error);
    let before = std::fs::symlink_metadata(path).map_err(error)?;
    if !before.file_type().is_socket() {
        return Err(ServerError::NotASocket(path.to_owned()));
    }
    match knock(path) {
        Err(Errno::CONNREFUSED) => {}
        // The connection was accepted, or the queue is full: a server is there.
        Ok(()) | Err(Errno::AGAIN) => return Err(ServerError::InUse(address.clone())),
        Err(e) => return Err(error(e.into())),
    }
    // Another server may have replaced the file meanwhile.
    let stale = SocketFile {
        path: path.to_owned(),
        id: (before.dev(), before.ino()),
    };
    if !stale.is_ours() {
        return Err(ServerError::InUse(address.clone()));
    }
    tracing::info!(%address, "replacing the socket of a server that is gone");
    drop(stale);
    Ok(())
}

/// Tries to connect, without waiting.
fn knock(path: &Path) -> rustix::io::Result<()> {
    connect(unix_socket()?, &SocketAddrUnix::new(path)?)
}

fn unix_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// The file of a unix socket, as it was when the socket began to be served.
#[derive(Debug)]
pub(crate) struct Way {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl Way {
    /// The file of the socket at this address; `None` if it has none.
    pub(crate) fn to(address: &Address) -> Option<Self> {
        let Address::Unix(path) = address else {
            return None;
        };
        let file = std::fs::symlink_metadata(path).ok()?;
        Some(Self {
            path: path.clone(),
            id: (file.dev(), file.ino()),
        })
    }

    /// Whether the path still leads to that file.
    pub(crate) fn is_open(&self) -> bool {
        let file = std::fs::symlink_metadata(&self.path);
        file.is_ok_and(|file| (file.dev(), file.ino()) == self.id)
    }
}

/// The file of a unix socket; removed when dropped, unless another has taken its
/// place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = std::fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            id: (meta.dev(), meta.ino()),
        })
    }

    /// Gives the file another group and mode.
    pub(crate) fn set_access(&self, access: Access) -> io::Result<()> {
        if self.is_ours() {
            set_access(&self.path, access)?;
        }
        Ok(())
    }

    /// Leaves the file in place for the process that has the socket from now on.
    pub(crate) fn leave(mut self) {
        self.path = PathBuf::new();
    }

    fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.id)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

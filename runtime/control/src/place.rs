//! The places of control sockets: one for each host, named by its process id, in a
//! directory that only its user can enter.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

/// The environment variable that names another directory.
pub const VARIABLE: &str = "VCP_CONTROL_DIR";

/// The directory of this user's control sockets: the value of [`VARIABLE`];
/// `/run/vcp/control` for root; `control` in the directory [of a service](of_service);
/// `$XDG_RUNTIME_DIR/vcp/control`; or a directory among the temporary files, named by the
/// user's id.
pub fn directory() -> PathBuf {
    let user = rustix::process::geteuid();
    // Its specification says to ignore a path that is not absolute.
    let named = |variable| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(directory) = std::env::var_os(VARIABLE).and_then(|said| from_here(&said)) {
        directory
    } else if user.is_root() {
        PathBuf::from("/run/vcp/control")
    } else if let Some(directory) = of_service().filter(|path| path.is_dir()) {
        directory.join("control")
    } else if let Some(directory) = named("XDG_RUNTIME_DIR").filter(|path| path.is_dir()) {
        directory.join("vcp/control")
    } else {
        std::env::temp_dir().join(format!("vcp-control-{}", user.as_raw()))
    }
}

/// Makes a path absolute, from the working directory; `None` if it is empty.
fn from_here(path: &OsStr) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

/// The directory in `/run` that the service manager has made for this process, if it has:
/// `RuntimeDirectory=` of systemd.exec(5), the first of several. Programs outside of the
/// service can see it, unlike the temporary files of a service.
pub fn of_service() -> Option<PathBuf> {
    first_of(&std::env::var_os("RUNTIME_DIRECTORY")?)
}

/// The first of several paths separated by colons, if it is absolute.
fn first_of(paths: &OsStr) -> Option<PathBuf> {
    let path = paths
        .as_encoded_bytes()
        .split(|byte| *byte == b':')
        .next()?;
    let path = PathBuf::from(OsStr::from_bytes(path));
    path.is_absolute().then_some(path)
}

/// The socket of this process in `directory`.
pub fn own(directory: &Path) -> PathBuf {
    directory.join(format!("{}.sock", std::process::id()))
}

/// Creates the directory if necessary, and closes it to others. A directory that belongs
/// to another user is refused: that user could put sockets in it.
pub fn make(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        DirBuilder::new().recursive(true).create(parent)?;
        check_parent(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    check(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

/// Checks that it is a directory of this user, and not a link to one.
fn check(directory: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if !found.is_dir() {
        return refuse("not a directory");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse("belongs to another user");
    }
    Ok(())
}

/// Checks that not everybody can replace directories in it. What a group may do is up to
/// its members.
fn check_parent(parent: &Path) -> io::Result<()> {
    const EVERYBODY: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mode = fs::metadata(parent)?.mode();
    if mode & EVERYBODY != 0 && mode & STICKY == 0 {
        let why = "everybody can write to the directory that it is in";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// The sockets of hosts that may be alive, with their process ids, in the order of these.
/// Sockets of dead hosts are removed.
pub fn sockets(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = match check(directory).and_then(|()| fs::read_dir(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut sockets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some(pid) = pid(&path) else { continue };
        if is_stale(&path) {
            // Another process may have been faster.
            let _ = fs::remove_file(&path);
        } else {
            sockets.push((pid, path));
        }
    }
    sockets.sort();
    Ok(sockets)
}

/// The PID in the file name `PID.sock`; no other file in the directory is touched.
fn pid(path: &Path) -> Option<u32> {
    if path.extension() != Some(OsStr::new("sock")) {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// Whether this is a socket that nobody listens on. A host's socket gets its name only
/// once the host listens, so it is never mistaken for a stale one.
pub(crate) fn is_stale(path: &Path) -> bool {
    let socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    socket && refuses(path)
}

fn refuses(path: &Path) -> bool {
    // A listener is found at once, unless its queue is full and this waits; hence the
    // limit.
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let connect = || -> rustix::io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
    };
    connect() == Err(rustix::io::Errno::CONNREFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_directory_may_be_named_from_the_working_directory() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(from_here(OsStr::new("a/b")), Some(here.join("a/b")));
        assert_eq!(from_here(OsStr::new("/a")), Some(PathBuf::from("/a")));
        assert_eq!(from_here(OsStr::new("")), None);
    }

    #[test]
    fn the_directory_of_a_service_is_the_first_of_several() {
        let first = |paths: &str| first_of(OsStr::new(paths));
        assert_eq!(first("/run/vcp"), Some(PathBuf::from("/run/vcp")));
        assert_eq!(first("/run/a:/run/b"), Some(PathBuf::from("/run/a")));
        assert_eq!(first(""), None);
        assert_eq!(first("vcp"), None);
    }

    #[test]
    fn only_what_is_dead_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("a/b");
        make(&directory).unwrap();
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let live = directory.join("7.sock");
        let _listener = UnixListener::bind(&live).unwrap();
        let dead = directory.join("8.sock");
        drop(UnixListener::bind(&dead).unwrap());
        let other = directory.join("nbd.sock");
        drop(UnixListener::bind(&other).unwrap());
        fs::write(directory.join("9.sock"), "a file").unwrap();
        let found = sockets(&directory).unwrap();
        assert_eq!(
            found.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(),
            [7, 9]
        );
        assert!(!dead.exists() && live.exists() && other.exists());
    }

    #[test]
    fn a_directory_that_is_none() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(sockets(&scratch.path().join("none")).unwrap(), []);
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
        assert!(make(&link).is_err());
        assert!(sockets(&link).is_err());
    }

    #[test]
    fn a_place_where_everybody_can_write() {
        let scratch = tempfile::tempdir().unwrap();
        let parent = scratch.path().join("open");
        fs::create_dir(&parent).unwrap();
        let mode = |mode| fs::set_permissions(&parent, Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        assert!(make(&parent.join("control")).is_err());
        mode(0o1777);
        make(&parent.join("control")).unwrap();
    }

    #[test]
    fn open_directories_are_closed() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("open");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        make(&directory).unwrap();
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

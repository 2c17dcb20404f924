//! Why a device was not attached or detached: one line that says what is wrong and what
//! to do about it.

use std::io;

use rustix::io::Errno;

use crate::name::DeviceName;

/// An error of attaching or detaching.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The name is not one of a whole nbd device.
    #[error("{0:?} is no nbd device; expected a whole device such as /dev/nbd0")]
    BadName(String),
    /// The module is not loaded, and this user can't load it.
    #[error("the kernel's nbd module is not loaded, and loading it takes root: modprobe nbd")]
    NotLoaded,
    /// The module is not loaded, and could not be.
    #[error("the kernel's nbd module is not loaded, and \"modprobe nbd\" failed: {0}")]
    CannotLoad(String),
    /// The module is not loaded, and this process cannot see whether there is one.
    #[error(
        "the kernel's nbd module is not loaded, and this process may not look \
         for it ({0}): \"modprobe nbd\" outside of its sandbox or container loads it"
    )]
    NoModules(String),
    /// The kernel has no such module.
    #[error(
        "this kernel ({0}) has no nbd: it is built without CONFIG_BLK_DEV_NBD, \
         or its modules are not installed here"
    )]
    NoSupport(String),
    /// The driver exists but cannot be reached from this network namespace.
    #[error(
        "the kernel's nbd can't be reached from this network namespace; \
         it answers in the machine's first one only"
    )]
    Namespace,
    /// The kernel refuses this process for want of privileges.
    #[error(
        "the kernel refuses nbd to this process: it takes CAP_SYS_ADMIN, outside of any user namespace"
    )]
    Capability,
    /// This process may not open netlink sockets, by which the driver is reached.
    #[error(
        "the kernel's nbd is reached by netlink, and this process may have no such sockets: \
         {0}; the sandbox or container that it is in has to allow AF_NETLINK"
    )]
    NoNetlink(io::Error),
    /// The device serves somebody.
    #[error("{device} is attached already, {holder}")]
    Busy {
        /// The device.
        device: DeviceName,
        /// The holder, as far as the kernel says.
        holder: String,
    },
    /// No device is free, and the kernel makes no new one.
    #[error(
        "no nbd device is free ({present} there are), and the kernel makes no other: {error}; \
         \"modprobe nbd nbds_max=N\" loads it with N of them"
    )]
    NoneFree {
        /// The number of devices.
        present: usize,
        /// The kernel's error.
        error: io::Error,
    },
    /// The number is larger than the kernel takes.
    #[error("there can be no {0}: the number is too large for this kernel")]
    NoSuchDevice(DeviceName),
    /// The device is not attached, so that it cannot be detached or reconnected.
    #[error("{0} is not attached")]
    NotAttached(DeviceName),
    /// The kernel does not accept the device's block size.
    #[error(
        "the device has blocks of {block_size} bytes, and the kernel's nbd takes \
         512 to {page} bytes only"
    )]
    BlockSize {
        /// The device's block size in bytes.
        block_size: u32,
        /// The largest block size that the kernel accepts.
        page: usize,
    },
    /// The kernel refused, for a reason of its own.
    #[error("{device}: the kernel refuses to {what}: {error}; its log may say why")]
    Refused {
        /// The device.
        device: DeviceName,
        /// What was refused, as a verb.
        what: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// Talking to the kernel failed.
    #[error("generic netlink: {0}")]
    Netlink(io::Error),
    /// The kernel's answer makes no sense.
    #[error("generic netlink: the kernel's answer makes no sense: {0}")]
    Garbled(String),
    /// A file in `/sys` cannot be read.
    #[error("{path}: {error}")]
    Sysfs {
        /// The file's path.
        path: String,
        /// The reason.
        error: io::Error,
    },
}

impl AttachError {
    /// Whether the sandbox of a service or container forbids it, so that its
    /// administrator could allow it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::NoNetlink(_) | Self::Capability | Self::NoModules(_)
        )
    }

    /// Why there is no netlink socket.
    pub(crate) fn of_socket(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::AFNOSUPPORT | Errno::PERM | Errno::ACCESS) => Self::NoNetlink(error),
            _ => Self::Netlink(error),
        }
    }
}

/// The message has the error in it, so it is not a source: a chain would print it twice.
impl From<io::Error> for AttachError {
    fn from(error: io::Error) -> Self {
        Self::Netlink(error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn of(errno: Errno) -> AttachError {
        AttachError::of_socket(io::Error::from_raw_os_error(errno.raw_os_error()))
    }

    #[test]
    fn a_socket_that_is_forbidden_is_told_from_one_that_fails() {
        for errno in [Errno::AFNOSUPPORT, Errno::PERM, Errno::ACCESS] {
            let error = of(errno);
            assert!(error.is_forbidden(), "{error}");
            assert!(error.to_string().contains("AF_NETLINK"), "{error}");
        }
        let error = of(Errno::NFILE);
        assert!(!error.is_forbidden(), "{error}");
        assert!(
            error.to_string().starts_with("generic netlink: "),
            "{error}"
        );
        assert!(!AttachError::Namespace.is_forbidden());
    }

    #[test]
    fn what_the_system_says_is_said_once() {
        for error in [of(Errno::AFNOSUPPORT), of(Errno::NFILE)] {
            assert!(error.source().is_none(), "{error}");
        }
    }
}

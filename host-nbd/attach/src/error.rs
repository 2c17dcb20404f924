//! Why a device is not attached, or not detached: one line that says what, and
//! what to do about it.

use std::io;

use crate::name::DeviceName;

/// What can go wrong.
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
    /// The module is not loaded, and whether there is one is hidden.
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
    /// The driver is there and out of reach.
    #[error(
        "the kernel's nbd can't be reached from this network namespace; \
         it answers in the machine's first one only"
    )]
    Namespace,
    /// Not allowed.
    #[error(
        "the kernel refuses nbd to this process: it takes CAP_SYS_ADMIN, outside of any user namespace"
    )]
    Capability,
    /// The device serves somebody.
    #[error("{device} is attached already, {holder}")]
    Busy {
        /// Which.
        device: DeviceName,
        /// By whom, as far as the kernel says.
        holder: String,
    },
    /// There is no device, and the kernel makes no other.
    #[error(
        "no nbd device is free ({present} there are), and the kernel makes no other: {error}; \
         \"modprobe nbd nbds_max=N\" loads it with N of them"
    )]
    NoneFree {
        /// How many there are.
        present: usize,
        /// What the kernel says.
        error: io::Error,
    },
    /// The number is larger than the kernel takes.
    #[error("there can be no {0}: the number is too large for this kernel")]
    NoSuchDevice(DeviceName),
    /// Nothing to detach or reconnect.
    #[error("{0} is not attached")]
    NotAttached(DeviceName),
    /// The kernel takes no such blocks.
    #[error(
        "the device has blocks of {block_size} bytes, and the kernel's nbd takes \
         512 to {page} bytes only"
    )]
    BlockSize {
        /// Of the device.
        block_size: u32,
        /// The largest that there may be.
        page: usize,
    },
    /// The kernel would not, for a reason of its own.
    #[error("{device}: the kernel refuses to {what}: {error}; its log may say why")]
    Refused {
        /// Which.
        device: DeviceName,
        /// Verb.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
    /// Talking to the kernel failed.
    #[error("generic netlink: {0}")]
    Netlink(#[from] io::Error),
    /// What came back makes no sense.
    #[error("generic netlink: the kernel's answer makes no sense: {0}")]
    Garbled(String),
    /// What `/sys` shows can't be read.
    #[error("{path}: {error}")]
    Sysfs {
        /// Of the file.
        path: String,
        /// Why.
        error: io::Error,
    },
}

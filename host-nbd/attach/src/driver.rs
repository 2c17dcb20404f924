//! Requests to the kernel's nbd driver.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::error::AttachError;
use crate::message::{Attribute, Command, NbdMessage, SocketItem};
use crate::module;
use crate::name::DeviceName;
use crate::netlink::Netlink;
use crate::sysfs::Sysfs;
use crate::wires::Wires;

/// How often, in milliseconds, the kernel checks whether an unanswered request was sent
/// over a connection that has since been replaced, and sends it again. This is the
/// longest that requests stand still after a host dies. It works only while no request
/// times out ([`Connect::timeout`]) and there is one connection. Each check of a request
/// that merely takes long writes a line to the kernel's log.
const RESEND: u64 = 5_000;

/// The sector size in bytes; the kernel's block devices consist of whole sectors.
pub const SECTOR: u32 = 512;

/// The part of a disk of `size` bytes that a block device can hold: the kernel cannot
/// reach an incomplete sector at the end.
#[must_use]
pub fn whole_sectors(size: u64) -> u64 {
    size - size % u64::from(SECTOR)
}

/// The kernel's driver, there and willing to talk.
#[derive(Debug)]
pub struct Driver {
    netlink: Netlink,
    sysfs: Sysfs,
}

/// The device to attach.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The device to use; `None`: the next free one, or a new one if none is free.
    pub device: Option<DeviceName>,
    /// The size in bytes; the device holds the whole sectors of it.
    pub size: u64,
    /// Bytes; a power of two.
    pub block_size: u32,
    /// `NBD_FLAG_…` of the transmission phase. More than one connection takes
    /// `CAN_MULTI_CONN`.
    pub flags: u16,
    /// At least one.
    pub connections: u32,
    /// How long a request may take before the kernel gives up its connection, in whole
    /// seconds. `None`: no limit. With several connections the kernel's own limit of 30 s
    /// applies instead.
    pub timeout: Option<Duration>,
    /// How long requests wait for new connections once all are dead; whole seconds.
    pub dead_timeout: Duration,
    /// See [`crate::Identifier`].
    pub identifier: String,
}

/// New connections for a device whose old ones are dead.
#[derive(Debug, Clone)]
pub struct Reconnect {
    /// The device to reconnect.
    pub device: DeviceName,
    /// How many connections are missing, as far as is known.
    pub connections: u32,
    /// The identifier that the device was attached with.
    pub identifier: String,
    /// The new size in bytes, if it has changed.
    pub size: Option<u64>,
    /// Whether the device has one connection and no time limit for requests.
    pub patient: bool,
}

impl Driver {
    /// Finds the driver, and loads it if necessary.
    pub fn open() -> Result<Self, AttachError> {
        if let Some(netlink) = Netlink::open()? {
            return Ok(Self::new(netlink));
        }
        if !module::is_there() {
            module::load()?;
            if let Some(netlink) = Netlink::open()? {
                return Ok(Self::new(netlink));
            }
        }
        Err(AttachError::Namespace)
    }

    /// Finds the driver without loading it.
    pub fn find() -> Result<Option<Self>, AttachError> {
        match Netlink::open()? {
            Some(netlink) => Ok(Some(Self::new(netlink))),
            None if module::is_there() => Err(AttachError::Namespace),
            None => Ok(None),
        }
    }

    fn new(netlink: Netlink) -> Self {
        Self {
            netlink,
            sysfs: Sysfs::default(),
        }
    }

    /// The number of devices, and how many of them are attached.
    pub fn count(&mut self) -> Result<(usize, usize), AttachError> {
        let request = NbdMessage::request(Command::Status, Vec::new());
        let answers = self.netlink.nbd(request)??;
        let devices = answers.iter().flat_map(|answer| &answer.devices);
        let (all, attached): (Vec<_>, Vec<_>) = devices.map(|(_, on)| ((), *on)).unzip();
        let attached = attached.into_iter().filter(|on| *on).count();
        Ok((all.len(), attached))
    }

    /// Attaches a device. The near ends of its connections speak NBD from the
    /// transmission phase on, and the kernel sends requests at once.
    pub fn connect(&mut self, wanted: &Connect) -> Result<(DeviceName, Vec<OwnedFd>), AttachError> {
        if let Some(attached) = wanted.device.and_then(|device| self.sysfs.get(device)) {
            return Err(AttachError::Busy {
                device: attached.device,
                holder: attached.holder(),
            });
        }
        let wires = Wires::new(wanted.connections)?;
        let request = NbdMessage::request(Command::Connect, attributes(wanted, &wires));
        let answers = match self.netlink.nbd(request)? {
            Ok(answers) => answers,
            Err(error) => return Err(self.not_connected(wanted, error)),
        };
        let index = answers.iter().find_map(NbdMessage::index);
        let index = index.ok_or_else(|| AttachError::Garbled("no number of a device".into()))?;
        let device = DeviceName(index);
        if wanted.timeout.is_none() && wanted.connections == 1 {
            self.look_often(device);
        }
        Ok((device, wires.taken()?))
    }

    /// Gives an attached device new connections, and returns the near ends of those
    /// that the kernel took: as many as it has noticed to be dead by now.
    pub fn reconnect(&mut self, wanted: &Reconnect) -> Result<Vec<OwnedFd>, AttachError> {
        let device = wanted.device;
        let wires = Wires::new(wanted.connections)?;
        let mut attributes = vec![
            Attribute::Index(device.0),
            Attribute::BackendIdentifier(wanted.identifier.clone()),
            Attribute::Sockets(wires.far().map(SocketItem).collect()),
        ];
        attributes.extend(wanted.size.map(whole_sectors).map(Attribute::SizeBytes));
        let request = NbdMessage::request(Command::Reconfigure, attributes);
        if let Err(error) = self.netlink.nbd(request)? {
            return Err(match self.sysfs.get(device) {
                None => AttachError::NotAttached(device),
                Some(_) => refused(device, "reconnect it", error),
            });
        }
        let taken = wires.taken()?;
        if wanted.patient && !taken.is_empty() {
            self.look_often(device);
        }
        Ok(taken)
    }

    /// Detaches a device: it takes no more requests, and those under way fail.
    pub fn disconnect(&mut self, device: DeviceName) -> Result<(), AttachError> {
        if self.sysfs.get(device).is_none() {
            return Err(AttachError::NotAttached(device));
        }
        let request = NbdMessage::request(Command::Disconnect, vec![Attribute::Index(device.0)]);
        self.netlink
            .nbd(request)?
            .map(drop)
            .map_err(|error| refused(device, "detach it", error))
    }

    /// If this fails, only the pause after a restart becomes longer.
    fn look_often(&self, device: DeviceName) {
        if let Err(error) = self.sysfs.set_io_timeout(device, RESEND) {
            tracing::warn!(
                "{device}: {error}: after a host that dies, requests that were under way \
                 stand still for 30 s or more before the kernel sends them again"
            );
        }
    }

    /// Why a device was not attached.
    fn not_connected(&mut self, wanted: &Connect, error: io::Error) -> AttachError {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        let page = rustix::param::page_size();
        match (errno, wanted.device) {
            (Some(Errno::PERM | Errno::ACCESS), _) => AttachError::Capability,
            (Some(Errno::BUSY), Some(device)) => AttachError::Busy {
                device,
                holder: self.sysfs.get(device).map_or_else(
                    || "and still held open by those that used it".to_owned(),
                    |attached| attached.holder(),
                ),
            },
            (Some(Errno::INVAL), _) if wanted.block_size as usize > page => {
                AttachError::BlockSize {
                    block_size: wanted.block_size,
                    page,
                }
            }
            (Some(Errno::INVAL), Some(device)) if !self.sysfs.devices().contains(&device) => {
                AttachError::NoSuchDevice(device)
            }
            (_, Some(device)) => refused(device, "attach it", error),
            (_, None) => AttachError::NoneFree {
                present: self.count().map_or(0, |(all, _)| all),
                error,
            },
        }
    }
}

/// Whether this process may attach devices, as far as it can tell.
pub fn may_attach() -> Result<(), AttachError> {
    use rustix::thread::{CapabilitySet, capabilities};
    let sets = capabilities(None).map_err(io::Error::from)?;
    let held = sets.effective.contains(CapabilitySet::SYS_ADMIN);
    // The capability counts only in the initial user namespace, which maps every user to
    // itself.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let first = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (held && first).then_some(()).ok_or(AttachError::Capability)
}

/// Whether this kernel has the module on disk.
#[must_use]
pub fn can_load() -> bool {
    module::is_installed()
}

fn attributes(wanted: &Connect, wires: &Wires) -> Vec<Attribute> {
    let mut attributes: Vec<_> = wanted
        .device
        .map(|device| Attribute::Index(device.0))
        .into_iter()
        .collect();
    attributes.extend([
        Attribute::SizeBytes(whole_sectors(wanted.size)),
        // The kernel has no smaller blocks; its requests are multiples of 512 bytes.
        Attribute::BlockSizeBytes(u64::from(wanted.block_size.max(SECTOR))),
        Attribute::ServerFlags(u64::from(wanted.flags)),
        Attribute::Timeout(wanted.timeout.map_or(0, |time| time.as_secs())),
        Attribute::DeadConnTimeout(wanted.dead_timeout.as_secs()),
        Attribute::BackendIdentifier(wanted.identifier.clone()),
        Attribute::Sockets(wires.far().map(SocketItem).collect()),
    ]);
    attributes
}

fn refused(device: DeviceName, what: &'static str, error: io::Error) -> AttachError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => AttachError::Capability,
        _ => AttachError::Refused {
            device,
            what,
            error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_what_is_asked_for() {
        let wanted = Connect {
            device: None,
            size: (1 << 30) + 511,
            block_size: 1,
            flags: 0x16d,
            connections: 2,
            timeout: None,
            dead_timeout: Duration::from_secs(300),
            identifier: "x".into(),
        };
        let wires = Wires::new(2).unwrap();
        let asked = attributes(&wanted, &wires);
        for attribute in [
            Attribute::SizeBytes(1 << 30),
            Attribute::BlockSizeBytes(512),
            Attribute::ServerFlags(0x16d),
            Attribute::Timeout(0),
            Attribute::DeadConnTimeout(300),
            Attribute::Sockets(wires.far().map(SocketItem).collect()),
        ] {
            assert!(asked.contains(&attribute), "{attribute:?}");
        }
        assert!(!asked.iter().any(|a| matches!(a, Attribute::Index(_))));
        let named = Connect {
            device: Some(DeviceName(4)),
            timeout: Some(Duration::from_secs(90)),
            ..wanted
        };
        let asked = attributes(&named, &wires);
        assert_eq!(asked[0], Attribute::Index(4));
        assert!(asked.contains(&Attribute::Timeout(90)));
    }

    /// Runs only where there is no driver: elsewhere it would use the machine's own.
    #[test]
    fn a_machine_without_the_driver_says_so() {
        if module::is_there() {
            return;
        }
        let error = Driver::open().err().map(|error| error.to_string());
        let error = error.expect("there is no driver");
        assert!(error.contains("nbd") && !error.contains('\n'), "{error}");
        assert!(matches!(Driver::find(), Ok(None)));
    }
}

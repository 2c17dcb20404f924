//! A RAM disk as native code, in a plugin of nbdkit: of the shape of the ramdisk VCP,
//! one flat piece of memory and one request at a time, so that what is around the two
//! is what differs. It is no part of the product; it is what that is measured against.
//!
//! `nbdkit libvcp_nbdkit_ramdisk.so size=1G`

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nbdkit::{Error, Flags, Result, Server, ThreadModel};

/// The contents.
static DISK: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Ramdisk;

impl Server for Ramdisk {
    fn name() -> &'static str {
        "ramdisk"
    }

    fn config(key: &str, value: &str) -> Result<()> {
        if key != "size" {
            return Err(Error::new(libc::EINVAL, "a RAM disk has: size"));
        }
        let size = usize::try_from(nbdkit::parse_size(value)?);
        let size = size.map_err(|error| Error::new(libc::EINVAL, error))?;
        *disk() = vec![0; size];
        Ok(())
    }

    fn thread_model() -> Result<ThreadModel> {
        Ok(ThreadModel::SerializeAllRequests)
    }

    fn open(_readonly: bool) -> Result<Box<dyn Server>> {
        Ok(Box::new(Self))
    }

    fn get_size(&self) -> Result<i64> {
        i64::try_from(disk().len()).map_err(|error| Error::new(libc::EOVERFLOW, error))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let disk = disk();
        let bytes = range(buf.len(), offset).and_then(|range| disk.get(range));
        buf.copy_from_slice(bytes.ok_or_else(outside)?);
        Ok(())
    }

    fn write_at(&self, buf: &[u8], offset: u64, _flags: Flags) -> Result<()> {
        let mut disk = disk();
        let bytes = range(buf.len(), offset).and_then(|range| disk.get_mut(range));
        bytes.ok_or_else(outside)?.copy_from_slice(buf);
        Ok(())
    }
}

/// A panic aborts the process: nobody finds the lock poisoned.
fn disk() -> MutexGuard<'static, Vec<u8>> {
    DISK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn range(length: usize, offset: u64) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(length)?)
}

/// nbdkit has checked before that nobody asks for that.
fn outside() -> Error {
    Error::new(libc::EINVAL, "outside of the disk")
}

/// What nbdkit looks for.
mod entry {
    nbdkit::plugin!(super::Ramdisk {
        config,
        thread_model,
        write_at
    });
}

//! A sparse file as a store. A hole in the file is a hole in the store.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

use super::{Disk, DiskError, Extent, check_range};

/// Zeroes for file systems that cannot punch holes.
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

/// A store in a file, sparse where the file system can be.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    size: u64,
}

impl FileDisk {
    /// A store of the file's present length. The file must be open for reading
    /// and writing, and nobody else may change its length.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    /// Opens `path` for reading and writing; makes it, or grows it to `size`
    /// bytes, where it is missing or shorter. A longer file keeps its length.
    pub fn open(path: &Path, size: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        if file.metadata()?.len() < size {
            file.set_len(size)?;
        }
        Self::new(file)
    }

    fn write_zero_bytes(&self, mut offset: u64, mut length: u64) -> io::Result<()> {
        while length > 0 {
            let now = length.min(ZEROES.len() as u64);
            self.file.write_all_at(&ZEROES[..now as usize], offset)?;
            offset += now;
            length -= now;
        }
        Ok(())
    }

    /// Zeroes a range by `fallocate`, or by hand where the file system cannot.
    fn zero(&self, mode: FallocateFlags, offset: u64, length: u64) -> Result<(), DiskError> {
        check_range(self.size, offset, length)?;
        if length == 0 {
            return Ok(());
        }
        match fallocate(&self.file, mode | FallocateFlags::KEEP_SIZE, offset, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => self.write_zero_bytes(offset, length).map_err(classify),
            Err(error) => Err(classify(error.into())),
        }
    }
}

fn classify(error: io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::NoSpace,
        _ => DiskError::Io(error),
    }
}

impl Disk for FileDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_into(&self, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), DiskError> {
        check_range(self.size, offset, length as u64)?;
        let start = out.len();
        out.resize(start + length, 0);
        self.file
            .read_exact_at(&mut out[start..], offset)
            .map_err(|error| {
                out.truncate(start);
                classify(error)
            })
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        check_range(self.size, offset, data.len() as u64)?;
        self.file.write_all_at(data, offset).map_err(classify)
    }

    fn flush(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(classify)
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.zero(FallocateFlags::PUNCH_HOLE, offset, length)
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.zero(FallocateFlags::ZERO_RANGE, offset, length)
    }

    fn extent(&self, offset: u64) -> Result<Extent, DiskError> {
        check_range(self.size, offset, 1)?;
        // ENXIO means that there is no data from here to the end.
        let data = match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => data.min(self.size),
            Err(Errno::NXIO) => self.size,
            Err(error) => return Err(classify(error.into())),
        };
        if data > offset {
            return Ok(Extent {
                length: data - offset,
                mapped: false,
            });
        }
        let hole = seek(&self.file, SeekFrom::Hole(offset)).map_err(|e| classify(e.into()))?;
        Ok(Extent {
            length: hole.min(self.size) - offset,
            mapped: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn discard_frees_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        let disk = FileDisk::open(&path, 1 << 20).unwrap();
        disk.write_at(0, &vec![1; 1 << 20]).unwrap();
        disk.flush().unwrap();
        let before = std::fs::metadata(&path).unwrap().blocks();
        disk.discard(0, 1 << 20).unwrap();
        assert!(std::fs::metadata(&path).unwrap().blocks() < before);
        assert!(!disk.extent(0).unwrap().mapped);
    }

    #[test]
    fn open_grows_and_keeps() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        FileDisk::open(&path, 4096)
            .unwrap()
            .write_at(0, b"kept")
            .unwrap();
        let disk = FileDisk::open(&path, 8192).unwrap();
        assert_eq!(disk.size(), 8192);
        let mut start = [0; 4];
        disk.read_at(0, &mut start).unwrap();
        assert_eq!(&start, b"kept");
        assert_eq!(FileDisk::open(&path, 512).unwrap().size(), 8192);
    }
}

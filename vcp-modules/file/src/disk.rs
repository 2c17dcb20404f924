//! The file, and the operations on it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use vcp_sdk::block::{Geometry, Modifiers, Operation, Request, Status};
use vcp_sdk::{Arena, log};

/// Longest transfer of one request, in bytes.
pub(crate) const MAX_TRANSFER: u32 = 1 << 20;
const BLOCK: u64 = 512;

/// The `config` table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) path: String,
    pub(crate) size: Option<u64>,
    pub(crate) read_only: bool,
}

impl Options {
    pub(crate) fn parse(config: &[(String, String)]) -> Result<Self, String> {
        let (mut path, mut size, mut read_only) = (None, None, false);
        for (key, value) in config {
            match key.as_str() {
                "path" => path = Some(value.clone()),
                "size" => size = Some(parse_size(value)?),
                "read-only" => {
                    read_only = value
                        .parse()
                        .map_err(|_| format!("config.read-only: {value:?} is not true or false"))?;
                }
                other => {
                    return Err(format!(
                        "config.{other}: unknown key; a file has: path, size, read-only"
                    ));
                }
            }
        }
        let path = path.ok_or("config.path: missing; give the path in a granted directory")?;
        Ok(Self {
            path,
            size,
            read_only,
        })
    }
}

fn parse_size(value: &str) -> Result<u64, String> {
    let size = vcp_sdk::parse_size(value).filter(|size| *size > 0 && size % BLOCK == 0);
    size.ok_or_else(|| format!("config.size: {value:?} is not a size that is a multiple of 512"))
}

pub(crate) struct Disk {
    file: File,
    size: u64,
    read_only: bool,
    name: String,
}

impl Disk {
    pub(crate) fn open(options: &Options) -> Result<Self, String> {
        let Options {
            path,
            size,
            read_only,
        } = options;
        let failed = |error: io::Error| format!("config.path: {path}: {error}");
        let file = OpenOptions::new()
            .read(true)
            .write(!read_only)
            .create(!read_only && size.is_some())
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut length = file.metadata().map_err(failed)?.len();
        if let Some(size) = *size
            && length < size
        {
            file.set_len(size).map_err(failed)?;
            length = size;
        }
        if length < BLOCK {
            return Err(format!(
                "config.path: {path}: holds {length} bytes, less than one block; give a size"
            ));
        }
        Ok(Self {
            file,
            size: length - length % BLOCK,
            read_only: *read_only,
            name: path.clone(),
        })
    }

    /// Takes a file that has grown for as long as it is now. What one has lost is
    /// told by the requests for it.
    pub(crate) fn look(&mut self) {
        match self.file.metadata() {
            Ok(metadata) => {
                let length = metadata.len();
                self.size = self.size.max(length - length % BLOCK);
            }
            Err(error) => log!(Warn, "{}: {error}", self.name),
        }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            size: self.size,
            block_size: BLOCK as u32,
            preferred_block_size: 4096,
            max_transfer: MAX_TRANSFER,
            max_discard: 0,
            max_write_zeroes: 0,
            read_only: self.read_only,
            write_cache: true,
            identity: self.name.clone(),
        }
    }

    /// Does what a request asks; the data of a read goes to its own span.
    pub(crate) fn execute(&mut self, request: &Request, data: &mut Arena) -> Result<(), Status> {
        let end = request.offset.checked_add(u64::from(request.length));
        if end.is_none_or(|end| end > self.size) {
            return Err(Status::Invalid);
        }
        let done = match request.operation {
            Operation::Read => {
                let room = data.get_mut(request.data).ok_or(Status::Invalid)?;
                self.seek(request.offset)
                    .and_then(|()| self.file.read_exact(room))
            }
            Operation::Write if self.read_only => return Err(Status::NotPermitted),
            Operation::Write => {
                let payload = data.get(request.data).ok_or(Status::Invalid)?;
                let written = self
                    .seek(request.offset)
                    .and_then(|()| self.file.write_all(payload));
                let durable = request.modifiers.contains(Modifiers::FUA);
                written.and_then(|()| {
                    if durable {
                        self.file.sync_data()
                    } else {
                        Ok(())
                    }
                })
            }
            Operation::Flush => self.file.sync_data(),
            Operation::Discard | Operation::WriteZeroes => return Err(Status::NotSupported),
        };
        done.map_err(|error| {
            log!(Warn, "{}: at byte {}: {error}", self.name, request.offset);
            status(&error)
        })
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset)).map(|_| ())
    }
}

fn status(error: &io::Error) -> Status {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Status::NoSpace
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Status::NotPermitted,
        _ => Status::IoError,
    }
}

#[cfg(test)]
mod tests {
    use vcp_sdk::types::Span;

    use super::*;

    fn request(operation: Operation, offset: u64, data: Span) -> Request {
        Request {
            tag: 1,
            operation,
            modifiers: Modifiers::empty(),
            offset,
            length: data.length,
            data,
        }
    }

    #[test]
    fn a_new_file_is_made_and_keeps_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let options = Options {
            path: path.to_str().unwrap().to_owned(),
            size: Some(4096),
            read_only: false,
        };
        let mut disk = Disk::open(&options).unwrap();
        let mut data = Arena::new(4096, 0);
        let span = Span {
            address: 0,
            length: 512,
        };
        data.get_mut(span).unwrap().fill(7);
        disk.execute(&request(Operation::Write, 1024, span), &mut data)
            .unwrap();
        data.get_mut(span).unwrap().fill(0);
        disk.execute(&request(Operation::Read, 1024, span), &mut data)
            .unwrap();
        assert!(data.get(span).unwrap().iter().all(|byte| *byte == 7));
        let beyond = request(Operation::Read, 4096, span);
        assert_eq!(disk.execute(&beyond, &mut data), Err(Status::Invalid));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    }

    #[test]
    fn a_read_only_file_refuses_writes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1000).unwrap();
        let options = Options {
            path: file.path().to_str().unwrap().to_owned(),
            size: None,
            read_only: true,
        };
        let mut disk = Disk::open(&options).unwrap();
        assert_eq!(
            (disk.geometry().size, disk.geometry().read_only),
            (512, true)
        );
        let span = Span {
            address: 0,
            length: 512,
        };
        let write = request(Operation::Write, 0, span);
        let refused = disk.execute(&write, &mut Arena::new(512, 0));
        assert_eq!(refused, Err(Status::NotPermitted));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let parse = |pairs: &[(&str, &str)]| {
            let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
            Options::parse(&pairs.iter().map(owned).collect::<Vec<_>>()).unwrap_err()
        };
        assert!(parse(&[]).starts_with("config.path: missing"));
        assert!(parse(&[("path", "/a"), ("size", "7")]).starts_with("config.size: \"7\""));
        assert!(parse(&[("path", "/a"), ("read-only", "maybe")]).contains("\"maybe\""));
        assert!(parse(&[("colour", "red")]).starts_with("config.colour: unknown key"));
    }
}

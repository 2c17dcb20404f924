//! A minimal NBD client (the NBD protocol document, "newstyle negotiation" and
//! "transmission"), just enough to write and read one export, with requests in flight,
//! from a blocking thread. The demo has its own client so that it needs no package.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

const MAGIC: u64 = u64::from_be_bytes(*b"NBDMAGIC");
const OPTION_MAGIC: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;

const FIXED_NEWSTYLE_NO_ZEROES: u32 = 3;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERROR: u32 = 1 << 31;
const INFO_EXPORT: u16 = 0;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;

/// A connection to one export.
pub(super) struct Client {
    stream: UnixStream,
    /// The export's size in bytes.
    pub(super) size: u64,
    cookie: u64,
    /// Offset and length of the reads in flight, by cookie; other requests have length 0.
    pending: BTreeMap<u64, (u64, usize)>,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn connect(path: &Path, export: &str) -> Result<Self> {
        let mut stream = UnixStream::connect(path)
            .with_context(|| format!("connecting to {}", path.display()))?;
        let size = negotiate(&mut stream, export).context("negotiating as NBD client")?;
        Ok(Self {
            stream,
            size,
            cookie: 0,
            pending: BTreeMap::new(),
            buffer: Vec::new(),
        })
    }

    /// The number of requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.request(WRITE, offset, data.len() as u32, 0)?;
        self.stream.write_all(data)
    }

    pub(super) fn read(&mut self, offset: u64, length: usize) -> io::Result<()> {
        self.request(READ, offset, length as u32, length)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.request(FLUSH, 0, 0, 0)
    }

    fn request(&mut self, command: u16, offset: u64, length: u32, reply: usize) -> io::Result<()> {
        self.cookie += 1;
        let mut header = [0; 28];
        header[..4].copy_from_slice(&REQUEST_MAGIC.to_be_bytes());
        header[6..8].copy_from_slice(&command.to_be_bytes());
        header[8..16].copy_from_slice(&self.cookie.to_be_bytes());
        header[16..24].copy_from_slice(&offset.to_be_bytes());
        header[24..].copy_from_slice(&length.to_be_bytes());
        if command != DISCONNECT {
            self.pending.insert(self.cookie, (offset, reply));
        }
        self.stream.write_all(&header)
    }

    /// Waits for one answer. Returns the offset and the bytes of a read.
    pub(super) fn answer(&mut self) -> Result<Option<(u64, &[u8])>> {
        let mut header = [0; 16];
        self.stream
            .read_exact(&mut header)
            .context("waiting for an answer")?;
        ensure!(
            header[..4] == SIMPLE_REPLY_MAGIC.to_be_bytes(),
            "the reply has a wrong magic number"
        );
        let error = u32::from_be_bytes(header[4..8].try_into()?);
        let cookie = u64::from_be_bytes(header[8..].try_into()?);
        let (offset, length) = self
            .pending
            .remove(&cookie)
            .context("an answer to no request")?;
        ensure!(error == 0, "request at {offset} failed with error {error}");
        self.buffer.resize(length, 0);
        self.stream
            .read_exact(&mut self.buffer)
            .context("reading data")?;
        Ok((length > 0).then_some((offset, &self.buffer[..])))
    }

    pub(super) fn disconnect(mut self) -> io::Result<()> {
        self.request(DISCONNECT, 0, 0, 0)
    }
}

/// Returns the export's size.
fn negotiate(stream: &mut UnixStream, export: &str) -> Result<u64> {
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting)?;
    ensure!(
        greeting[..8] == MAGIC.to_be_bytes(),
        "the server does not speak NBD"
    );
    ensure!(
        greeting[8..16] == OPTION_MAGIC.to_be_bytes(),
        "the server is too old"
    );
    let mut hello = FIXED_NEWSTYLE_NO_ZEROES.to_be_bytes().to_vec();
    hello.extend(OPTION_MAGIC.to_be_bytes());
    hello.extend(OPT_GO.to_be_bytes());
    hello.extend((export.len() as u32 + 6).to_be_bytes());
    hello.extend((export.len() as u32).to_be_bytes());
    hello.extend(export.as_bytes());
    hello.extend(0u16.to_be_bytes());
    stream.write_all(&hello)?;
    let mut size = None;
    loop {
        let mut header = [0; 20];
        stream.read_exact(&mut header)?;
        ensure!(
            header[..8] == OPTION_REPLY_MAGIC.to_be_bytes(),
            "the option reply has a wrong magic number"
        );
        let kind = u32::from_be_bytes(header[12..16].try_into()?);
        let length = u32::from_be_bytes(header[16..].try_into()?);
        ensure!(length <= 4096, "an option reply of {length} bytes");
        let mut data = vec![0; length as usize];
        stream.read_exact(&mut data)?;
        match kind {
            REP_ACK => return size.context("the server did not tell the size"),
            REP_INFO if data.len() == 12 && data[..2] == INFO_EXPORT.to_be_bytes() => {
                size = Some(u64::from_be_bytes(data[2..10].try_into()?));
            }
            REP_INFO => {}
            kind if kind & REP_ERROR != 0 => bail!("{}", String::from_utf8_lossy(&data)),
            kind => bail!("an option reply of type {kind}"),
        }
    }
}

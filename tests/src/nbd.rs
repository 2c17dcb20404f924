//! One NBD connection, held by a test: who wants to see what becomes of it, and of no
//! other that a stock client would make in its place.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const OPTION: &[u8; 8] = b"IHAVEOPT";
const EXPORT_NAME: u32 = 1;
/// Fixed newstyle, and no zeroes after the export's flags.
const FLAGS: u32 = 3;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
const READ: u16 = 0;
const WRITE: u16 = 1;
const FLUSH: u16 = 3;
const WRITE_ZEROES: u16 = 6;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// In its transmission phase.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
}

impl Connection {
    /// To an export at a unix socket.
    ///
    /// # Panics
    /// When it is not served.
    #[must_use]
    pub fn to(socket: &Path, export: &str) -> Self {
        let connected = Self::try_to(socket, export);
        connected.unwrap_or_else(|error| panic!("{}: {export}: {error}", socket.display()))
    }

    /// The same for one that may be thrown out.
    pub fn try_to(socket: &Path, export: &str) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut connection = Self { stream };
        connection.negotiate(export)?;
        Ok(connection)
    }

    fn negotiate(&mut self, export: &str) -> io::Result<()> {
        let mut greeting = [0; 18];
        self.stream.read_exact(&mut greeting)?;
        let length = u32::try_from(export.len()).map_err(io::Error::other)?;
        let mut asked = FLAGS.to_be_bytes().to_vec();
        asked.extend(OPTION);
        asked.extend(EXPORT_NAME.to_be_bytes());
        asked.extend(length.to_be_bytes());
        asked.extend(export.as_bytes());
        self.stream.write_all(&asked)?;
        let mut told = [0; 10];
        self.stream.read_exact(&mut told)
    }

    /// To the export of a URI with a unix socket, as a host prints it.
    ///
    /// # Panics
    /// When it is another, or is not served.
    #[must_use]
    pub fn of(uri: &str) -> Self {
        let rest = uri.strip_prefix("nbd+unix:///");
        let parts = rest.and_then(|rest| rest.split_once("?socket="));
        let (export, socket) = parts.unwrap_or_else(|| panic!("{uri}"));
        Self::to(Path::new(socket), export)
    }

    /// Asks for `length` bytes to be read there, and does not wait for them.
    pub fn begin_read(&mut self, cookie: u64, offset: u64, length: usize) -> io::Result<()> {
        self.say(READ, cookie, offset, length)
    }

    /// Says that so many bytes are to be written there, and sends only these of them.
    pub fn begin_write(
        &mut self,
        cookie: u64,
        offset: u64,
        length: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.say(WRITE, cookie, offset, length)?;
        self.stream.write_all(bytes)
    }

    /// Asks for zeroes there, and does not wait for them.
    pub fn begin_zeroes(&mut self, cookie: u64, offset: u64, length: usize) -> io::Result<()> {
        self.say(WRITE_ZEROES, cookie, offset, length)
    }

    /// Asks for a flush, and does not wait for it.
    pub fn begin_flush(&mut self, cookie: u64) -> io::Result<()> {
        self.say(FLUSH, cookie, 0, 0)
    }

    /// The next answer: of which request, and its error; 0: none.
    pub fn reply(&mut self) -> io::Result<(u64, u32)> {
        let mut reply = [0; 16];
        self.stream.read_exact(&mut reply)?;
        let [magic, error, first, last] =
            [0, 4, 8, 12].map(|at| u32::from_be_bytes(std::array::from_fn(|i| reply[at + i])));
        if magic != REPLY {
            return Err(io::Error::other(format!("answered {reply:02x?}")));
        }
        Ok((u64::from(first) << 32 | u64::from(last), error))
    }

    /// The data behind an answer, which is dropped.
    pub fn skip(&mut self, length: usize) -> io::Result<()> {
        self.stream.read_exact(&mut vec![0; length])
    }

    /// The socket itself.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Writes there, and waits for the answer.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.ask(WRITE, offset, bytes.len())?;
        self.stream.write_all(bytes)?;
        self.answer()
    }

    /// What is there.
    pub fn read(&mut self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.ask(READ, offset, length)?;
        self.answer()?;
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn ask(&mut self, kind: u16, offset: u64, length: usize) -> io::Result<()> {
        self.say(kind, offset, offset, length)
    }

    fn say(&mut self, kind: u16, cookie: u64, offset: u64, length: usize) -> io::Result<()> {
        let length = u32::try_from(length).map_err(io::Error::other)?;
        let mut request = REQUEST.to_be_bytes().to_vec();
        request.extend(0_u16.to_be_bytes());
        request.extend(kind.to_be_bytes());
        request.extend(cookie.to_be_bytes());
        request.extend(offset.to_be_bytes());
        request.extend(length.to_be_bytes());
        self.stream.write_all(&request)
    }

    fn answer(&mut self) -> io::Result<()> {
        let mut reply = [0; 16];
        self.stream.read_exact(&mut reply)?;
        match (&reply[..4], &reply[4..8]) {
            (magic, [0, 0, 0, 0]) if *magic == REPLY.to_be_bytes() => Ok(()),
            _ => Err(io::Error::other(format!("answered {reply:02x?}"))),
        }
    }
}

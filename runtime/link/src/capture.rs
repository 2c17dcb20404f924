//! Writes the frames of a link to a pcapng file (draft-ietf-opsawg-pcapng), with
//! nanosecond times and direction, as they cross: sent frames have partial
//! checksums and may be super-frames. A capture that can't be written ends; the
//! link goes on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vcp_queue::{Link, LinkProperties, Offload, Received};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const ETHERNET: u16 = 1;
const OPTION_NAME: u16 = 2;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_FLAGS: u16 = 2;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A link whose frames are captured.
pub struct Capture {
    link: Box<dyn Link>,
    snap_length: u32,
    path: PathBuf,
    /// `None` once writing failed.
    file: Option<BufWriter<File>>,
    /// Whether something was written since the last flush.
    dirty: bool,
}

impl Capture {
    /// A snap length that keeps every byte.
    pub const WHOLE: u32 = 262_144;

    /// Captures `link` to a new file at `path`, keeping `snap_length` bytes of each
    /// frame. `name` is the interface's in the file.
    pub fn create(
        link: Box<dyn Link>,
        path: &Path,
        snap_length: u32,
        name: &str,
    ) -> io::Result<Self> {
        Self::to(File::create(path)?, link, path, snap_length, name)
    }

    /// As [`Capture::create`], after what is in the file already: a section of its own,
    /// as a file may have several.
    pub fn append(
        link: Box<dyn Link>,
        path: &Path,
        snap_length: u32,
        name: &str,
    ) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        Self::to(file, link, path, snap_length, name)
    }

    fn to(
        file: File,
        link: Box<dyn Link>,
        path: &Path,
        snap_length: u32,
        name: &str,
    ) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(256 << 10, file);
        let mut section = [0; 16];
        section[..4].copy_from_slice(&0x1a2b_3c4du32.to_ne_bytes());
        section[4..6].copy_from_slice(&1u16.to_ne_bytes());
        // The length of the section is unknown.
        section[8..].fill(0xff);
        block(&mut file, SECTION_HEADER, &[&section])?;
        let mut interface = [0; 8];
        interface[..2].copy_from_slice(&ETHERNET.to_ne_bytes());
        interface[4..].copy_from_slice(&snap_length.to_ne_bytes());
        let name = option(OPTION_NAME, name.as_bytes());
        let resolution = option(OPTION_RESOLUTION, &[9]);
        block(
            &mut file,
            INTERFACE,
            &[&interface, &name, &resolution, &[0; 4]],
        )?;
        file.flush()?;
        Ok(Capture {
            link,
            snap_length,
            path: path.into(),
            file: Some(file),
            dirty: false,
        })
    }

    fn record(&mut self, frame: &[u8], direction: u32) {
        let Some(file) = &mut self.file else { return };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let time = since.map_or(0, |since| since.as_nanos() as u64);
        let kept = frame.len().min(self.snap_length as usize);
        let mut packet = [0; 20];
        packet[4..8].copy_from_slice(&((time >> 32) as u32).to_ne_bytes());
        packet[8..12].copy_from_slice(&(time as u32).to_ne_bytes());
        packet[12..16].copy_from_slice(&(kept as u32).to_ne_bytes());
        packet[16..20].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
        let padding = &[0; 4][..kept.next_multiple_of(4) - kept];
        let flags = option(OPTION_FLAGS, &direction.to_ne_bytes());
        let parts = [&packet[..], &frame[..kept], padding, &flags, &[0; 4]];
        let written = block(file, ENHANCED_PACKET, &parts);
        self.dirty = true;
        self.note(written);
    }

    /// Writes out what is buffered, so that a reader and a crash find it.
    fn flush(&mut self) {
        if let Some(file) = self.file.as_mut().filter(|_| self.dirty) {
            let flushed = file.flush();
            self.dirty = false;
            self.note(flushed);
        }
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(
                "capture file {}: {error}; no more frames are captured",
                self.path.display()
            );
            // Dropping the writer would try the same bytes again.
            self.file.take().map(BufWriter::into_parts);
        }
    }
}

/// Writes a block: type, length, contents (a multiple of 4 bytes), length.
fn block(file: &mut impl Write, kind: u32, parts: &[&[u8]]) -> io::Result<()> {
    let length = 12 + parts.iter().map(|part| part.len() as u32).sum::<u32>();
    file.write_all(&kind.to_ne_bytes())?;
    file.write_all(&length.to_ne_bytes())?;
    for part in parts {
        file.write_all(part)?;
    }
    file.write_all(&length.to_ne_bytes())
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(1024)];
    let mut option = code.to_ne_bytes().to_vec();
    option.extend_from_slice(&(value.len() as u16).to_ne_bytes());
    option.extend_from_slice(value);
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

impl Link for Capture {
    fn properties(&self) -> &LinkProperties {
        self.link.properties()
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let received = self.link.receive(buffer)?;
        match received {
            Some(frame) => self.record(&buffer[..frame.length], INBOUND),
            None => self.flush(),
        }
        Ok(received)
    }

    fn send(&mut self, frame: &[u8], offload: Offload) -> io::Result<bool> {
        let taken = self.link.send(frame, offload)?;
        if taken {
            self.record(frame, OUTBOUND);
        }
        Ok(taken)
    }
}

//! What the program says of itself (sd_notify(3)), and the descriptors that it has
//! kept for the next process.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use crate::{Result, say};

/// More descriptors than the kernel takes in one message.
const DESCRIPTORS: usize = 256;

/// The socket that it tells, and what is kept under which name.
pub(crate) struct Store {
    socket: UnixDatagram,
    kept: Vec<(String, OwnedFd)>,
}

impl Store {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        Ok(Self {
            socket: UnixDatagram::bind(path)?,
            kept: Vec::new(),
        })
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// As systemd passes them.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &(String, OwnedFd)> {
        self.kept.iter().rev()
    }

    /// Takes in everything that was said so far.
    pub(crate) fn receive(&mut self) -> Result<()> {
        while let Some((text, descriptors)) = self.message()? {
            self.take(&text, descriptors)?;
        }
        Ok(())
    }

    fn message(&self) -> Result<Option<(String, Vec<OwnedFd>)>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = vec![0; 64 << 10];
        let mut into = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(&self.socket, &mut into, &mut ancillary, flags) {
            Err(Errno::AGAIN) => return Ok(None),
            received => received?,
        };
        if received
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Err("a message is too long".into());
        }
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        bytes.truncate(received.bytes);
        Ok(Some((String::from_utf8(bytes)?, descriptors)))
    }

    /// Descriptors that are not to be kept are closed with the end of this, which is
    /// what `BARRIER=1` waits for.
    fn take(&mut self, text: &str, descriptors: Vec<OwnedFd>) -> Result<()> {
        let fields = || text.lines().filter_map(|line| line.split_once('='));
        let says = |key: &str| fields().any(|field| field == (key, "1"));
        let name = fields().find(|(key, _)| *key == "FDNAME");
        let name = name.map_or("stored", |(_, name)| name);
        if says("FDSTORE") {
            if name.contains(':') || name.is_empty() || name.len() > 255 {
                return Err(format!("no name for a descriptor: {name:?}").into());
            }
            let named = descriptors.into_iter().map(|kept| (name.to_owned(), kept));
            self.kept.extend(named);
        }
        if says("FDSTOREREMOVE") {
            self.kept.retain(|(kept, _)| kept != name);
        }
        say(format_args!(
            "told {}",
            text.lines().collect::<Vec<_>>().join(" ")
        ));
        Ok(())
    }

    /// As a manager does by itself, unless it is told not to.
    pub(crate) fn drop_hung_up(&mut self) -> Result<()> {
        let mut alive = Vec::new();
        for kept in self.kept.drain(..) {
            let mut state = [PollFd::new(&kept.1, PollFlags::empty())];
            if poll(&mut state, Some(&Timespec::default()))? == 0 {
                alive.push(kept);
            }
        }
        self.kept = alive;
        Ok(())
    }
}

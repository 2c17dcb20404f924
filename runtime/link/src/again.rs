//! A link that is opened again: its interface was removed, and made once more.

use std::fs::File;

use vcp_queue::Link;

use crate::capture::Capture;
use crate::error::LinkError;
use crate::netlink;
use crate::spec::{LinkKind, LinkSpec, open, open_with};

/// How a link is opened again as it was.
#[derive(Debug, Clone)]
pub struct Opener {
    spec: LinkSpec,
}

impl Opener {
    /// Opens a link for the first time.
    pub fn open(spec: &LinkSpec) -> Result<(Box<dyn Link>, Self), LinkError> {
        // An interface is made again only by its maker: one that another program made is
        // waited for, as there is more to it than this process knows.
        let theirs = match &spec.kind {
            LinkKind::Tap(name) => netlink::interface(name).is_ok_and(|found| found.is_some()),
            LinkKind::Packet(_) => true,
        };
        let link = open(spec)?;
        let again = LinkSpec {
            // Others on the network know the VCP by its address, so it keeps that.
            mac: Some(link.properties().mac),
            make: spec.make && !theirs,
            ..spec.clone()
        };
        Ok((link, Self { spec: again }))
    }

    /// An opener for a link that could not be opened a first time, to be opened once it can
    /// be. Its Ethernet address is chosen now, and a capture begins in a new file.
    pub fn later(spec: &LinkSpec) -> Result<Self, LinkError> {
        if let Some(path) = &spec.pcap {
            File::create(path).map_err(|source| LinkError::Capture {
                link: spec.name(),
                path: path.clone(),
                source,
            })?;
        }
        let again = LinkSpec {
            mac: Some(spec.mac()),
            ..spec.clone()
        };
        Ok(Self { spec: again })
    }

    /// Opens it again, once the link before is dropped. A capture goes on in the same
    /// file. The MTU may be another, where none was asked for.
    pub fn reopen(&self) -> Result<Box<dyn Link>, LinkError> {
        open_with(&self.spec, Capture::append)
    }
}

//! Opening the links that a configuration names.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use vcp_config::{LinkKind, Net, Offload};
use vcp_core::Reopen;
use vcp_link::{Capture, LinkError, LinkSpec, Offloading, Opener};
use vcp_queue::Link;

use crate::args::help;
use crate::sandbox::{self, DropIn};

/// Near ends of in-memory wires, by name, put there by the holders of the far ends.
#[derive(Default)]
pub(crate) struct Pipes(pub(crate) BTreeMap<String, Box<dyn Link>>);

/// The result of opening a link.
pub(crate) enum Opened {
    /// The link is open. It may come with a way to open it again.
    There(Box<dyn Link>, Option<Reopen>),
    /// The link can't be opened now, for this reason, but maybe later.
    Later(String, Reopen),
}

/// Opens the link of a `net` table. If `waits`, a link that may appear later is no error.
pub(crate) fn open(net: &Net, pipes: &mut Pipes, waits: bool) -> Result<Opened> {
    if let LinkKind::Pipe(name) = &net.link
        && let Some(link) = pipes.0.remove(name)
    {
        return Ok(Opened::There(captured(link, net)?, None));
    }
    let spec = spec(net)?;
    // The message has the cause already.
    let said = |error| anyhow!(told(error));
    match Opener::open(&spec) {
        Ok((link, opener)) => Ok(Opened::There(link, Some(again(opener)))),
        Err(error) if waits && error.may_pass() => {
            let opener = Opener::later(&spec).map_err(said)?;
            Ok(Opened::Later(told(error), again(opener)))
        }
        Err(error) => Err(said(error)),
    }
}

fn again(opener: Opener) -> Reopen {
    Arc::new(move || opener.reopen().map_err(told))
}

/// An error's message; in a service whose unit forbids links it also says what allows
/// them.
fn told(error: LinkError) -> String {
    match sandbox::cure(DropIn::Links) {
        Some(cure) if error.is_forbidden() => error.with_hint(&cure).to_string(),
        _ => error.to_string(),
    }
}

/// The link that a `net` table describes.
pub(crate) fn spec(net: &Net) -> Result<LinkSpec> {
    let kind = match &net.link {
        LinkKind::Tap(name) => vcp_link::LinkKind::Tap(name.clone()),
        LinkKind::Packet(name) => vcp_link::LinkKind::Packet(name.clone()),
        LinkKind::Pipe(name) => bail!("net.link: pipe:{name} has no other end in this process"),
        LinkKind::Host => bail!("net.link: host: it has no frames"),
        LinkKind::Macvtap(_) => bail!("net.link: {}: {}", net.link, no_such_links()),
    };
    let mut spec = LinkSpec::new(kind);
    spec.offload = match net.offload {
        Offload::None => Offloading::None,
        Offload::Csum => Offloading::Checksum,
        Offload::Tso => Offloading::Segmentation,
    };
    spec.mtu = net.mtu.map(u32::from);
    spec.mac = net.mac.map(vcp_config::Mac::octets);
    spec.pcap.clone_from(&net.pcap);
    let host = net.host_addresses.iter();
    spec.host_addresses = host.map(|host| (host.address, host.prefix)).collect();
    Ok(spec)
}

/// The error for a link that this build can't open.
fn no_such_links() -> String {
    let forms = LinkKind::FORMS.iter();
    let opened = forms.filter(|form| help::opens(&form.kind()));
    let known: Vec<_> = opened.map(|form| form.spec).collect();
    let known = known.join(", ");
    format!("this version has no such links; there are: {known}")
}

/// Adds the requested capture to a link.
fn captured(link: Box<dyn Link>, net: &Net) -> Result<Box<dyn Link>> {
    let Some(path) = &net.pcap else {
        return Ok(link);
    };
    let name = net.link.to_string();
    let capture = Capture::create(link, path, Capture::WHOLE, &name)
        .with_context(|| format!("net.pcap: {}", path.display()))?;
    Ok(Box::new(capture))
}

//! The disk: a link, a VCP on it, and a server, from a configuration of one of each.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use vcp_config::{HostConfig, IscsiUri, LinkKind, NbdAddress, Net, Offload, PortalHost, Sources};
use vcp_core::{CpuSettings, Engine, Event, Module, Network, Settings, Vcp};
use vcp_link::{LinkSpec, Offloading};
use vcp_nbd::{Address, Server, ServerOptions};

use crate::exports::{Export, Exports, State};

/// How long it may take to take its leave.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A disk that is served.
pub(crate) struct Disk {
    vcp: Arc<Vcp>,
    events: UnboundedReceiver<Event>,
    state: watch::Sender<State>,
    server: Option<Server>,
    name: String,
}

impl Disk {
    /// Opens the link, starts the VCP and listens.
    pub(crate) async fn start(
        engine: &Engine,
        module: Module,
        config: &HostConfig,
    ) -> Result<Self> {
        let (name, vcp) = config.vcps.first_key_value().context("a VCP")?;
        let export = config.exports.values().next().context("an export")?;
        let address = export.nbd.first().context("an address to serve at")?;
        let settings = settings(name.as_str(), vcp, address, module)?;
        let (vcp, events) = Vcp::start(engine, settings)?;
        let vcp = Arc::new(vcp);
        let (state, seen) = watch::channel(State::Starting);
        let exports = Exports {
            name: name.to_string(),
            export: Arc::new(Export::new(Arc::clone(&vcp), seen)),
        };
        let address = match address {
            NbdAddress::Unix(path) => Address::Unix(path.clone()),
            NbdAddress::Tcp { host, port } => Address::Tcp {
                host: host.clone(),
                port: *port,
            },
        };
        let server = Server::bind(&address, Arc::new(exports), ServerOptions::default()).await?;
        Ok(Self {
            vcp,
            events,
            state,
            server: Some(server),
            name: name.to_string(),
        })
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Ready(geometry) => {
                    self.state.send_replace(State::Ready(geometry));
                    return Ok(());
                }
                event => self.tell(event)?,
            }
        }
        bail!("it ended before it was ready")
    }

    /// Waits until it has ended, which it is not to do.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        while let Some(event) = self.events.recv().await {
            self.tell(event)?;
        }
        bail!("it ended")
    }

    fn tell(&self, event: Event) -> Result<()> {
        match event {
            Event::Failed(why) => {
                self.state.send_replace(State::Ended(why.clone()));
                bail!("{why}")
            }
            Event::Fault { fault, .. } => eprintln!("native: fault: {fault}"),
            Event::Suspended(why) => eprintln!("native: suspended: {why}"),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn uri(&self) -> String {
        let server = self.server.as_ref();
        server.map_or_else(String::new, |server| server.uri(&self.name))
    }

    /// Lets the VCP take its leave.
    pub(crate) async fn stop(mut self) {
        self.server = None;
        self.vcp.stop();
        let stopped = async {
            while let Some(event) = self.events.recv().await {
                if event == Event::Stopped {
                    break;
                }
            }
        };
        if tokio::time::timeout(STOP_LIMIT, stopped).await.is_err() {
            eprintln!("native: it did not stop in time");
        }
    }
}

fn settings(
    name: &str,
    vcp: &vcp_config::Vcp,
    address: &NbdAddress,
    module: Module,
) -> Result<Settings> {
    let net = vcp.net.as_ref().context("--link: missing")?;
    Ok(Settings {
        config: told(name, vcp, address)?,
        memory: vcp
            .memory
            .map(|size| usize::try_from(size.bytes()))
            .transpose()
            .context("memory")?,
        queue_depth: vcp.queue_depth as usize,
        cpu: CpuSettings {
            poll: vcp.cpu.poll.duration(),
            ..CpuSettings::default()
        },
        network: Some(Network::Frames {
            link: link(net)?,
            addresses: net.addresses.iter().map(ToString::to_string).collect(),
            gateways: net.gateways.iter().map(ToString::to_string).collect(),
            reopen: None,
        }),
        ..Settings::new(name, module)
    })
}

/// No secrets here.
struct Nowhere;

impl Sources for Nowhere {
    fn env(&self, _variable: &str) -> Option<String> {
        None
    }

    fn read(&self, _path: &Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// What the module is told, as `vcp` tells it.
fn told(name: &str, vcp: &vcp_config::Vcp, address: &NbdAddress) -> Result<Vec<(String, String)>> {
    let resolved = vcp.settings.resolve(&vcp.module, &Nowhere);
    let mut pairs = resolved.map_err(|error| anyhow!("{error}"))?.into_pairs();
    let target = pairs.iter_mut().find(|(key, _)| key == "target");
    let (_, target) = target.context("target: missing")?;
    let uri: IscsiUri = target.parse().map_err(|error| anyhow!("target: {error}"))?;
    target.clone_from(&uri.target);
    let PortalHost::Address(host) = uri.portal.host else {
        bail!("target: a portal's address, no name");
    };
    let portal = SocketAddr::new(host, uri.portal.port);
    pairs.extend(
        [
            ("portal", portal.to_string()),
            ("lun", uri.lun.to_string()),
            ("initiator-name", "iqn.2026-11.bench:native".to_owned()),
            ("instance", format!("{name} {address}")),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    Ok(pairs)
}

fn link(net: &Net) -> Result<Box<dyn vcp_queue::Link>> {
    let kind = match &net.link {
        LinkKind::Tap(name) => vcp_link::LinkKind::Tap(name.clone()),
        LinkKind::Packet(name) => vcp_link::LinkKind::Packet(name.clone()),
        other => bail!("--link: {other}: tap or packet, for the measurement"),
    };
    let mut spec = LinkSpec::new(kind);
    spec.offload = match net.offload {
        Offload::None => Offloading::None,
        Offload::Csum => Offloading::Checksum,
        Offload::Tso => Offloading::Segmentation,
    };
    spec.mtu = net.mtu.map(u32::from);
    spec.mac = net.mac.map(vcp_config::Mac::octets);
    let host = net.host_addresses.iter();
    spec.host_addresses = host.map(|host| (host.address, host.prefix)).collect();
    vcp_link::open(&spec).map_err(|error| anyhow!("{error}"))
}

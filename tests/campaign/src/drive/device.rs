//! A VCP under test, and what it needs: a target at the other end of an
//! in-memory wire, a client that makes load, a disk that is watched.

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{
    Engine, Event, Module, Network, ReloadSettings, ReportSettings, RestartSettings, Settings, Vcp,
    WatchdogSettings,
};
use vcp_link::{FaultRates, Faults};
use vcp_queue::{Link, LinkProperties};
use vcp_target::Target;
use vcp_target::config::{TargetConfig, TargetNode, Timing};
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::serve::{LinkOptions, LinkServer, serve_link};

use super::delay::{Relay, delayed};
use crate::oracle::disk::{Watched, WatchedDisk};
use crate::oracle::load::Shared;
use crate::random::Random;

/// Bytes of the disk under test.
pub const SIZE: u64 = 2 << 20;

const TARGET_NAME: &str = "iqn.2026-11.example.vcp:campaign";
const TARGET_ADDRESS: &str = "10.77.0.1";
const OUR_ADDRESS: &str = "10.77.0.2/24";

/// Which module is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An iSCSI disk.
    Iscsi,
    /// A RAM disk.
    Ramdisk,
}

impl Subject {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Iscsi, Self::Ramdisk];

    /// What the host calls the module.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iscsi => "iscsi",
            Self::Ramdisk => "ramdisk",
        }
    }
}

/// What differs from device to device.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Rates of faults of the link, each way.
    pub rates: FaultRates,
    /// How long its frames may take.
    pub delay: Duration,
    /// Of the link's faults, and of what else is chosen.
    pub seed: u64,
    /// Watchdogs, time-outs and restarts in milliseconds, for what is expected
    /// to fail; or as operators have them.
    pub hasty: bool,
    /// Some have a spare; otherwise none has.
    pub spares: bool,
}

/// A VCP under test.
pub struct Device {
    /// The VCP. First, so that it goes before its target.
    pub vcp: Arc<Vcp>,
    /// What happens to it.
    pub events: UnboundedReceiver<Event>,
    /// Its client.
    pub client: Arc<Shared>,
    /// The target's disk, if it has a target.
    pub disk: Option<Arc<Watched>>,
    /// The target, likewise.
    pub target: Option<Arc<Target>>,
    _wire: Option<(LinkServer, Option<Relay>)>,
}

impl Device {
    /// Starts `module` as the VCP of a new device.
    pub fn start(
        engine: &Engine,
        subject: Subject,
        module: Module,
        manner: Manner,
    ) -> Result<Self> {
        let mut random = Random::of(manner.seed, 3);
        let client = Shared::new(SIZE, manner.seed).context("making a client")?;
        let mut settings = settings(subject, module, manner, &mut random);
        let (mut disk, mut target, mut wire) = (None, None, None);
        if subject == Subject::Iscsi {
            let watched = Watched::new(SIZE, Arc::clone(&client));
            let (made, far_end, network) = network(&watched, manner)?;
            disk = Some(watched);
            target = Some(made);
            wire = Some(far_end);
            settings.network = Some(network);
        }
        let (vcp, events) = Vcp::start(engine, settings)?;
        let vcp = Arc::new(vcp);
        if subject == Subject::Ramdisk {
            let weak: Weak<Vcp> = Arc::downgrade(&vcp);
            // Its thread outlives what others hold of it by a moment.
            let generation = move || weak.upgrade().map_or(0, |vcp| vcp.stats().generation);
            client.lock().lost_with(Box::new(generation));
        }
        vcp.attach(client.client());
        Ok(Self {
            vcp,
            events,
            client,
            disk,
            target,
            _wire: wire,
        })
    }
}

fn settings(subject: Subject, module: Module, manner: Manner, random: &mut Random) -> Settings {
    let mut settings = Settings::new(subject.name(), module);
    settings.config = match subject {
        Subject::Iscsi => iscsi(random),
        Subject::Ramdisk => vec![
            ("size".to_owned(), SIZE.to_string()),
            // Its client knows that the contents go with the instance.
            ("after-fault".to_owned(), "blank".to_owned()),
        ],
    };
    settings.memory = Some(48 << 20);
    settings.queue_depth = *random.pick(&[4, 32, 64]);
    settings.reports = ReportSettings {
        keep: 2,
        core_dumps: false,
    };
    settings.restart.spare = random.chance(1, 4) && manner.spares;
    let ms = Duration::from_millis;
    // What lived for a moment is replaced at once.
    settings.restart.min_run = ms(1);
    settings.restart.backoff_min = ms(1);
    settings.restart.backoff_max = ms(4);
    if manner.hasty {
        settings.watchdog = WatchdogSettings {
            fuel: Some(200_000_000),
            call: ms(250),
            progress: Some(ms(100)),
        };
        settings.restart = RestartSettings {
            always: true,
            min_run: ms(5),
            backoff_min: ms(1),
            backoff_max: ms(8),
            limit: random.chance(1, 4).then_some(3),
            replacement_timeout: random.chance(1, 2).then_some(ms(60)),
            ..settings.restart
        };
        settings.reload = ReloadSettings {
            drain: ms(10),
            ready: ms(80),
            probation: *random.pick(&[ms(1), ms(12)]),
        };
    }
    settings
}

fn iscsi(random: &mut Random) -> Vec<(String, String)> {
    let mut config = vec![
        ("portal", format!("{TARGET_ADDRESS}:3260")),
        ("target", TARGET_NAME.to_owned()),
        ("lun", "0".to_owned()),
    ];
    if random.chance(1, 4) {
        config.push(("header-digest", "crc32c".to_owned()));
        config.push(("data-digest", "crc32c".to_owned()));
    }
    if random.chance(1, 4) {
        config.push(("initial-r2t", "yes".to_owned()));
        config.push(("immediate-data", "no".to_owned()));
    }
    let owned = |(key, value): (&str, String)| (key.to_owned(), value);
    config.into_iter().map(owned).collect()
}

type Wire = (LinkServer, Option<Relay>);

fn network(disk: &Arc<Watched>, manner: Manner) -> Result<(Arc<Target>, Wire, Network)> {
    // What is to be spoilt or passed on has its checksums.
    let plain = manner.rates == FaultRates::default() && manner.delay.is_zero();
    let offload = plain && !manner.seed.is_multiple_of(4);
    let properties = LinkProperties {
        mac: [2, 0, 0, 0, 0, 2],
        mtu: 1500,
        checksum_offload: offload,
        segmentation_offload: offload,
    };
    let other = [2, 0, 0, 0, 0, 1];
    let (near, far, relay) = if manner.delay.is_zero() {
        let (near, far) = vcp_link::pipe(properties, other).context("making a wire")?;
        (near, far, None)
    } else {
        let (near, far, relay) =
            delayed(properties, other, manner.delay, manner.seed).context("making a wire")?;
        (near, far, Some(relay))
    };
    let unit = LogicalUnit::new(
        Box::new(WatchedDisk(Arc::clone(disk))),
        UnitOptions::default(),
    )
    .context("making the target's disk")?;
    let mut units = Node::default();
    units.insert(0, Arc::new(unit));
    let target = Target::new(TargetConfig {
        nodes: vec![TargetNode::new(TARGET_NAME, units)],
        // Connections that mutants leave behind make room in time for others.
        timing: Timing {
            login: Duration::from_secs(2),
            ping_interval: Some(Duration::from_secs(2)),
            ping_timeout: Duration::from_secs(1),
        },
        ..TargetConfig::default()
    });
    let address = TARGET_ADDRESS.parse().context("the target's address")?;
    let options = LinkOptions::new(address, 24);
    let server =
        serve_link(Box::new(far), &options, Arc::clone(&target)).context("starting the target")?;
    let mut link: Box<dyn Link> = Box::new(near);
    if manner.rates != FaultRates::default() {
        link = Box::new(Faults::new(link, manner.rates, manner.seed));
    }
    let network = Network::Frames {
        link,
        addresses: vec![OUR_ADDRESS.to_owned()],
        gateways: Vec::new(),
        reopen: None,
    };
    Ok((target, (server, relay), network))
}

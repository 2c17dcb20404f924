//! Checks of VCPs: their modules, settings, CPUs and links.

use std::cell::RefCell;
use std::collections::BTreeMap;

use vcp_config::{LinkKind, NbdAddress, Places, Setting, Vcp};
use vcp_core::native::{Network, frames};
use vcp_core::{Alone, Fault, Settings};
use vcp_sched::{Id, Scheduler};

use super::Judge;
use super::disk::{self, File};
use super::unit::AsStarted;
use crate::{budget, host, link, module};

/// The MTU that a link is taken to have if it is not open.
const USUAL_MTU: u32 = 1500;

impl Judge {
    pub(super) fn vcps(&self) {
        let places = self.step("vcp", budget::places(&self.config));
        self.shares(&places.unwrap_or_default());
        for (name, vcp) in &self.config.vcps {
            self.vcp(name.as_str(), vcp);
        }
    }

    /// Checks the shares of each CPU as its channel processor would.
    fn shares(&self, places: &BTreeMap<String, Vec<usize>>) {
        let mut processors: BTreeMap<usize, Scheduler> = BTreeMap::new();
        for (number, (name, vcp)) in (0..).zip(&self.config.vcps) {
            let mut own = Scheduler::new();
            let processor = match places.get(name.as_str()).map(Vec::as_slice) {
                Some(&[cpu]) => processors.entry(cpu).or_default(),
                _ => &mut own,
            };
            let budget = budget::budget(&vcp.cpu);
            if let Err(refused) = processor.admit(Id(number), name.as_str(), budget, 0) {
                self.error(&Places::key(&["vcp", name.as_str(), "cpu"]), refused);
            }
        }
    }

    fn vcp(&self, name: &str, vcp: &Vcp) {
        let key = |key: &str| Places::key(&["vcp", name, key]);
        let module = self.step(&key("module"), self.preparing.module(vcp));
        let grants = self.step(&key("files"), host::grants(vcp));
        let config = self.config(name, vcp);
        self.link(name, vcp, config.as_deref());
        let file = disk::file(vcp);
        if let Some(Err(why)) = file.as_ref().map(|file| file.look()) {
            self.error(&Places::key(&["vcp", name, "config", "path"]), why);
        }
        let (Some(module), Some(grants), Some(config)) = (module, grants, config) else {
            return;
        };
        let together = host::together(name, vcp, module, grants, config);
        if let Some(settings) = self.step(&key("memory"), together) {
            self.begin(name, vcp, settings, file.as_ref());
        }
    }

    fn config(&self, name: &str, vcp: &Vcp) -> Option<Vec<(String, String)>> {
        let sources = AsStarted {
            unit: self.unit.as_ref(),
            unseen: RefCell::default(),
        };
        let name = name.to_owned();
        let of = |export: &&vcp_config::Export| export.vcp.as_str() == name;
        let exports = self.config.exports.values().filter(of);
        let nbd: Vec<NbdAddress> = exports.flat_map(|export| export.nbd.clone()).collect();
        let config = self.preparing.config(&name, vcp, &nbd, &sources);
        for unseen in sources.unseen.take() {
            let is = |(_, setting): &(&str, &Setting)| matches!(setting, Setting::Credential(c) if *c == unseen);
            let key = vcp.settings.iter().find(is).map_or("", |(key, _)| key);
            let key = Places::key(&["vcp", &name, "config", &format!("{key}-credential")]);
            self.warn(
                &key,
                format!("{unseen}: the unit names it; its secret can't be seen from here"),
            );
        }
        self.step(&Places::key(&["vcp", &name, "config"]), config)
    }

    /// Checks the link without opening it, which would take it from a running host.
    fn link(&self, name: &str, vcp: &Vcp, config: Option<&[(String, String)]>) {
        let Some(net) = &vcp.net else { return };
        let key = Places::key(&["vcp", name, "net", "link"]);
        if net.link == LinkKind::Host {
            let Some(config) = config else { return };
            let none = &mut link::Pipes::default();
            let network = host::network(vcp, config, module::zone(vcp), none, false);
            self.step(&key, network);
            return;
        }
        let Some(spec) = self.step(&key, link::spec(net)) else {
            return;
        };
        match vcp_link::look(&spec) {
            Ok(()) => {}
            Err(error) if error.may_pass() => {
                self.warn(&key, format!("{error}; the VCP waits for it"));
            }
            Err(error) => self.error(&key, error),
        }
        let missing = |path: &&std::path::PathBuf| {
            let directory = path.parent().filter(|at| !at.as_os_str().is_empty());
            directory.is_some_and(|at| !at.is_dir())
        };
        if let Some(path) = net.pcap.as_ref().filter(missing) {
            let why = format!("{}: there is no such directory", path.display());
            self.error(&Places::key(&["vcp", name, "net", "pcap"]), why);
        }
    }

    /// Has the module itself check its settings, in an instance that is started and does
    /// nothing. A module that could write to files of the machine is not started, unless
    /// what it does is known.
    fn begin(&self, name: &str, vcp: &Vcp, settings: Settings, file: Option<&File>) {
        let writes = vcp.files.iter().any(|grant| !grant.read_only);
        let unknown = writes && !vcp.module.is_builtin("file");
        if unknown {
            return;
        }
        let untouched = file.is_some_and(File::is_to_be_made);
        let grants = match untouched {
            true => Vec::new(),
            false => settings.grants,
        };
        let settings = Settings { grants, ..settings };
        let started = Alone::start(&self.preparing.engine, settings, network(vcp));
        let Err(fault) = started else { return };
        let said = fault.to_string();
        let named = said
            .split_once(": ")
            .filter(|_| said.starts_with("config."));
        match (&fault, named) {
            // The module was not given its file.
            (_, Some(("config.path", _))) if untouched => {}
            (_, Some((key, why))) => self.error(&format!("vcp.{name}.{key}"), why),
            (Fault::Memory { .. }, _) => self.error(&format!("vcp.{name}.memory"), said),
            _ => self.error(&format!("vcp.{name}.module"), said),
        }
    }
}

/// The network as an instance is told of it; the instance does not get to use it.
fn network(vcp: &Vcp) -> Option<Network> {
    let net = vcp.net.as_ref()?;
    if net.link == LinkKind::Host {
        return Some(Network::Streams);
    }
    let mac = net.mac.map_or([2, 0, 0, 0, 0, 1], vcp_config::Mac::octets);
    Some(Network::Frames(frames::Link {
        mac: mac.to_vec(),
        mtu: net.mtu.map_or(USUAL_MTU, u32::from),
        addresses: net.addresses.iter().map(ToString::to_string).collect(),
        gateways: net.gateways.iter().map(ToString::to_string).collect(),
        checksum_offload: false,
        segmentation_offload: false,
    }))
}

//! Conversion of configured budgets to the core's settings.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use vcp_config::{Cpu, HostConfig, Limit};
use vcp_core::{Budget, CpuSettings, Rates};
use vcp_topology::{Pin, Placer, Topology};

/// The CPUs of each VCP, by name; none: any.
pub(crate) fn places(config: &HostConfig) -> Result<BTreeMap<String, Vec<usize>>> {
    let wishes: Vec<(&str, Pin)> = config
        .vcps
        .iter()
        .map(|(name, vcp)| (name.as_str(), pin(&vcp.cpu.pin)))
        .collect();
    let anywhere = |wish: &(&str, Pin)| wish.1 == Pin::Any;
    // If no VCP wants a CPU of its own, the machine need not be examined, and no VCP is
    // restricted.
    if wishes.iter().all(anywhere) {
        return Ok(BTreeMap::new());
    }
    let topology = Topology::of_this_machine().context("the machine's CPUs")?;
    let mut placer = Placer::new(topology);
    let asked: Vec<_> = wishes.iter().map(|(name, pin)| (*name, pin)).collect();
    let placed = placer.place_all(&asked);
    let placed = placed.map_err(|(name, error)| anyhow!("VCP {name}: cpu.pin: {error}"))?;
    let names = wishes.iter().map(|(name, _)| (*name).to_owned());
    let places = names.zip(placed).map(|(name, place)| (name, place.cpus));
    let places = places.collect();
    of_one_mind(config, &places)?;
    Ok(places)
}

/// Checks that VCPs that share a CPU agree: they share a thread, which has one priority
/// and one control group.
fn of_one_mind(config: &HostConfig, places: &BTreeMap<String, Vec<usize>>) -> Result<()> {
    let mut first: BTreeMap<usize, (&str, &Cpu)> = BTreeMap::new();
    for (name, vcp) in &config.vcps {
        let Some(&[on]) = places.get(name.as_str()).map(Vec::as_slice) else {
            continue;
        };
        let (other, theirs) = *first.entry(on).or_insert((name.as_str(), &vcp.cpu));
        let key = match &vcp.cpu {
            cpu if cpu.priority != theirs.priority => "priority",
            cpu if cpu.cgroup != theirs.cgroup => "cgroup",
            _ => continue,
        };
        bail!(
            "VCP {name}: cpu.{key}: not that of VCP {other}, with which it shares the thread of CPU {on}"
        );
    }
    Ok(())
}

fn pin(pin: &vcp_config::Pin) -> Pin {
    match pin {
        vcp_config::Pin::Any => Pin::Any,
        vcp_config::Pin::Core => Pin::Core,
        vcp_config::Pin::SiblingOf(cpu) => Pin::SiblingOf(*cpu),
        vcp_config::Pin::Numa(node) => Pin::Numa(*node),
        vcp_config::Pin::Set(cpus) => Pin::Cpus(cpus.iter().collect()),
    }
}

/// The core's settings for a VCP.
pub(crate) fn cpu(cpu: &Cpu, pin: Vec<usize>) -> CpuSettings {
    CpuSettings {
        pin,
        budget: budget(cpu),
        poll: cpu.poll.duration(),
        coalesce: cpu.coalesce.duration(),
        priority: cpu.priority.map(vcp_config::Fifo::priority),
        cgroup: cpu.cgroup.as_ref().map(|group| group.as_str().to_owned()),
    }
}

/// The CPU share as an amount of time per period.
pub(crate) fn budget(cpu: &Cpu) -> Budget {
    let period = u64::try_from(cpu.period.duration().as_nanos()).unwrap_or(u64::MAX);
    let points = cpu.share.map_or(0, |share| u64::from(share.basis_points()));
    Budget {
        period,
        // A period is a second at most, so this does not overflow.
        slice: period * points / 10_000,
        slack: cpu.weight(),
    }
}

/// The limit of an export.
pub(crate) fn rates(limit: &Limit) -> Rates {
    Rates {
        iops: limit.iops.map(u64::from),
        bytes: limit.bytes.map(vcp_config::ByteSize::bytes),
        burst: limit.burst.duration(),
    }
}

//! Giving CPUs to VCPs. It is sans-io: it remembers what each VCP was given, and decides; it
//! pins nothing.

use std::collections::BTreeMap;

use crate::list::CpuSet;
use crate::pin::{Pin, PlaceError, Placement};
use crate::topology::{Core, Topology};

/// This many owners are named in an error.
const NAMED: usize = 8;

/// The CPUs that each VCP has.
///
/// A VCP with explicit CPUs or a sibling stays where it is. VCPs with `any` or `numa:N` move
/// out of the way of one that is given a core: after a [`Placer::place`], pin each thread by
/// its [`Placer::placement`] again, or place all VCPs with [`Placer::place_all`] before any
/// is started.
#[derive(Debug, Clone)]
pub struct Placer {
    topology: Topology,
    claims: BTreeMap<String, Claim>,
}

/// What a VCP was given.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim {
    /// These CPUs, possibly with others.
    Fixed(CpuSet),
    /// This core (an index) alone; the VCP runs on this CPU of it.
    Core(usize, usize),
    /// Those of these CPUs that are in no VCP's own core.
    Floating(CpuSet),
}

impl Placer {
    /// Makes a placer that has given out nothing yet.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            claims: BTreeMap::new(),
        }
    }

    /// The topology whose CPUs it gives out.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Gives a VCP its CPUs. What it had before, it gives back, or keeps if this fails.
    pub fn place(&mut self, name: &str, pin: &Pin) -> Result<Placement, PlaceError> {
        let before = self.claims.remove(name);
        match self.claim(name, pin) {
            Ok(claim) => {
                let placement = self.resolve(&claim);
                self.claims.insert(name.to_owned(), claim);
                Ok(placement)
            }
            Err(error) => {
                self.claims
                    .extend(before.map(|claim| (name.to_owned(), claim)));
                Err(error)
            }
        }
    }

    /// Places several VCPs at once, those with the least choice first, so that the order in
    /// a file doesn't matter. The placements are in the order of `wishes`. At the first that
    /// can't be placed, which is named, nothing has changed.
    pub fn place_all<'a>(
        &mut self,
        wishes: &[(&'a str, &Pin)],
    ) -> Result<Vec<Placement>, (&'a str, PlaceError)> {
        let mut placed = self.clone();
        let mut order: Vec<_> = wishes.iter().collect();
        order.sort_by_key(|(_, pin)| match pin {
            Pin::Cpus(_) => 0,
            Pin::SiblingOf(_) => 1,
            Pin::Core => 2,
            Pin::Numa(_) => 3,
            Pin::Any => 4,
        });
        for (name, pin) in order {
            placed.place(name, pin).map_err(|error| (*name, error))?;
        }
        *self = placed;
        let placement = |name: &str| self.placement(name).expect("it was placed just now");
        Ok(wishes.iter().map(|(name, _)| placement(name)).collect())
    }

    /// Gives back what a VCP had, if it had anything.
    pub fn release(&mut self, name: &str) {
        self.claims.remove(name);
    }

    /// Where a VCP is now; `None` if it was never placed. This changes for VCPs with `any`
    /// or `numa:N` as cores are given out and back.
    pub fn placement(&self, name: &str) -> Option<Placement> {
        self.claims.get(name).map(|claim| self.resolve(claim))
    }

    /// All VCPs that were placed, by name.
    pub fn placements(&self) -> impl Iterator<Item = (&str, Placement)> + '_ {
        let claims = self.claims.iter();
        claims.map(|(name, claim)| (name.as_str(), self.resolve(claim)))
    }

    fn claim(&self, name: &str, pin: &Pin) -> Result<Claim, PlaceError> {
        match pin {
            Pin::Any => self.floating(self.topology.allowed().clone()),
            Pin::Cpus(cpus) => self.explicit(cpus),
            Pin::Core => self.own_core(name),
            Pin::SiblingOf(cpu) => self.sibling(*cpu),
            Pin::Numa(node) => self.node(*node),
        }
    }

    fn resolve(&self, claim: &Claim) -> Placement {
        let cpus = match claim {
            Claim::Fixed(cpus) => cpus.clone(),
            Claim::Core(_, cpu) => CpuSet::from_iter([*cpu]),
            Claim::Floating(cpus) => cpus.without(&self.taken()),
        };
        let node = cpus.first().and_then(|cpu| self.topology.node_of(cpu));
        let inside = |node: &usize| cpus.without(&self.topology.nodes()[node]).is_empty();
        Placement {
            exclusive: matches!(claim, Claim::Core(..)),
            node: node.filter(inside),
            cpus: cpus.iter().collect(),
        }
    }

    fn explicit(&self, cpus: &[u32]) -> Result<Claim, PlaceError> {
        let mut set = CpuSet::new();
        for &cpu in cpus {
            self.check_online(cpu)?;
            if !self.topology.allowed().contains(cpu as usize) {
                let allowed = self.topology.allowed().clone();
                return Err(PlaceError::NotAllowed { cpu, allowed });
            }
            if let Some(owner) = self.owner_of(cpu as usize) {
                let owner = owner.to_owned();
                return Err(PlaceError::Taken { cpu, owner });
            }
            set.insert(cpu as usize);
        }
        match set.is_empty() {
            true => Err(PlaceError::NoCpus),
            false => Ok(Claim::Fixed(set)),
        }
    }

    fn sibling(&self, cpu: u32) -> Result<Claim, PlaceError> {
        self.check_online(cpu)?;
        let siblings = self.topology.siblings(cpu as usize);
        let allowed = self.topology.allowed();
        if siblings.is_empty() {
            let smt = self.topology.has_smt();
            return Err(PlaceError::NoSibling { cpu, smt });
        }
        // With more than two threads in a core, the one with the fewest VCPs.
        let users = |sibling: &usize| {
            let uses = |claim: &&Claim| match claim {
                Claim::Fixed(cpus) => cpus.contains(*sibling),
                Claim::Core(_, own) => own == sibling,
                Claim::Floating(_) => false,
            };
            self.claims.values().filter(uses).count()
        };
        match siblings.and(allowed).iter().min_by_key(users) {
            Some(sibling) => Ok(Claim::Fixed(CpuSet::from_iter([sibling]))),
            None => Err(PlaceError::SiblingNotAllowed {
                cpu,
                siblings,
                allowed: allowed.clone(),
            }),
        }
    }

    fn node(&self, node: u32) -> Result<Claim, PlaceError> {
        let nodes = self.topology.nodes();
        let Some(cpus) = nodes.get(&(node as usize)) else {
            let nodes: CpuSet = nodes.keys().copied().collect();
            let nodes = nodes.to_string();
            return Err(PlaceError::NoSuchNode { node, nodes });
        };
        let usable = cpus.and(self.topology.allowed());
        if usable.is_empty() {
            return Err(PlaceError::NodeNotAllowed {
                node,
                cpus: cpus.clone(),
                allowed: self.topology.allowed().clone(),
            });
        }
        self.floating(usable)
    }

    fn floating(&self, cpus: CpuSet) -> Result<Claim, PlaceError> {
        if cpus.without(&self.taken()).is_empty() {
            let owners = self.users(|claim| matches!(claim, Claim::Core(..)));
            return Err(PlaceError::AllTaken { cpus, owners });
        }
        Ok(Claim::Floating(cpus))
    }

    fn own_core(&self, name: &str) -> Result<Claim, PlaceError> {
        let free: Vec<usize> = (0..self.topology.cores().len())
            .filter(|&core| self.is_free(core))
            .collect();
        let on_node = |node| {
            let there = |core: &&usize| self.topology.cores()[**core].node == node;
            free.iter().filter(there).count()
        };
        let best = free.iter().copied().min_by_key(|&index| {
            let core = &self.topology.cores()[index];
            // The first that differs decides; of equals, the lowest CPU.
            (
                core.cpus.contains(0),
                core.kind,
                !self.is_quiet(core),
                !core.cpus.without(self.topology.allowed()).is_empty(),
                usize::MAX - on_node(core.node),
            )
        });
        let Some(index) = best else {
            return Err(self.no_core_left(name));
        };
        let usable = self.topology.cores()[index]
            .cpus
            .and(self.topology.allowed());
        // The kernel puts its own work on CPU 0, so it is the other thread, if there is one.
        let cpu = usable.iter().find(|&cpu| cpu != 0).or(usable.first());
        let cpu = cpu.expect("a free core has an allowed CPU");
        Ok(Claim::Core(index, cpu))
    }

    /// Whether a core can be given to one VCP alone: no VCP is on it by choice, and those
    /// that can be elsewhere have room there.
    fn is_free(&self, index: usize) -> bool {
        let core = &self.topology.cores()[index].cpus;
        let gone = self.taken().or(core);
        !core.is_disjoint(self.topology.allowed())
            && self.claims.values().all(|claim| match claim {
                Claim::Fixed(cpus) => cpus.is_disjoint(core),
                Claim::Core(other, _) => *other != index,
                Claim::Floating(cpus) => !cpus.without(&gone).is_empty(),
            })
    }

    /// Whether the kernel was told to keep other work off this core.
    fn is_quiet(&self, core: &Core) -> bool {
        let quiet = self.topology.isolated().or(self.topology.nohz_full());
        core.cpus.without(&quiet).is_empty()
    }

    fn no_core_left(&self, name: &str) -> PlaceError {
        let usable = |core: &&Core| !core.cpus.is_disjoint(self.topology.allowed());
        let count = self.topology.cores().iter().filter(usable).count();
        let have = match count {
            1 => "this process may use one core".to_owned(),
            _ => format!("this process may use {count} cores"),
        };
        let used = match self.claims.is_empty() {
            true => String::new(),
            false => format!("; in use: {}", self.users(|_| true)),
        };
        PlaceError::NoCoreLeft {
            name: name.to_owned(),
            have,
            used,
        }
    }

    fn check_online(&self, cpu: u32) -> Result<(), PlaceError> {
        let online = self.topology.online();
        match online.contains(cpu as usize) {
            true => Ok(()),
            false => Err(PlaceError::NotOnline {
                cpu,
                online: online.clone(),
            }),
        }
    }

    /// The CPUs of all cores that VCPs have to themselves.
    fn taken(&self) -> CpuSet {
        let cores = self.claims.values().filter_map(|claim| match claim {
            Claim::Core(index, _) => Some(&self.topology.cores()[*index].cpus),
            _ => None,
        });
        cores.flat_map(CpuSet::iter).collect()
    }

    /// The VCP that has the core of this CPU to itself.
    fn owner_of(&self, cpu: usize) -> Option<&str> {
        let index = self.topology.core_index(cpu)?;
        let has = |claim: &Claim| matches!(claim, Claim::Core(own, _) if *own == index);
        let owner = self.claims.iter().find(|(_, claim)| has(claim));
        owner.map(|(name, _)| name.as_str())
    }

    /// The VCPs and the CPUs that each has, for an error.
    fn users(&self, which: impl Fn(&Claim) -> bool) -> String {
        let chosen = || self.claims.iter().filter(|(_, claim)| which(claim));
        let one = |(name, claim): (&String, &Claim)| match claim {
            Claim::Fixed(cpus) => format!("\"{name}\" has CPUs {cpus}"),
            Claim::Core(index, _) => {
                let cpus = &self.topology.cores()[*index].cpus;
                format!("\"{name}\" has the core of CPUs {cpus}")
            }
            Claim::Floating(cpus) => format!("\"{name}\" needs one of CPUs {cpus}"),
        };
        let mut parts: Vec<_> = chosen().take(NAMED).map(one).collect();
        let more = chosen().count() - parts.len();
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        parts.join(", ")
    }
}

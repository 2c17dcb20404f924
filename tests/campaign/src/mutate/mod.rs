//! Mutants: a component with one operator of its code changed, in place, by a
//! seed. Nothing moves: a mutant is as long as what it was made of, and valid.
//!
//! Places are chosen by what they are worth: those in functions that run under the
//! campaign's load more often than others.

mod class;
mod code;
mod leb;
mod strip;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use wasmparser::Validator;

use crate::random::Random;
pub use class::Class;
use class::{Surroundings, applies, change, opens, trap};
pub use code::{Code, Function, Operator};
pub use strip::strip;

/// Places that a seed tries before it gives up; one in three is valid.
const ATTEMPTS: u32 = 1000;
/// The stream of a seed that chooses the mutation.
const STREAM: u64 = 1;

/// What one mutant has that the original doesn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub class: Class,
    /// Which core module of the component, in order.
    pub module: u32,
    /// Which function of that module.
    pub function: u32,
    /// Its name, if it has one.
    pub name: String,
    /// Of the operator, in the component, in bytes.
    pub offset: usize,
    /// The bytes there before.
    pub before: Vec<u8>,
    /// And after.
    pub after: Vec<u8>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            class,
            module,
            function,
            name,
            offset,
            ..
        } = self;
        write!(f, "{class} at {offset:#x} in {module}:{function} {name}:")?;
        for byte in &self.before {
            write!(f, " {byte:02x}")?;
        }
        write!(f, " →")?;
        for byte in &self.after {
            write!(f, " {byte:02x}")?;
        }
        Ok(())
    }
}

/// A mutated component.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The component.
    pub bytes: Vec<u8>,
    /// How it differs.
    pub change: Change,
}

/// A place for one class of mutations.
#[derive(Debug, Clone, Copy)]
struct Site {
    function: u32,
    operator: Operator,
}

/// The places of one class, with their weights summed up.
#[derive(Debug, Default)]
struct Sites {
    places: Vec<Site>,
    sums: Vec<u64>,
}

impl Sites {
    fn pick(&self, random: &mut Random) -> Option<Site> {
        let all = *self.sums.last()?;
        let drawn = random.below(all);
        let at = self.sums.partition_point(|&sum| sum <= drawn);
        self.places.get(at).copied()
    }
}

/// Makes mutants of one component.
#[derive(Debug)]
pub struct Mutator {
    bytes: Vec<u8>,
    code: Code,
    sites: Vec<Sites>,
    /// By module and type: the functions of that type.
    alike: HashMap<(u32, u32), Vec<u32>>,
}

impl Mutator {
    /// Reads a component. It should have been through [`strip`]: all of it is
    /// copied for each mutant.
    pub fn new(component: Vec<u8>) -> Result<Self> {
        let code = Code::of(&component)?;
        let mut alike: HashMap<_, Vec<u32>> = HashMap::new();
        for (module, types) in code.types.iter().enumerate() {
            for (function, &ty) in types.iter().enumerate() {
                let same = alike.entry((module as u32, ty)).or_default();
                same.push(function as u32);
            }
        }
        let sites = Class::ALL.map(|class| sites_of(class, &component, &code));
        Ok(Self {
            bytes: component,
            code,
            sites: sites.into(),
            alike,
        })
    }

    /// The component that mutants are made of.
    pub fn original(&self) -> &[u8] {
        &self.bytes
    }

    /// Its code.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The mutant of a seed: always the same.
    pub fn mutant(&self, seed: u64) -> Result<Mutant> {
        let mut random = Random::of(seed, STREAM);
        let class = self.class(&mut random);
        self.mutant_of(class, &mut random)
            .with_context(|| format!("seed {seed}: no valid mutation by {class}"))
    }

    /// The same component with a trap in place of what was changed: whether it is
    /// reached shows whether the mutation can have had an effect.
    pub fn probe(&self, change: &Change) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        trap(&mut bytes[change.offset..change.offset + change.before.len()]);
        bytes
    }

    /// The component with a trap at the beginning of every function but these, given
    /// by core module and index.
    pub fn trapping(&self, spared: &BTreeSet<(u32, u32)>) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for function in &self.code.functions {
            if spared.contains(&(function.module, function.index)) {
                continue;
            }
            let operators = &self.code.operators[function.operators.clone()];
            // The last one is the end of the function.
            let body = &operators[..operators.len() - 1];
            let first = body.iter().find(|o| !opens(&self.bytes[o.range()]));
            if let Some(first) = first {
                trap(&mut bytes[first.range()]);
            }
        }
        bytes
    }

    fn class(&self, random: &mut Random) -> Class {
        let present = Class::ALL.into_iter().zip(&self.sites);
        let present = present.filter(|(_, sites)| !sites.places.is_empty());
        let classes: Vec<Class> = present.map(|(class, _)| class).collect();
        let all: u64 = classes.iter().map(|class| class.share()).sum();
        let mut drawn = random.below(all.max(1));
        for class in classes {
            if drawn < class.share() {
                return class;
            }
            drawn -= class.share();
        }
        Class::Constant
    }

    /// A valid mutant of this class, by the stream.
    pub(crate) fn mutant_of(&self, class: Class, random: &mut Random) -> Option<Mutant> {
        let sites = &self.sites[class as usize];
        let mut bytes = self.bytes.clone();
        for _ in 0..ATTEMPTS {
            let site = sites.pick(random)?;
            let range = site.operator.range();
            let function = &self.code.functions[site.function as usize];
            let alike = |callee: u32| self.alike(function.module, callee);
            let surroundings = Surroundings { alike: &alike };
            let changed = change(class, &mut bytes[range.clone()], &surroundings, random);
            let (before, after) = (&self.bytes[range.clone()], &bytes[range.clone()]);
            if changed && before != after && Validator::new().validate_all(&bytes).is_ok() {
                let change = Change {
                    class,
                    module: function.module,
                    function: function.index,
                    name: function.name.clone(),
                    offset: range.start,
                    before: before.to_vec(),
                    after: after.to_vec(),
                };
                return Some(Mutant { bytes, change });
            }
            bytes[range.clone()].copy_from_slice(&self.bytes[range]);
        }
        None
    }

    fn alike(&self, module: u32, callee: u32) -> &[u32] {
        let types = &self.code.types[module as usize];
        let ty = types.get(callee as usize);
        ty.and_then(|ty| self.alike.get(&(module, *ty)))
            .map_or(&[], Vec::as_slice)
    }
}

fn sites_of(class: Class, component: &[u8], code: &Code) -> Sites {
    let mut sites = Sites::default();
    let mut sum = 0;
    for (number, function) in code.functions.iter().enumerate() {
        let operators = &code.operators[function.operators.clone()];
        for (at, &operator) in operators.iter().enumerate() {
            let next = operators.get(at + 1);
            let first = next.map(|next| component[next.offset as usize]);
            if !applies(class, &component[operator.range()], first) {
                continue;
            }
            // A selection goes with what pushes its condition.
            let more = next.filter(|_| class == Class::Select);
            let length = operator.length + more.map_or(0, |next| next.length);
            sum += weight(&function.name);
            sites.sums.push(sum);
            sites.places.push(Site {
                function: number as u32,
                operator: Operator { length, ..operator },
            });
        }
    }
    sites
}

/// Names of functions that run under the campaign's load, one a line; written by
/// `vcp-campaign reach`.
const REACHED: &str = include_str!("reached.txt");

/// How often a place in a function is chosen, compared to others': a change of
/// what does not run shows nothing.
fn weight(name: &str) -> u64 {
    static NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| REACHED.lines().collect());
    if NAMES.contains(name) { 50 } else { 1 }
}

//! Which world a component was made for, and what is wrong if it is none.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::{DeviceWorldPre, ProcessorWorldPre};
use crate::engine::Engine;
use crate::state::State;

/// The worlds of `wit/worlds.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// A block device made of computation alone.
    Device,
    /// A block device behind the network.
    Processor,
}

/// The version of every package in `wit/`.
const VERSION: &str = "0.1.0";

/// The exported interface that tells a world, without its version.
const EXPORTS: [(&str, World); 2] = [
    ("vcp:block/device", World::Device),
    ("vcp:net/processor", World::Processor),
];

/// What the host links for every VCP. Files and WASI are linked too, with nothing
/// behind them but what was granted.
const IMPORTS: [&str; 9] = [
    "vcp:io/log",
    "vcp:io/memory",
    "vcp:io/types",
    "vcp:io/control",
    "vcp:block/types",
    "vcp:net/frames",
    "vcp:net/streams",
    "vcp:file/files",
    "wasi:",
];

impl World {
    /// Finds out which world `component` is of.
    ///
    /// The error is one clause that names the export or import that is wrong.
    pub(crate) fn of(component: &Component, engine: &Engine) -> Result<Self, String> {
        let ty = component.component_type();
        let mut found = None;
        let mut others = Vec::new();
        for (name, _) in ty.exports(&engine.wasmtime) {
            let (interface, version) = name.split_once('@').unwrap_or((name, ""));
            match EXPORTS.iter().find(|(export, _)| *export == interface) {
                Some((_, world)) if version == VERSION => found = Some(*world),
                Some(_) => {
                    return Err(format!(
                        "exports {interface} of version {version}; this host runs {VERSION}"
                    ));
                }
                None => others.push(name.to_owned()),
            }
        }
        let Some(world) = found else {
            return Err(no_world(&others));
        };
        for (name, item) in ty.imports(&engine.wasmtime) {
            check_import(name, matches!(item.ty, ComponentItem::ComponentInstance(_)))?;
        }
        Ok(world)
    }

    /// Whether a component of this world exports all of it, each function with the
    /// types that it has in `wit/`.
    ///
    /// The error is one clause that names what is missing or different.
    pub(crate) fn is_whole(self, linked: &InstancePre<State>) -> Result<(), String> {
        let whole = match self {
            Self::Device => DeviceWorldPre::new(linked.clone()).map(drop),
            Self::Processor => ProcessorWorldPre::new(linked.clone()).map(drop),
        };
        whole.map_err(|error| format!("is not whole: {error:#}"))
    }
}

fn no_world(others: &[String]) -> String {
    let has = match others {
        [] => "exports nothing".to_owned(),
        [one] => format!("exports only {one}"),
        [first, rest @ ..] => format!("exports {first} and {} more", rest.len()),
    };
    format!(
        "is of another world: it {has}, but a VCP exports vcp:block/device@{VERSION} or \
         vcp:net/processor@{VERSION}"
    )
}

fn check_import(name: &str, interface: bool) -> Result<(), String> {
    let (base, version) = name.split_once('@').unwrap_or((name, ""));
    let known = interface
        && IMPORTS
            .iter()
            .any(|known| base == *known || (known.ends_with(':') && base.starts_with(known)));
    if !known {
        return Err(format!("imports {name}, which no world of VCPs has"));
    }
    if base.starts_with("vcp:") && version != VERSION {
        return Err(format!(
            "imports {base} of version {version}; this host has {VERSION}"
        ));
    }
    Ok(())
}

//! A loaded module: compiled, checked against the worlds, and linked to what a VCP may
//! import. A module that can't be run is refused here, before any of it has run.

use std::path::PathBuf;

use wasmtime::component::{Component, InstancePre};

use crate::bounds;
use crate::cache::Cache;
use crate::engine::Engine;
use crate::logging::line;
use crate::native::{Make, NativeVcp};
use crate::state::State;
use crate::world::World;

/// A component that can be run as a VCP.
#[derive(Clone)]
pub struct Module {
    pub(crate) name: String,
    pub(crate) code: Code,
    pub(crate) world: World,
}

/// The code that its instances run.
#[derive(Clone)]
pub(crate) enum Code {
    /// A component, linked to its imports, from which every instance is made.
    Component(InstancePre<State>),
    /// Compiled into this binary.
    Native(Make),
}

/// Why a module can't be run; each is one line that names the module.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The file can't be read.
    #[error("module {}: {error}", path.display())]
    Read {
        /// The module's path.
        path: PathBuf,
        /// The error of the attempt to read it.
        error: std::io::Error,
    },
    /// It is not a WebAssembly component.
    #[error("module {name}: {why}")]
    NotAComponent {
        /// The module's name.
        name: String,
        /// What it is instead.
        why: String,
    },
    /// It is larger than this host compiles.
    #[error("module {name} {why}")]
    TooLarge {
        /// The module's name.
        name: String,
        /// What is too large, and the bound.
        why: String,
    },
    /// It is a component, but not one for this host.
    #[error("module {name} {why}")]
    World {
        /// The module's name.
        name: String,
        /// Which export or import is wrong.
        why: String,
    },
}

impl Module {
    /// The most bytes that a component may have.
    pub const LARGEST: usize = bounds::LARGEST;

    /// Loads a component from `bytes`; `name` is for messages.
    pub fn load(
        engine: &Engine,
        cache: &Cache,
        name: &str,
        bytes: &[u8],
    ) -> Result<Self, ModuleError> {
        let not_a_component = |why| ModuleError::NotAComponent {
            name: name.to_owned(),
            why,
        };
        kind(bytes).map_err(not_a_component)?;
        bounds::check(bytes).map_err(|why| ModuleError::TooLarge {
            name: name.to_owned(),
            why,
        })?;
        let component = cache.compile(engine, bytes).map_err(|error| {
            let why = one_line(&error.root_cause().to_string());
            not_a_component(format!("not a valid component: {why}"))
        })?;
        let fitted = fit(engine, &component).map_err(|why| ModuleError::World {
            name: name.to_owned(),
            why: one_line(&why),
        })?;
        Ok(Self {
            name: name.to_owned(),
            world: fitted.0,
            code: Code::Component(fitted.1),
        })
    }

    /// Loads a component from a file.
    pub fn from_file(
        engine: &Engine,
        cache: &Cache,
        path: &std::path::Path,
    ) -> Result<Self, ModuleError> {
        let bytes = std::fs::read(path).map_err(|error| ModuleError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::load(engine, cache, &path.display().to_string(), &bytes)
    }

    /// A VCP compiled into this binary, which runs without a sandbox: for measurements only,
    /// see [`native`](crate::native). `make` makes an instance that is not started yet.
    pub fn native(
        name: &str,
        world: World,
        make: impl Fn() -> Box<dyn NativeVcp> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            code: Code::Native(std::sync::Arc::new(make)),
            world,
        }
    }

    /// Whether it is compiled into the host, and so runs without a sandbox.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self.code, Code::Native(_))
    }

    /// The world that it was made for.
    pub fn world(&self) -> World {
        self.world
    }

    /// The interfaces that it imports: all that it can reach of the host. A native VCP has
    /// none, and reaches everything.
    pub fn imports(&self) -> Vec<String> {
        let Code::Component(linked) = &self.code else {
            return Vec::new();
        };
        let engine = linked.engine();
        let ty = linked.component().component_type();
        ty.imports(engine)
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Its name for messages: a path, or the name of a built-in module.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The world of a component, and the component with its imports. The error is one
/// clause that says what does not fit.
fn fit(engine: &Engine, component: &Component) -> Result<(World, InstancePre<State>), String> {
    let world = World::of(component, engine)?;
    one_memory(component)?;
    let linked = engine.linker.instantiate_pre(component);
    let linked = linked.map_err(|error| format!("can't be linked: {error:#}"))?;
    world.is_whole(&linked)?;
    Ok((world, linked))
}

/// A VCP has one linear memory, in which its spans are.
fn one_memory(component: &Component) -> Result<(), String> {
    let needs = component.resources_required();
    match needs.map(|needs| needs.num_memories) {
        Some(1) => Ok(()),
        Some(0) => Err("has no linear memory, a VCP has one".to_owned()),
        Some(more) => Err(format!("has {more} linear memories, a VCP has one")),
        // This is a component that is given code when it is instantiated.
        None => Err("imports code, and a VCP is whole".to_owned()),
    }
}

/// Makes one line of text that has names chosen by the module's maker in it, or several
/// lines of the validator.
fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    line(&lines.join("; "))
}

/// Tells components from what is easily taken for one, by the first 8 bytes.
fn kind(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Err("a WebAssembly core module, not a component; \
             build it for wasm32-wasip2 or wrap it by `wasm-tools component new`"
                .to_owned())
        }
        [0, b'a', b's', b'm', ..] => Err("WebAssembly of an unknown version".to_owned()),
        [] => Err("an empty file, not a WebAssembly component".to_owned()),
        _ => Err("not a WebAssembly component".to_owned()),
    }
}

//! `vcp check`: what a module is, and whether this host can run it.

use std::process::ExitCode;

use anyhow::Result;
use vcp_core::{Cache, Engine, World};

use crate::args::CheckArguments;
use crate::ask::print;
use crate::module;

pub(crate) fn run(arguments: &CheckArguments) -> Result<ExitCode> {
    let named = arguments
        .module
        .parse()
        .map_err(|error: vcp_config::Invalid| crate::args::Usage(error.to_string()))?;
    let engine = Engine::new(true)?;
    // Loading is a host's first step too, and the cache keeps its result for that.
    let module = module::load(&engine, &Cache::of_user(), &named)?;
    let world = match module.world() {
        World::Device => "device",
        World::Processor => "processor",
    };
    if arguments.json {
        let (name, imports) = (module.name(), module.imports());
        let said = serde_json::json!({ "module": name, "world": world, "imports": imports });
        print(&format!("{said}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("{}: a VCP of the world {world}\n", module.name());
    for import in module.imports() {
        text += &format!("imports {import}\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

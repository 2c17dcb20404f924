//! `vcp check`: what a module is, and whether this host can run it.

use std::process::ExitCode;

use anyhow::Result;
use vcp_core::{Cache, Engine, World};

use crate::args::CheckArguments;
use crate::module;

pub(crate) fn run(arguments: &CheckArguments) -> Result<ExitCode> {
    let named = arguments
        .module
        .parse()
        .map_err(|error: vcp_config::Invalid| crate::args::Usage(error.to_string()))?;
    let engine = Engine::new(true)?;
    let module = module::load(&engine, &Cache::disabled(), &named)?;
    let world = match module.world() {
        World::Device => "device",
        World::Processor => "processor",
    };
    if arguments.json {
        let (name, imports) = (module.name(), module.imports());
        println!(
            "{}",
            serde_json::json!({ "module": name, "world": world, "imports": imports })
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}: a VCP of the world {world}", module.name());
    for import in module.imports() {
        println!("imports {import}");
    }
    Ok(ExitCode::SUCCESS)
}

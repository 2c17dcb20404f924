//! `vcp doctor`: reports on this machine's fitness for VCPs, what to give them, and
//! whether their devices can be attached; or what the service may do.

mod checks;
mod service;
mod unit;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use vcp_attach::Driver;
use vcp_topology::Topology;
use vcp_topology::doctor::{Capabilities, report};

use crate::args::DoctorArguments;
use crate::ask::print;

/// Examines and reports. Changes nothing.
pub(crate) fn run(arguments: &DoctorArguments) -> Result<ExitCode> {
    if arguments.service {
        return service::run(&arguments.config);
    }
    let topology = Topology::of_this_machine().context("the machine's CPUs")?;
    let cpus = report(&topology, &Capabilities::probe(&topology));
    print(&format!(
        "{cpus}\nBlock devices\n  /dev/nbdX       {}\n",
        nbd()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether exports can be attached. Loads no driver.
fn nbd() -> String {
    let may = vcp_attach::driver::may_attach();
    match (Driver::find(), may) {
        (Err(error), _) => format!("no: {error}"),
        (Ok(Some(mut driver)), Ok(())) => match driver.count() {
            Ok((all, attached)) => format!("yes, {all} of them, {attached} attached"),
            Err(error) => format!("no: {error}"),
        },
        (Ok(None), Ok(())) if vcp_attach::driver::can_load() => {
            "yes; the nbd module will be loaded when it is needed".to_owned()
        }
        (Ok(None), Ok(())) => "no: this kernel has no nbd module here".to_owned(),
        (Ok(_), Err(error)) => format!("no: {error}"),
    }
}

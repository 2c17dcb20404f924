//! `vcp host --check`: finds what a start would complain of, without starting or changing
//! anything. Where possible it runs the code of a start; what would affect the machine
//! (listening, opening links, making files) is only examined.

mod disk;
mod exports;
mod unit;
mod vcps;

pub(crate) use unit::credentials_of_unit;

use std::cell::RefCell;
use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use vcp_config::{HostConfig, Places};
use vcp_core::{Cache, Engine};

use crate::args::ServiceArguments;
use crate::host::Preparing;
use crate::{attach, logging};
use unit::Unit;

/// A configuration, and the findings about it.
struct Judge {
    config: HostConfig,
    places: Places,
    preparing: Preparing,
    /// The service's unit.
    unit: Option<Unit>,
    findings: RefCell<Vec<Finding>>,
}

/// One line for the operator.
struct Finding {
    line: String,
    /// Whether it is an error; a warning may no longer hold at the start.
    is_error: bool,
}

pub(crate) fn run(arguments: &ServiceArguments) -> Result<ExitCode> {
    logging::begin();
    let (file, drop_ins) = arguments.files();
    let (config, places) = HostConfig::read_all_with_places(&file, &drop_ins)?;
    let judge = Judge {
        preparing: Preparing {
            engine: Engine::new(true)?,
            cache: Cache::of_user(),
            host: attach::host_name(Some(&file), &config),
            waits: true,
        },
        config,
        places,
        unit: Unit::of_service(),
        findings: RefCell::default(),
    };
    judge.vcps();
    judge.exports();
    if let Some(address) = &arguments.metrics
        && let Err(error) = vcp_meter::http::address(address)
    {
        judge.add(true, "--metrics: ", &error);
    }
    judge.tell()
}

impl Judge {
    /// Reports an error at a dotted key.
    fn error(&self, key: &str, message: impl Display) {
        self.add(true, "", &self.places.error(key, message));
    }

    /// Reports a problem that may be gone at the start, or can't be seen from here.
    fn warn(&self, key: &str, message: impl Display) {
        let message = format!("warning: {message}");
        self.add(false, "", &self.places.error(key, message));
    }

    /// Takes the result of a step of the start; an error is reported at this key, or at
    /// the one that it names itself.
    fn step<T>(&self, key: &str, outcome: Result<T>) -> Option<T> {
        let error = match outcome {
            Ok(done) => return Some(done),
            Err(error) => format!("{error:#}"),
        };
        match error.split_once(": ") {
            Some((named, why)) if named.starts_with("vcp.") => self.error(named, why),
            _ => self.error(key, error),
        }
        None
    }

    fn add(&self, is_error: bool, before: &str, what: &dyn Display) {
        let line = format!("{before}{what}");
        let mut findings = self.findings.borrow_mut();
        // The same finding about another address is not repeated.
        if findings.iter().all(|other| other.line != line) {
            findings.push(Finding { line, is_error });
        }
    }

    fn tell(&self) -> Result<ExitCode> {
        let findings = self.findings.borrow();
        for finding in findings.iter() {
            logging::complain(&finding.line);
        }
        if findings.iter().any(|finding| finding.is_error) {
            return Ok(ExitCode::FAILURE);
        }
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        crate::ask::print(&format!(
            "nothing speaks against a start: {}, {}\n",
            count(self.config.vcps.len(), "VCP"),
            count(self.config.exports.len(), "export")
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

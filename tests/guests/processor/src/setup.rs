//! Its configuration.

use alloc::format;
use alloc::string::String;

use vcp_sdk::control::Start;

use crate::{faults, handover_faults};

#[derive(Default)]
pub(crate) struct Setup {
    /// The fault of this generation; empty for none.
    pub(crate) fault: String,
    /// Whom to connect to.
    pub(crate) peer: (String, u16),
    /// The call in which the fault strikes; without, those with a flush.
    pub(crate) call: Option<u32>,
}

impl Setup {
    pub(crate) fn read(start: &Start) -> Result<Self, String> {
        let (mut setup, mut from, mut to) = (Self::default(), 1, 1);
        let number = |text: &str| text.parse::<u32>().map_err(|e| format!("{e}"));
        for (key, value) in &start.config {
            match key.as_str() {
                "fault" => setup.fault.clone_from(value),
                "generations" => {
                    let (first, last) = value.split_once("..").ok_or("no range")?;
                    (from, to) = (number(first)?, number(last)?);
                }
                "call" => setup.call = Some(number(value)?),
                "peer" => {
                    let (address, port) = value.rsplit_once(':').ok_or("no port")?;
                    let port = port.parse().map_err(|e| format!("{e}"))?;
                    setup.peer = (address.into(), port);
                }
                other => return Err(format!("config.{other}: unknown key")),
            }
        }
        let fault = setup.fault.as_str();
        let lists = [faults::FAULTS, faults::HANDOVER, handover_faults::FAULTS];
        if !fault.is_empty() && !lists.concat().contains(&fault) {
            return Err(format!(
                "config.fault: {fault:?} is no fault of this module"
            ));
        }
        if !(from..=to).contains(&start.generation) {
            setup.fault.clear();
        }
        Ok(setup)
    }
}

//! Its configuration.

use alloc::format;
use alloc::string::String;

use vcp_sdk::control::Start;

use crate::faults;

/// The fault of this generation, empty for none; and whom to connect to.
pub(crate) fn fault(start: &Start) -> Result<(String, (String, u16)), String> {
    let (mut fault, mut peer) = (String::new(), (String::new(), 0));
    for (key, value) in &start.config {
        match key.as_str() {
            "fault" => fault.clone_from(value),
            "peer" => {
                let (address, port) = value.rsplit_once(':').ok_or("no port")?;
                peer = (address.into(), port.parse().map_err(|e| format!("{e}"))?);
            }
            other => return Err(format!("config.{other}: unknown key")),
        }
    }
    if !fault.is_empty() && !faults::FAULTS.contains(&fault.as_str()) {
        return Err(format!(
            "config.fault: {fault:?} is no fault of this module"
        ));
    }
    if start.generation > 1 {
        fault.clear();
    }
    Ok((fault, peer))
}

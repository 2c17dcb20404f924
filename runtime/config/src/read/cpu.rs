//! Parses `cpu` of `[vcp.NAME]`.

use super::table::Node;
use crate::budget::{Cpu, Slack};
use crate::error::ConfigError;
use crate::value::{CpuSet, Pin};

pub(super) fn read(node: &Node<'_>) -> Result<Cpu, ConfigError> {
    let table = node.table_like(" such as { pin = [1], share = \"50%\" }")?;
    table.only(&Cpu::KEYS)?;
    let mut cpu = Cpu::default();
    for (key, node) in table.entries() {
        match key {
            "pin" => cpu.pin = pin(node)?,
            "slack" => cpu.slack = slack(node)?,
            "poll" | "coalesce" if node.integer() == Some(0) => {
                cpu.set(key, "0").map_err(|e| node.error(e))?
            }
            _ => node.read(|value| cpu.set(key, value))?,
        }
    }
    cpu.check().map_err(|message| match table.get("slack") {
        Some(node) => node.error(message),
        None => table.missing("slack", message),
    })?;
    Ok(cpu)
}

/// Parses `true`, `false` or a number, but not the words of the command line.
fn slack(node: &Node<'_>) -> Result<Slack, ConfigError> {
    if node.string().is_ok() {
        return Err(node.not(Slack::EXPECTED));
    }
    let text = node.scalar().map_err(|_| node.not(Slack::EXPECTED))?;
    text.parse()
        .map_err(|message: crate::Invalid| node.error(message))
}

/// Parses a list of numbers, one number, or a string.
fn pin(node: &Node<'_>) -> Result<Pin, ConfigError> {
    const EXPECTED: &str = "a list of CPU numbers such as [1], a string such as \"0,2-3\", \"core\", \"sibling-of:N\", \"numa:N\" or \"any\"";
    if node.string().is_ok() {
        return node.parse();
    }
    let mut cpus = Vec::new();
    for element in node.one_or_more() {
        let number = element.integer().and_then(|n| u32::try_from(n).ok());
        cpus.push(number.ok_or_else(|| element.not(EXPECTED))?);
    }
    CpuSet::new(cpus)
        .map(Pin::Set)
        .ok_or_else(|| node.error(format!("expected {EXPECTED}, found {}", node.text())))
}

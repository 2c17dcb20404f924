//! Parses the keys of `[vcp.NAME]` about faults, hangs and reloads.

use super::table::{Node, Table};
use crate::check;
use crate::error::{ConfigError, Invalid};
use crate::model::Vcp;
use crate::recovery::{CrashReports, Reload, Restart, Watchdog};
use crate::value::{Interval, Timeout};

/// Parses those that are present into `vcp`.
pub(super) fn read(table: &Table<'_>, vcp: &mut Vcp) -> Result<(), ConfigError> {
    if let Some(node) = table.get("restart") {
        vcp.restart = restart(node)?;
    }
    if let Some(node) = table.get("replacement-timeout") {
        let timeout = timeout(node)?;
        vcp.replacement_timeout =
            check::replacement_timeout(timeout).map_err(|message| node.error(message))?;
    }
    if let Some(node) = table.get("watchdog") {
        vcp.watchdog = watchdog(node)?;
    }
    if let Some(node) = table.get("reload") {
        vcp.reload = reload(node)?;
    }
    if let Some(node) = table.get("crash-reports") {
        vcp.crash_reports = crash_reports(node)?;
    }
    Ok(())
}

fn restart(node: &Node<'_>) -> Result<Restart, ConfigError> {
    let table = node.table_like(" such as { policy = \"always\" }")?;
    table.only(&Restart::KEYS)?;
    let mut restart = Restart::default();
    if let Some(node) = table.get("policy") {
        restart.policy = node.parse()?;
    }
    if let Some(node) = table.get("min-run") {
        restart.min_run = node.parse()?;
    }
    if let Some(node) = table.get("backoff") {
        restart.backoff = node.parse()?;
    }
    if let Some(node) = table.get("limit") {
        restart.limit = Some(node.number(Restart::LIMITS)?);
    }
    if let Some(node) = table.get("spare") {
        restart.spare = node.boolean()?;
    }
    if let Some(node) = table.get("poison-after") {
        let text = node.scalar()?;
        restart.poison_after = text.parse().map_err(|why: Invalid| node.error(why))?;
    }
    Ok(restart)
}

fn watchdog(node: &Node<'_>) -> Result<Watchdog, ConfigError> {
    const LEAST_FUEL: u64 = 1_000_000;
    const MOST_FUEL: u64 = i64::MAX as u64;
    let table = node.table_like(" such as { call = \"200ms\", progress = \"60s\" }")?;
    table.only(&["call", "fuel", "progress"])?;
    let mut watchdog = Watchdog::default();
    if let Some(node) = table.get("call") {
        watchdog.call = between(node, Interval::millis(1), Interval::hours(1))?;
    }
    if let Some(node) = table.get("fuel") {
        watchdog.fuel = Some(node.wide_number(LEAST_FUEL..=MOST_FUEL)?);
    }
    if let Some(node) = table.get("progress") {
        watchdog.progress = timeout(node)?;
        if let Timeout::After(time) = watchdog.progress {
            check::between(time, Interval::millis(100), Interval::hours(24))
                .map_err(|message| node.error(message))?;
        }
    }
    Ok(watchdog)
}

fn reload(node: &Node<'_>) -> Result<Reload, ConfigError> {
    const NONE: Interval = Interval::millis(0);
    let table = node.table_like(" such as { drain = \"250ms\", probation = \"5s\" }")?;
    table.only(&["drain", "ready", "probation"])?;
    let mut reload = Reload::default();
    if let Some(node) = table.get("drain") {
        reload.drain = between(node, NONE, Interval::millis(60_000))?;
    }
    if let Some(node) = table.get("ready") {
        reload.ready = between(node, Interval::millis(10), Interval::millis(600_000))?;
    }
    if let Some(node) = table.get("probation") {
        reload.probation = between(node, NONE, Interval::hours(1))?;
    }
    Ok(reload)
}

fn crash_reports(node: &Node<'_>) -> Result<CrashReports, ConfigError> {
    let table = node.table_like(" such as { keep = 16, core-dumps = true }")?;
    table.only(&["keep", "core-dumps"])?;
    let mut reports = CrashReports::default();
    if let Some(node) = table.get("keep") {
        reports.keep = node.number(0..=256)?;
    }
    if let Some(node) = table.get("core-dumps") {
        reports.core_dumps = node.boolean()?;
    }
    Ok(reports)
}

/// Parses a time in this range.
fn between(node: &Node<'_>, least: Interval, most: Interval) -> Result<Interval, ConfigError> {
    let time = node.parse()?;
    check::between(time, least, most).map_err(|message| node.error(message))
}

/// Parses a timeout; a number is seconds, in quotes or not.
fn timeout(node: &Node<'_>) -> Result<Timeout, ConfigError> {
    let text = node.scalar().map_err(|_| node.not(Timeout::EXPECTED))?;
    text.parse().map_err(|message: Invalid| node.error(message))
}

//! Quantities as an operator writes them. Each prints (`Display`) what it parses
//! (`FromStr`).

mod cpu;
mod interval;
mod percent;
mod size;
mod timeout;

pub use cpu::{CpuSet, MAX_CPU, Pin};
pub use interval::{Backoff, Interval};
pub use percent::Percent;
pub use size::ByteSize;
pub use timeout::Timeout;

/// Splits `text` after its digits (and decimal point): number and unit.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// Reads a decimal number with at most `places` digits after the point, as a
/// multiple of 10^-places. `None` on anything else or when it does not fit.
fn fixed_point(text: &str, places: u32) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let too_long = whole.len() > 20 || fraction.len() > places as usize;
    let lone_point = text.contains('.') && fraction.is_empty();
    if whole.is_empty() || too_long || lone_point || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10u128.pow(places);
    let fraction_value = match fraction {
        "" => 0,
        f => f.parse::<u128>().ok()? * 10u128.pow(places - f.len() as u32),
    };
    whole
        .parse::<u128>()
        .ok()?
        .checked_mul(scale)?
        .checked_add(fraction_value)
}

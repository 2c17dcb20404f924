//! A service's status in a line for people: `systemctl status` shows it.

/// The status in the words of `vcp ps`: running VCPs with the state of each, and
/// configured VCPs that are `missing`.
pub(super) fn line<'a>(
    running: impl Iterator<Item = (&'a str, &'static str)>,
    missing: impl Iterator<Item = &'a str>,
) -> String {
    let (mut ready, mut other) = (0, Vec::new());
    for (name, state) in running {
        match state {
            "ready" => ready += 1,
            state => other.push(format!("{name} is {state}")),
        }
    }
    other.extend(missing.map(|name| format!("{name} could not be started")));
    match (ready, &other[..]) {
        (0, []) => "no VCPs are configured".to_owned(),
        (count, []) => format!("VCPs ready: {count}"),
        (count, other) => format!("VCPs ready: {count}; {}", other.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_in_one_line() {
        let told = |running: &[(&'static str, &'static str)], missing: &[&'static str]| {
            line(running.iter().copied(), missing.iter().copied())
        };
        assert_eq!(told(&[], &[]), "no VCPs are configured");
        assert_eq!(
            told(&[("a", "ready"), ("b", "ready")], &[]),
            "VCPs ready: 2"
        );
        assert_eq!(
            told(&[("a", "ready"), ("b", "suspended"), ("c", "held")], &["d"]),
            "VCPs ready: 1; b is suspended, c is held, d could not be started"
        );
    }
}

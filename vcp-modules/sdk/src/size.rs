//! Sizes as an operator writes them.

/// Parses a number of bytes with an optional unit: `512`, `64K`, `16MiB`, `1G`. Units are
/// powers of 1024. `None` for any other text, and for numbers that are too large.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn units_are_powers_of_1024() {
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("4MiB"), Some(4 << 20));
        assert_eq!(parse_size("1G"), Some(1 << 30));
        assert_eq!(parse_size("16777216T"), None);
        for wrong in ["", "M", "1.5G", "-1", "1 M", "1MB", "0x10"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}

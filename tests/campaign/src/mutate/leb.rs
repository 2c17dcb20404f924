//! LEB128 numbers in a room of given length (WebAssembly core, §5.2.2): padding
//! is allowed there up to the longest form, so that a number can be replaced by
//! another without moving what follows.

/// The unsigned number at the start of `bytes`, and its length.
pub(crate) fn unsigned(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(at as u32 * 7)?;
        if byte < 0x80 {
            return Some((value, at + 1));
        }
    }
    None
}

/// The signed number that fills `bytes`.
pub(crate) fn signed(bytes: &[u8]) -> i64 {
    let mut value = 0i64;
    let mut shift = 0;
    for &byte in bytes.iter().take(10) {
        value |= i64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    if shift < 64 && bytes.last().is_some_and(|byte| byte & 0x40 != 0) {
        value |= -1 << shift;
    }
    value
}

/// Fills `room` with `value`; `false`, and `room` as it was, when it doesn't fit.
pub(crate) fn put_unsigned(room: &mut [u8], value: u64) -> bool {
    if room.len() < 10 && value >> (room.len() * 7) != 0 {
        return false;
    }
    put(room, value as i64);
    true
}

/// As [`put_unsigned`], for a signed number.
pub(crate) fn put_signed(room: &mut [u8], value: i64) -> bool {
    let bits = room.len() * 7;
    if bits < 64 && (value << (64 - bits)) >> (64 - bits) != value {
        return false;
    }
    put(room, value);
    true
}

fn put(room: &mut [u8], mut value: i64) {
    let last = room.len().saturating_sub(1);
    for (at, byte) in room.iter_mut().enumerate() {
        *byte = (value & 0x7f) as u8 | if at < last { 0x80 } else { 0 };
        value >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_every_room_they_fit() {
        for length in 1..=5 {
            let mut room = vec![0; length];
            for value in [0, 1, 63, 64, 127, 128, 8191, 8192, 1 << 20, (1 << 31) - 1] {
                if put_unsigned(&mut room, value) {
                    assert_eq!(unsigned(&room), Some((value, length)));
                } else {
                    assert!(value >= 1 << (7 * length));
                }
                for value in [value as i64, -(value as i64)] {
                    if put_signed(&mut room, value) {
                        assert_eq!(signed(&room), value);
                    } else {
                        let most = 1i64 << (7 * length - 1);
                        assert!(value >= most || value < -most, "{value} in {length}");
                    }
                }
            }
        }
    }
}

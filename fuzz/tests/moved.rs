//! Scripts for `moved` that chance makes up, without libFuzzer: a few thousand in a second.

use vcp_fuzz::moved;

/// xorshift64*: the same scripts every time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[test]
fn ok_is_said_only_of_what_was_moved() {
    let mut chance = Chance(0x6d6f_7665_6421);
    for _ in 0..4000 {
        let length = 16 + chance.next() as usize % 200;
        let script: Vec<u8> = (0..length).map(|_| (chance.next() >> 56) as u8).collect();
        let result = std::panic::catch_unwind(|| moved::run(&script));
        assert!(result.is_ok(), "it fails with {script:?}");
    }
}

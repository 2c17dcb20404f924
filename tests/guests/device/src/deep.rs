//! Ways not to return.

use core::hint::black_box;

/// Never ends.
pub(crate) fn forever(mut n: u64) -> ! {
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Deep calls with large frames: runs out of the stack in linear memory.
#[expect(unconditional_recursion, reason = "that is what it is for")]
pub(crate) fn shadow(n: u64) -> u64 {
    let frame = black_box([n; 4096]);
    shadow(black_box(n + 1)) + frame[(n % 4096) as usize]
}

/// Deep calls without frames: runs out of the engine's stack.
#[inline(never)]
pub(crate) fn calls(n: u64) -> u64 {
    if black_box(n) == 0 {
        return 1;
    }
    calls(n - 1).wrapping_mul(3) ^ n
}

//! Sessions of the initiator, as scripts of `vcp_fuzz::initiator`.

use super::Seeds;

/// Flags, sizes and more flags, for an honest target and for a hostile one.
const HONEST: &[u8] = &[0, 0xff, 0];
const HOSTILE: &[u8] = &[1, 0xff, 0];

const SETTLE: u8 = 8;
const TIMEOUT: u8 = 10;
const CUT: u8 = 12;

const WRITE: u8 = 0;
const READ: u8 = 3;
const FLUSH: u8 = 5;
const DISCARD: u8 = 6;
const ZERO: u8 = 7;

fn io(kind: u8, block: u8, blocks: u8) -> [u8; 4] {
    [0, kind, block, blocks - 1]
}

pub(crate) fn write_all(seeds: &Seeds) {
    let work = [
        io(WRITE, 0, 4),
        io(WRITE | 8, 4, 1),
        io(READ, 0, 4),
        io(FLUSH, 0, 1),
        io(DISCARD, 2, 2),
        io(ZERO, 0, 1),
        io(READ, 0, 4),
    ]
    .concat();
    seeds.add("plain", &[HONEST, &work, &[SETTLE], &work, &[SETTLE]]);
    seeds.add(
        "small-pieces",
        &[
            &[0x38, 0, 0x30],
            &work,
            &[5, 0, 49, 6, 0, 20, 7, 0, 30, SETTLE],
        ],
    );
    seeds.add(
        "digests-chap",
        &[&[0x82, 0x55, 0x80], &work, &[SETTLE, TIMEOUT], &work],
    );
    seeds.add(
        "large-blocks",
        &[&[0x64, 0x10, 0x02], &work, &[SETTLE], &work],
    );
    seeds.add("read-only", &[&[0xc0, 0xff, 0], &work, &[SETTLE]]);
    let half_way = [5, 0xff, 0xff, 6, 8, 0];
    seeds.add(
        "cut",
        &[
            HONEST,
            &work,
            &half_way,
            &[CUT, TIMEOUT, SETTLE],
            &work,
            &[CUT],
        ],
    );
    seeds.add(
        "refused",
        &[
            HONEST,
            &work,
            &[CUT, 15, 0, TIMEOUT, SETTLE, TIMEOUT, SETTLE],
        ],
    );
    seeds.add(
        "stop",
        &[
            HONEST,
            &work,
            &half_way,
            &[15, 0xff, SETTLE, TIMEOUT, SETTLE],
            &work,
        ],
    );
    let orders = [
        13, 0, SETTLE, 13, 1, 3, SETTLE, TIMEOUT, SETTLE, 13, 2, SETTLE, 13, 3,
    ];
    seeds.add(
        "orders",
        &[HONEST, &work, &orders, &[TIMEOUT, SETTLE], &work],
    );
    let busy = [13, 4, 0, 0, 0, 5, SETTLE, TIMEOUT, SETTLE];
    seeds.add("busy", &[HONEST, &busy, &work, &busy]);
    let long = [11, 0x13, 0x88, SETTLE];
    seeds.add("idle", &[&[0, 0xff, 1], &work, &long, &long, &long, &work]);
    for fault in 0..20 {
        // The third Data-In, or whatever is meant, and what is wrong with it.
        let pdu = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9][usize::from(fault) % 10];
        let faults = [2, 0, 3, fault, 1, pdu, 0x82, fault, 0xff];
        let name = format!("fault-{fault:02}");
        seeds.add(
            &name,
            &[
                HOSTILE,
                &faults,
                &work,
                &[SETTLE],
                &work,
                &[TIMEOUT, SETTLE],
            ],
        );
    }
    for kind in 0..12 {
        let forged = [14, 2, kind, 0x30, 0, 0, 4, 1, 2, 3, 4, 0, 1, 1, 0, 5];
        let name = format!("forged-{kind:02}");
        seeds.add(
            &name,
            &[HOSTILE, &[0], &work, &half_way, &forged, &[SETTLE], &work],
        );
    }
}

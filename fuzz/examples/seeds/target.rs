//! Sessions with the embedded target, as scripts of `vcp_fuzz::target`.

use super::Seeds;

/// Block size, read-only, policy, sizes.
const EASY: &[u8] = &[0, 0, 0, 0xff];
const HARD: &[u8] = &[3, 0, 0x3d, 0];

const LOGIN: &[u8] = &[0, 0, 1];
const DISCOVERY: &[u8] = &[0, 0, 2];
const DRAIN: &[u8] = &[11, 0xff, 0xff];
const ANSWER_R2T: &[u8] = &[5, 0, 0x5a];
const LOGOUT: &[u8] = &[8, 0, 7, 0];

/// A command of `requests::choose` without data.
fn command(kind: u8, lba: u16, blocks: u8) -> Vec<u8> {
    let [high, low] = lba.to_be_bytes();
    vec![2, 0, kind, high, low, blocks, 0, 0]
}

/// A write with so many bytes of immediate data.
fn write(lba: u8, blocks: u8, immediate: u16) -> Vec<u8> {
    let [high, low] = immediate.to_be_bytes();
    let mut step = vec![2, 0, 14, 0, lba, blocks, 0, 0, high, low];
    step.resize(step.len() + usize::from(immediate), 0xa5);
    step
}

pub(crate) fn write_all(seeds: &Seeds) {
    // The first command after a login ends with UNIT ATTENTION.
    let survey: Vec<u8> = [
        (0, 0, 0),
        (0, 0, 0),
        (1, 0, 252),
        (2, 0, 36),
        (3, 0, 0),
        (3, 0x80, 0),
        (3, 0x83, 0),
        (3, 0xb0, 0),
        (3, 0xb2, 0),
        (4, 0, 64),
        (5, 0, 0),
        (6, 0, 32),
        (7, 0x7e, 252),
        (0x87, 0x10, 252),
        (11, 0, 255),
    ]
    .into_iter()
    .flat_map(|(kind, lba, blocks)| command(kind, lba, blocks))
    .collect();
    let ready = command(0, 0, 0);
    seeds.add(
        "survey",
        &[EASY, LOGIN, &survey, DRAIN, DRAIN, LOGOUT, DRAIN],
    );
    let transfer = [
        write(0, 8, 512),
        DRAIN.to_vec(),
        ANSWER_R2T.to_vec(),
        DRAIN.to_vec(),
        write(16, 1, 512),
        command(12, 0, 32),
        command(8, 0, 0),
        command(9, 2, 4),
        command(0x8a, 0, 8),
        command(0xca, 0, 8),
    ]
    .concat();
    seeds.add("transfer", &[EASY, LOGIN, &ready, &transfer, DRAIN, DRAIN]);
    seeds.add(
        "transfer-hard",
        &[HARD, LOGIN, DRAIN, LOGIN, DRAIN, &ready, &transfer, DRAIN],
    );
    let texts = [7, 0, 7, 1, 7, 2, 7, 0xa3, 11, 0xff, 0xff, 7, 0xa3];
    seeds.add(
        "discovery",
        &[EASY, DISCOVERY, &texts, DRAIN, LOGOUT, DRAIN],
    );
    seeds.add(
        "discovery-pieces",
        &[&[0, 0, 0x30, 0xff], DISCOVERY, DRAIN, DISCOVERY, &texts],
    );
    let stages = [0, 4, 0, 0, 2, 4, 0, 5, 4, 0, 0, 6];
    seeds.add("stages", &[EASY, &stages, DRAIN, &ready, DRAIN]);
    let nops = [
        8, 0, 0, 0, 4, 1, 2, 3, 4, 8, 4, 0, 0, 0, 13, 0, 11, 0xff, 0xff, 8, 2, 0, 0, 0,
    ];
    seeds.add("nops", &[EASY, LOGIN, &nops, DRAIN]);
    let tasks = [8, 0, 3, 1, 8, 0, 3, 2, 8, 0, 3, 5, 8, 1, 3, 6];
    seeds.add(
        "tasks",
        &[EASY, LOGIN, &ready, &write(0, 8, 0), &tasks, DRAIN],
    );
    let orders = [13, 1, 5, 13, 4, 8, 2, 1, 12, 1, 0, 13, 2];
    seeds.add(
        "orders",
        &[EASY, LOGIN, &ready, &command(12, 8, 8), &orders, DRAIN],
    );
    let again = [
        14, 1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 14, 0, 11, 0xff, 0xff, 15,
    ];
    seeds.add("reinstated", &[EASY, LOGIN, &ready, &again, LOGIN, DRAIN]);
    let snack = [8, 0, 6, 2, 0xf0, 0, 0, 0, 0, 0, 0, 9, 0];
    seeds.add("wrong", &[EASY, LOGIN, &ready, &snack, &[0x1c; 48], DRAIN]);
}

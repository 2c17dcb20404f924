//! Commands that are answered in every way, as scripts of `vcp_fuzz::moved`.

use super::Seeds;

/// Neither immediate nor unsolicited data; one command for each request.
const PLAIN: &[u8] = &[0, 0, 0, 0];
/// Both, in short segments and bursts; several commands for each request, few at a time.
const PARTS: &[u8] = &[0x83, 0x55, 0x15, 2];

const READ: u8 = 0;
const WRITE: u8 = 3;
const FLUSH: u8 = 5;
const DISCARD: u8 = 6;
const ZERO: u8 = 7;
const FUA: u8 = 8;

const HONEST: &[u8] = &[15];
const TIMEOUT: &[u8] = &[11];
const CUT: &[u8] = &[12];

/// What the first verdict byte stands for.
const GOOD: u8 = 0;
const MET: u8 = 2;
const CHECK: u8 = 3;

fn request(kind: u8, blocks: u8) -> [u8; 3] {
    [0, kind, blocks - 1]
}

/// So many blocks of data for the first command that waits.
fn data(blocks: u8) -> [u8; 4] {
    [3, 0, 0, blocks]
}

/// A status for the first command that waits, and what belongs to it.
fn status(verdict: &[u8]) -> Vec<u8> {
    [&[3, 0, 2][..], verdict, &[0]].concat()
}

fn sense(key: u8) -> [u8; 3] {
    [CHECK, key, 0]
}

pub(crate) fn write_all(seeds: &Seeds) {
    short(seeds);
    parameters(seeds);
    answers(seeds);
    sessions(seeds);
}

/// Statuses that say that a command was carried out, of which not all bytes were moved.
fn short(seeds: &Seeds) {
    let verdicts = [
        ("good", vec![GOOD]),
        ("met", vec![MET]),
        ("no-sense", sense(0).to_vec()),
        ("recovered", sense(1).to_vec()),
        ("completed", sense(0xf).to_vec()),
    ];
    for (name, verdict) in verdicts {
        let end = status(&verdict);
        let all = request(WRITE, 16);
        seeds.add(&format!("write-nothing-{name}"), &[PLAIN, &all, &end]);
        seeds.add(
            &format!("write-half-{name}"),
            &[PLAIN, &all, &data(8), &end],
        );
        seeds.add(
            &format!("write-all-{name}"),
            &[PLAIN, &all, &data(16), &end],
        );
        let all = request(READ, 16);
        seeds.add(&format!("read-nothing-{name}"), &[PLAIN, &all, &end]);
        seeds.add(&format!("read-part-{name}"), &[PLAIN, &all, &data(1), &end]);
        seeds.add(&format!("read-all-{name}"), &[PLAIN, &all, &data(16), &end]);
    }
    // In the last Data-In: of a part, and of everything.
    let all = request(READ, 16);
    let part = [3, 0, 6, MET, 0x30, 4];
    seeds.add("read-part-data-met", &[PLAIN, &all, &part]);
    seeds.add("read-all-data-met", &[PLAIN, &all, &[3, 0, 6, MET, 0]]);
}

/// Commands whose data is parameters, answered before it has come.
fn parameters(seeds: &Seeds) {
    let kinds = [("flush", FLUSH), ("discard", DISCARD), ("zero", ZERO)];
    for (name, kind) in kinds {
        let ask = request(kind, 4);
        let residual = [3, 0, 2, GOOD, 10];
        seeds.add(&format!("{name}-met"), &[PLAIN, &ask, &status(&[MET])]);
        seeds.add(&format!("{name}-residual"), &[PLAIN, &ask, &residual]);
        let unsupported = status(&[CHECK, 5, 16]);
        seeds.add(
            &format!("{name}-unsupported"),
            &[PLAIN, &ask, &unsupported, HONEST],
        );
    }
}

/// Every kind of answer once, to a write and to a read.
fn answers(seeds: &Seeds) {
    let ask = [request(WRITE | FUA, 8), request(READ, 8)].concat();
    let one = |name: String, answer: &[u8]| {
        seeds.add(&name, &[PLAIN, &ask, answer, answer, HONEST]);
    };
    for key in 2..15 {
        one(format!("sense-{key:x}"), &status(&[CHECK, key, 2]));
    }
    for kind in 9..16 {
        one(format!("status-{kind:x}"), &status(&[kind]));
    }
    for reason in 0..11 {
        one(
            format!("reject-{:02x}", reason + 2),
            &[3, 0, 10, reason, 15],
        );
    }
    for residual in 8..16 {
        one(format!("residual-{residual:x}"), &[3, 0, 2, GOOD, residual]);
    }
    one("deferred".into(), &status(&[CHECK, 0x81, 0]));
    one("descriptor".into(), &status(&[CHECK, 0x41, 0]));
    one("cut-sense".into(), &status(&[CHECK, 0x21, 0, 3]));
    one("target-failure".into(), &[3, 0, 9, 0, GOOD]);
    one("vendor-failure".into(), &[3, 0, 9, 0x90, GOOD]);
    one("wrong-offset".into(), &[3, 0, 11, 2, 1, 1]);
    one("wrong-number".into(), &[3, 0, 11, 3, 1, 1]);
    one("wrong-kind".into(), &[3, 0, 11, 18, 1, 0]);
    one("wrong-final".into(), &[3, 0, 11, 10, 1, 0]);
    one("beyond".into(), &[3, 0, 11, 2, 9, 0]);
    one("never".into(), &[3, 0, 12]);
    one("twice".into(), &[3, 0, 13, GOOD, 0]);
    one("twice-anew".into(), &[3, 0, 29, GOOD, 0]);
}

/// Several requests at a time, and connections that do not last.
fn sessions(seeds: &Seeds) {
    let work = [
        request(WRITE, 16),
        request(READ, 16),
        request(WRITE | FUA, 3),
        request(FLUSH, 1),
        request(DISCARD, 8),
        request(ZERO | FUA, 8),
    ]
    .concat();
    for (name, flags) in [("on", 0x83), ("off", 0xa3), ("silent", 0xb3)] {
        let settings = [flags | 8, PARTS[1], PARTS[2], PARTS[3]];
        seeds.add(&format!("work-cache-{name}"), &[&settings, &work, HONEST]);
    }
    for (name, settings) in [("plain", PLAIN), ("parts", PARTS)] {
        seeds.add(&format!("work-{name}"), &[settings, &work, HONEST]);
        let some = [data(2), data(1), [3, 1, 0, 2], [3, 5, 0, 1]].concat();
        seeds.add(
            &format!("cut-{name}"),
            &[settings, &work, &some, CUT, TIMEOUT, &some, CUT],
        );
        let order = [[4, 5, 14], [4, 3, 14], [4, 1, 14], [4, 0, 14]].concat();
        seeds.add(&format!("order-{name}"), &[settings, &work, &order]);
        let pieces = [0x89, 40, 3, 0x89, 200, 7, 9, 1, 1].repeat(4);
        seeds.add(
            &format!("pieces-{name}"),
            &[settings, &[0x80, WRITE, 9, 0x80, READ, 9], &pieces, HONEST],
        );
        let late = TIMEOUT.repeat(12);
        seeds.add(&format!("late-{name}"), &[settings, &work, &late, HONEST]);
        let mute = [14, 1];
        seeds.add(&format!("mute-{name}"), &[settings, &work, &mute, &late]);
    }
    remarks(seeds, &work);
}

/// What a responder says that is about no command.
fn remarks(seeds: &Seeds, work: &[u8]) {
    for number in 0..8 {
        let event = [13, 2, 0x10 | number, 0, 26];
        seeds.add(
            &format!("event-{number}"),
            &[PLAIN, work, &event, TIMEOUT, HONEST],
        );
    }
    let refused = [&[14, 8][..], CUT, &TIMEOUT.repeat(4)].concat();
    seeds.add("refused", &[PLAIN, work, &refused]);
    let abort = [&[3, 0, 12, 13, 4, 1][..], &[10, 255].repeat(4)].concat();
    seeds.add("abort-refused", &[PLAIN, &request(READ, 4), &abort]);
    // The command is answered between the request to abort it and its answer.
    let late = [&[13, 5, 0, 10, 255, 10, 255, 10, 101][..], &status(&[GOOD])].concat();
    seeds.add(
        "abort-late",
        &[PLAIN, &request(FLUSH, 1), &late, &[14, 3], HONEST],
    );
}

//! What NBD clients send, from the flags to the leave-taking.

use vcp_nbd_proto::wire::{
    BASE_ALLOCATION, IHAVEOPT, REQUEST_MAGIC, client, cmd, cmd_flag, info, opt,
};

use super::Seeds;

/// Options of the export and the seed for cutting.
const HEAD: &[u8] = &[0, 0, 0, 0, 7];
const READ_ONLY: &[u8] = &[1, 0, 0, 0, 9];

pub(crate) fn write(seeds: &Seeds) {
    let flags = (client::FIXED_NEWSTYLE | client::NO_ZEROES).to_be_bytes();
    let structured = option(opt::STRUCTURED_REPLY, &[]);
    let meta = option(opt::SET_META_CONTEXT, &contexts("disk"));
    let list_meta = option(opt::LIST_META_CONTEXT, &contexts("disk"));
    let ask = wanted("disk", &[info::NAME, info::DESCRIPTION, info::BLOCK_SIZE]);
    let go = option(opt::GO, &ask);
    let io = requests();
    seeds.add("qemu", &[HEAD, &flags, &structured, &meta, &go, &io]);
    seeds.add(
        "kernel",
        &[HEAD, &flags, &option(opt::GO, &wanted("", &[])), &io],
    );
    seeds.add(
        "read-only",
        &[READ_ONLY, &flags, &structured, &meta, &go, &io],
    );
    seeds.add(
        "old",
        &[HEAD, &[0, 0, 0, 0], &option(opt::EXPORT_NAME, b"disk"), &io],
    );
    let list = [option(opt::LIST, &[]), option(opt::ABORT, &[])].concat();
    seeds.add("list", &[HEAD, &flags, &list]);
    let refused = [
        option(opt::STARTTLS, &[]),
        option(opt::INFO, &wanted("none", &[info::BLOCK_SIZE])),
        option(opt::INFO, &wanted("late", &[])),
        option(opt::GO, &[0; 3]),
        option(99, &[0; 20]),
        option(opt::LIST, &[0; 20_000]),
    ];
    seeds.add(
        "refused",
        &[HEAD, &flags, &refused.concat(), &list_meta, &go, &io],
    );
}

fn option(number: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).expect("options are short");
    [
        &IHAVEOPT.to_be_bytes()[..],
        &number.to_be_bytes(),
        &len.to_be_bytes(),
        data,
    ]
    .concat()
}

fn string(text: &str) -> Vec<u8> {
    let len = u32::try_from(text.len()).expect("strings are short");
    [&len.to_be_bytes(), text.as_bytes()].concat()
}

fn contexts(export: &str) -> Vec<u8> {
    let queries = [
        string(BASE_ALLOCATION),
        string("base:"),
        string("qemu:dirty-bitmap:x"),
    ];
    [
        string(export),
        3u32.to_be_bytes().to_vec(),
        queries.concat(),
    ]
    .concat()
}

fn wanted(export: &str, infos: &[u16]) -> Vec<u8> {
    let mut data = string(export);
    data.extend_from_slice(&u16::try_from(infos.len()).expect("few").to_be_bytes());
    infos
        .iter()
        .for_each(|info| data.extend_from_slice(&info.to_be_bytes()));
    data
}

fn requests() -> Vec<u8> {
    [
        request(cmd::READ, 0, 0, 4096),
        request(cmd::READ, cmd_flag::DF, 512, 512),
        request(cmd::WRITE, cmd_flag::FUA, 4096, 8),
        vec![0x5a; 8],
        request(cmd::WRITE, 0, 1 << 19, 512),
        vec![0xa5; 512],
        request(cmd::FLUSH, 0, 0, 0),
        request(cmd::TRIM, 0, 1 << 12, 1 << 12),
        request(cmd::WRITE_ZEROES, cmd_flag::NO_HOLE, 0, 1 << 20),
        request(cmd::BLOCK_STATUS, cmd_flag::REQ_ONE, 0, 1 << 16),
        request(cmd::READ, 0, 1 << 20, 512),
        request(cmd::DISC, 0, 0, 0),
    ]
    .concat()
}

fn request(kind: u16, flags: u16, offset: u64, length: u32) -> Vec<u8> {
    let cookie = 0x0102_0304_0506_0708u64 + u64::from(kind);
    [
        &REQUEST_MAGIC.to_be_bytes()[..],
        &flags.to_be_bytes(),
        &kind.to_be_bytes(),
        &cookie.to_be_bytes(),
        &offset.to_be_bytes(),
        &length.to_be_bytes(),
    ]
    .concat()
}

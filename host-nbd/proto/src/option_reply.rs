//! Encoding of option replies ("Option reply types") and of the server's first
//! bytes. Appends to the caller's buffer.

use crate::export::ExportInfo;
use crate::option::Wanted;
use crate::wire::{BASE_ALLOCATION, IHAVEOPT, MAGIC, OPTION_REPLY_MAGIC, handshake, info, rep};

/// The greeting: both magic numbers and the handshake flags.
pub(crate) fn greeting(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC.to_be_bytes());
    out.extend_from_slice(&IHAVEOPT.to_be_bytes());
    out.extend_from_slice(&(handshake::FIXED_NEWSTYLE | handshake::NO_ZEROES).to_be_bytes());
}

/// One reply to `option`; `parts` are its data, concatenated.
pub(crate) fn reply(out: &mut Vec<u8>, option: u32, kind: u32, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&OPTION_REPLY_MAGIC.to_be_bytes());
    out.extend_from_slice(&option.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&be_len(length));
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A `REP_SERVER` with name and description.
pub(crate) fn server(out: &mut Vec<u8>, option: u32, name: &str, description: &str) {
    let length = be_len(name.len());
    reply(
        out,
        option,
        rep::SERVER,
        &[&length, name.as_bytes(), description.as_bytes()],
    );
}

/// A `REP_META_CONTEXT` for `base:allocation`.
pub(crate) fn meta_context(out: &mut Vec<u8>, option: u32, id: u32) {
    reply(
        out,
        option,
        rep::META_CONTEXT,
        &[&id.to_be_bytes(), BASE_ALLOCATION.as_bytes()],
    );
}

/// All that `INFO` and `GO` tell about an export, with the final `REP_ACK`.
pub(crate) fn export(
    out: &mut Vec<u8>,
    option: u32,
    export: &ExportInfo,
    wanted: Wanted,
    structured: bool,
) {
    let flags = export.transmission_flags(structured).to_be_bytes();
    let mut item = |kind: u16, parts: [&[u8]; 3]| {
        let [a, b, c] = parts;
        reply(out, option, rep::INFO, &[&kind.to_be_bytes(), a, b, c]);
    };
    item(info::EXPORT, [&export.size.to_be_bytes(), &flags, &[]]);
    let [minimum, preferred, maximum] = export.block_sizes().map(u32::to_be_bytes);
    item(info::BLOCK_SIZE, [&minimum, &preferred, &maximum]);
    if wanted.name {
        item(info::NAME, [export.name.as_bytes(), &[], &[]]);
    }
    if wanted.description && !export.description.is_empty() {
        item(info::DESCRIPTION, [export.description.as_bytes(), &[], &[]]);
    }
    reply(out, option, rep::ACK, &[]);
}

fn be_len(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("replies hold a few strings of at most 4096 bytes")
        .to_be_bytes()
}

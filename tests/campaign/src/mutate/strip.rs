//! Takes out of a component what no mutant needs: debug information, most of its
//! bytes. Names of functions stay.

use anyhow::{Context as _, Result, ensure};

use super::leb;

const HEADER: usize = 8;
const CUSTOM: u8 = 0;
const CORE_MODULE: u8 = 1;

/// The component without the debug sections of its core modules.
pub fn strip(component: &[u8]) -> Result<Vec<u8>> {
    sections(component, true)
}

fn sections(bytes: &[u8], component: bool) -> Result<Vec<u8>> {
    ensure!(bytes.len() >= HEADER, "no WebAssembly");
    let mut out = bytes[..HEADER].to_vec();
    let mut at = HEADER;
    while at < bytes.len() {
        let id = bytes[at];
        let (size, digits) = leb::unsigned(&bytes[at + 1..]).context("a section's size")?;
        let start = at + 1 + digits;
        let end = start + usize::try_from(size)?;
        let content = bytes.get(start..end).context("a section ends too late")?;
        at = end;
        if component && id == CORE_MODULE {
            push(&mut out, id, &sections(content, false)?);
        } else if component || id != CUSTOM || !is_debug(content) {
            push(&mut out, id, content);
        }
    }
    Ok(out)
}

fn is_debug(custom: &[u8]) -> bool {
    leb::unsigned(custom).is_some_and(|(_, digits)| custom[digits..].starts_with(b".debug"))
}

fn push(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    let mut size = [0; 5];
    assert!(
        leb::put_unsigned(&mut size, content.len() as u64),
        "sections are smaller than 4 GiB"
    );
    out.extend(size);
    out.extend(content);
}

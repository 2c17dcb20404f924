//! Hides passwords on the command line from other users: what `ps` shows of this process
//! is overwritten once it is read. For a moment after the start the passwords can be
//! seen; a file or the environment is better.
//!
//! The kernel shows the memory in which it put the arguments. That is written through
//! `/proc/self/mem`: nothing in this process refers to it, as the arguments were copied.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// Overwrites passwords among the arguments. To be called when they are parsed, and
/// before the process is closed to others.
pub(crate) fn passwords() {
    let hidden = fs::read("/proc/self/cmdline").and_then(|line| {
        let places = places(&line);
        if places.is_empty() {
            Ok(())
        } else {
            overwrite(&places)
        }
    });
    if let Err(error) = hidden {
        tracing::warn!("a password on the command line stays visible to other users: {error}");
    }
}

fn overwrite(places: &[Range<usize>]) -> io::Result<()> {
    let start = arguments_at(&fs::read_to_string("/proc/self/stat")?)
        .ok_or_else(|| io::Error::other("/proc/self/stat does not say where it is"))?;
    let memory = File::options().write(true).open("/proc/self/mem")?;
    for place in places {
        let stars = vec![b'*'; place.len()];
        memory.write_all_at(&stars, start + place.start as u64)?;
    }
    Ok(())
}

/// The address of the arguments, by proc(5): the 48th field. The second is a name in
/// parentheses that may contain anything.
fn arguments_at(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let start = rest.split_whitespace().nth(48 - 3)?.parse().ok()?;
    (start != 0).then_some(start)
}

/// Finds the passwords in the arguments, each of which ends with a zero.
fn places(line: &[u8]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut at = 0;
    for word in line.split(|&byte| byte == 0) {
        if let Some(place) = password(word) {
            places.push(at + place.start..at + place.end);
        }
        at += word.len() + 1;
    }
    places
}

/// Finds the password in `…password=VALUE`, or `iscsi://USER%VALUE@…` at the end of an
/// argument.
fn password(word: &[u8]) -> Option<Range<usize>> {
    let find = |what: &[u8]| word.windows(what.len()).position(|part| part == what);
    if let Some(key) = find(b"=").filter(|&at| word[..at].ends_with(b"password")) {
        return Some(key + 1..word.len());
    }
    let authority = find(b"iscsi://")? + b"iscsi://".len();
    let end = word[authority..].iter().position(|&byte| byte == b'/');
    let end = end.map_or(word.len(), |end| authority + end);
    let host = authority
        + word[authority..end]
            .iter()
            .rposition(|&byte| byte == b'@')?;
    let user = word[authority..host]
        .iter()
        .position(|&byte| byte == b'%')?;
    Some(authority + user + 1..host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let mut bytes = line.replace(' ', "\0").into_bytes();
        for place in places(&bytes) {
            bytes[place].fill(b'*');
        }
        String::from_utf8(bytes).unwrap().replace('\0', " ")
    }

    #[test]
    fn passwords_are_found() {
        for (line, expected) in [
            (
                "vcp run iscsi user=joe password=x=y",
                "vcp run iscsi user=joe password=***",
            ),
            ("target-password=abc", "target-password=***"),
            (
                "run target=iscsi://joe%a@b%40c@10.0.0.1:3260/iqn.a/1 x",
                "run target=iscsi://joe%*******@10.0.0.1:3260/iqn.a/1 x",
            ),
            (
                "discover iscsi://joe%abc@host",
                "discover iscsi://joe%***@host",
            ),
        ] {
            assert_eq!(shown(line), expected);
        }
        for nothing in [
            "vcp ps",
            "target=iscsi://10.0.0.1/iqn.a%40/1",
            "iscsi://joe@host/iqn.a/1",
            "password-file=/etc/x",
            "iscsi://h/a%b@c/1",
        ] {
            assert_eq!(shown(nothing), nothing);
        }
    }

    #[test]
    fn a_name_may_have_anything_in_it() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("1 (a) 7 b) {}", fields.join(" "));
        assert_eq!(arguments_at(&stat), Some(48));
    }
}

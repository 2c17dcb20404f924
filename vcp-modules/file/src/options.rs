//! Parsing of the `config` table.

use alloc::format;
use alloc::string::String;

/// The settings of the `config` table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) path: String,
    pub(crate) size: Option<u64>,
    pub(crate) read_only: bool,
}

impl Options {
    pub(crate) fn parse(config: &[(String, String)]) -> Result<Self, String> {
        let (mut path, mut size, mut read_only) = (None, None, false);
        for (key, value) in config {
            match key.as_str() {
                "path" => path = Some(value.clone()),
                "size" => size = Some(parse_size(value)?),
                "read-only" => {
                    read_only = value
                        .parse()
                        .map_err(|_| format!("config.read-only: {value:?} is not true or false"))?;
                }
                other => {
                    return Err(format!(
                        "config.{other}: unknown key; a file has: path, size, read-only"
                    ));
                }
            }
        }
        let path = path.ok_or("config.path: missing; give the path in a granted directory")?;
        Ok(Self {
            path,
            size,
            read_only,
        })
    }
}

fn parse_size(value: &str) -> Result<u64, String> {
    let size = vcp_sdk::parse_size(value).filter(|size| (1..=i64::MAX as u64).contains(size));
    size.ok_or_else(|| format!("config.size: {value:?} is not a size of at least a byte"))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let parse = |pairs: &[(&str, &str)]| {
            let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
            Options::parse(&pairs.iter().map(owned).collect::<Vec<_>>()).unwrap_err()
        };
        assert!(parse(&[]).starts_with("config.path: missing"));
        assert!(parse(&[("path", "/a"), ("size", "0")]).starts_with("config.size: \"0\""));
        assert!(parse(&[("path", "/a"), ("read-only", "maybe")]).contains("\"maybe\""));
        assert!(parse(&[("colour", "red")]).starts_with("config.colour: unknown key"));
    }
}

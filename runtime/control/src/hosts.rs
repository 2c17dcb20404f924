//! Finds the host that runs a VCP among those of this user.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::task::JoinSet;

use crate::client::{Client, ClientError};
use crate::place;
use crate::protocol::Request;
use crate::report::{Host, Summary};

/// A VCP or an export as an operator names it: `NAME`, or `PID/NAME`. An export's name
/// may contain a slash; the part before the first slash is a process id only if it is a
/// number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The host's process id, if given.
    pub pid: Option<u32>,
    /// The name of the VCP or export.
    pub name: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pid, name) = match text.split_once('/') {
            None => (None, text),
            Some((pid, name)) if !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) => {
                let pid = pid.parse().map_err(|_| {
                    "expected NAME or PID/NAME, with the process id of a host".to_owned()
                })?;
                (Some(pid), name)
            }
            Some(_) => (None, text),
        };
        if name.is_empty() {
            return Err("expected the name of a VCP".to_owned());
        }
        Ok(Self {
            pid,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "{pid}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A host that answered.
#[derive(Debug)]
pub struct Found {
    /// The socket's path.
    pub path: PathBuf,
    /// The host's report on itself.
    pub host: Host,
    /// The connection, for further requests.
    pub client: Client,
}

/// The hosts that were found.
#[derive(Debug, Default)]
pub struct Hosts {
    /// The hosts that answered, by process id.
    pub found: Vec<Found>,
    /// The sockets whose hosts did not answer, with the reasons.
    pub silent: Vec<(PathBuf, ClientError)>,
}

/// Why no single VCP or export could be found.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// No host has a VCP or export of this name.
    #[error("no VCP {address} is running{}", there_are(.known))]
    None {
        /// The address that was looked for.
        address: Address,
        /// The names that exist.
        known: Vec<String>,
    },
    /// No host serves this device.
    #[error("no host here serves {0}")]
    Device(String),
    /// Several have a VCP or export of this name.
    #[error("{name} is in several hosts; say which: {}", .addresses.join(", "))]
    Several {
        /// The name.
        name: String,
        /// `PID/NAME` of each.
        addresses: Vec<String>,
    },
}

fn there_are(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; there are: {}", names.join(", ")),
    }
}

impl Hosts {
    /// Asks every host of this user.
    pub async fn of_user() -> std::io::Result<Self> {
        Self::in_directory(&place::directory()).await
    }

    /// Asks every host whose socket is in `directory`, all at once.
    pub async fn in_directory(directory: &Path) -> std::io::Result<Self> {
        let sockets = place::sockets(directory)?;
        let mut asked: JoinSet<_> = sockets.into_iter().map(|(_, path)| ask(path)).collect();
        let mut hosts = Self::default();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(found)) => hosts.found.push(found),
                Ok(Err(silent)) => hosts.silent.push(silent),
                Err(error) => tracing::error!("asking a host: {error}"),
            }
        }
        hosts.found.sort_by_key(|found| found.host.pid);
        hosts.silent.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(hosts)
    }

    /// Asks only the host at `socket`.
    pub async fn only(socket: &Path) -> Result<Self, ClientError> {
        Ok(Self {
            found: vec![ask(socket.to_owned()).await.map_err(|(_, error)| error)?],
            silent: Vec::new(),
        })
    }

    /// The only host that runs this VCP.
    pub fn with(self, address: &Address) -> Result<Found, NotFound> {
        self.the_one(address, |vcp| vcp.name == address.name)
    }

    /// The only host that runs a VCP of this name or, if none does, serves an export of
    /// this name.
    pub fn with_vcp_or_export(self, address: &Address) -> Result<Found, NotFound> {
        let is_vcp = |vcp: &Summary| vcp.name == address.name;
        if self.matching(address, is_vcp).is_empty() {
            self.the_one(address, |vcp| {
                vcp.exports.iter().any(|export| export.name == address.name)
            })
        } else {
            self.the_one(address, is_vcp)
        }
    }

    /// The only host that serves this kernel device, such as `/dev/nbd0`.
    pub fn with_device(self, device: &str) -> Result<Found, NotFound> {
        let serves = |found: &Found| {
            let exports = found.host.vcps.iter().flat_map(|vcp| &vcp.exports);
            let mut devices = exports.flat_map(|export| &export.devices);
            devices.any(|served| served.device == device)
        };
        let found = self.found.into_iter().find(serves);
        found.ok_or_else(|| NotFound::Device(device.to_owned()))
    }

    /// The indices in `found` of hosts with such a VCP.
    fn matching(&self, address: &Address, such: impl Fn(&Summary) -> bool) -> Vec<usize> {
        let has = |found: &Found| {
            address.pid.is_none_or(|pid| pid == found.host.pid) && found.host.vcps.iter().any(&such)
        };
        (0..self.found.len())
            .filter(|&index| has(&self.found[index]))
            .collect()
    }

    fn the_one(
        mut self,
        address: &Address,
        such: impl Fn(&Summary) -> bool,
    ) -> Result<Found, NotFound> {
        let matching = self.matching(address, such);
        match matching[..] {
            [one] => Ok(self.found.swap_remove(one)),
            [] => Err(NotFound::None {
                address: address.clone(),
                known: self.names(),
            }),
            _ => Err(NotFound::Several {
                name: address.name.clone(),
                addresses: matching
                    .iter()
                    .map(|&index| format!("{}/{}", self.found[index].host.pid, address.name))
                    .collect(),
            }),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .found
            .iter()
            .flat_map(|found| found.host.vcps.iter().map(|vcp| vcp.name.clone()))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

async fn ask(path: PathBuf) -> Result<Found, (PathBuf, ClientError)> {
    let answered = async {
        let mut client = Client::connect(&path).await?;
        let host: Host = client.ask(&Request::Ps {}).await?;
        Ok((client, host))
    };
    match answered.await {
        Ok((client, host)) => Ok(Found { path, host, client }),
        Err(error) => Err((path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_ends_a_process_id_or_is_of_the_name() {
        for (text, pid, name) in [
            ("disk0", None, "disk0"),
            ("12/disk0", Some(12), "disk0"),
            (
                "iqn.2026-11.example:disk/1",
                None,
                "iqn.2026-11.example:disk/1",
            ),
            ("12/iqn.x:disk/1", Some(12), "iqn.x:disk/1"),
            ("12/34/x", Some(12), "34/x"),
            ("a b/ü", None, "a b/ü"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.pid, address.name.as_str()), (pid, name));
            assert_eq!(address.to_string(), text);
        }
        for bad in ["", "12/", "99999999999/x"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}

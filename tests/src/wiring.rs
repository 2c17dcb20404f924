//! The ways from `vcp` to the target: which link, in which namespace, and which
//! portal is at the other end.

use crate::lab::{
    Lab, Side, WIRE_CLIENT, WIRE_CLIENT_V4, WIRE_CLIENT_V6, WIRE_TARGET_V4, WIRE_TARGET_V6,
};
use crate::tgtd::Lun;

/// Of the two networks that a TAP gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 10.77.0.0/24
    V4,
    /// fd77::/64
    V6,
}

/// One way.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// Where `vcp` runs.
    pub side: Side,
    /// Its `--link`.
    pub link: String,
    /// The target's address on it.
    pub portal: &'static str,
}

impl Wiring {
    /// A TAP that ends in the target's namespace.
    #[must_use]
    pub fn tap(offload: &str, family: Family) -> Self {
        let (own, portal, prefix) = match family {
            Family::V4 => ("10.77.0.2", "10.77.0.1", 24),
            Family::V6 => ("fd77::2", "fd77::1", 64),
        };
        let link = format!(
            "tap:vcp0,address={own}/{prefix},host-address={portal}/{prefix},offload={offload}"
        );
        Self {
            side: Side::Target,
            link,
            portal,
        }
    }

    /// A packet socket on the client's end of the wire.
    #[must_use]
    pub fn packet(offload: &str, family: Family) -> Self {
        let (own, portal, prefix) = match family {
            Family::V4 => (WIRE_CLIENT_V4, WIRE_TARGET_V4, 24),
            Family::V6 => (WIRE_CLIENT_V6, WIRE_TARGET_V6, 64),
        };
        let link = format!("packet:{WIRE_CLIENT},address={own}/{prefix},offload={offload}");
        Self {
            side: Side::Client,
            link,
            portal,
        }
    }

    /// The kernel's TCP, from the client's end of the wire: no frames at all.
    #[must_use]
    pub fn host(family: Family) -> Self {
        let portal = match family {
            Family::V4 => WIRE_TARGET_V4,
            Family::V6 => WIRE_TARGET_V6,
        };
        Self {
            side: Side::Client,
            link: "host".to_owned(),
            portal,
        }
    }

    /// A lab as this way wants it.
    #[must_use]
    pub fn lab(&self) -> Lab {
        let lab = Lab::new();
        if self.link == "host" {
            lab.addressed()
        } else {
            lab
        }
    }

    /// The line of a configuration file.
    #[must_use]
    pub fn table(&self) -> String {
        let mut parts = self.link.split(',');
        let link = parts.next().unwrap_or_default();
        let options = parts.filter_map(|option| option.split_once('='));
        let options = options.map(|(key, value)| format!(", {key} = \"{value}\""));
        format!(
            "net = {{ link = \"{link}\"{} }}",
            options.collect::<String>()
        )
    }

    /// With one more option.
    #[must_use]
    pub fn with(mut self, option: &str) -> Self {
        self.link = format!("{},{option}", self.link);
        self
    }

    /// Arguments after `vcp run` that attach a unit and serve it at `nbd`.
    #[must_use]
    pub fn arguments(&self, lun: &Lun, nbd: &str) -> Vec<String> {
        self.arguments_for(&lun.url(self.portal), nbd)
    }

    /// The same for any URL.
    #[must_use]
    pub fn arguments_for(&self, url: &str, nbd: &str) -> Vec<String> {
        [
            "iscsi",
            &format!("target={url}"),
            "--link",
            &self.link,
            "--nbd",
            nbd,
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

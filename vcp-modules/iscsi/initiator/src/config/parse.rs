//! Configuration keys and how they are parsed.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec;
use core::net::SocketAddr;

use vcp_iscsi_proto::chap::Algorithm;
use vcp_iscsi_proto::{IscsiName, Isid};

use super::values;
use super::{Chap, Config, DigestPolicy, Names, Offer, Peer, Secret, Timing};

const SECOND: u64 = 1_000_000_000;
/// The default of our name.
const INITIATOR: &str = "iqn.2026-11.example.vcp:initiator";

/// An error of a configuration. It names the key, and never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no such key.
    #[error("{key}: unknown key")]
    Unknown {
        /// The key as given.
        key: String,
    },
    /// A required key is missing.
    #[error("{key}: missing; {hint}")]
    Missing {
        /// The key.
        key: &'static str,
        /// The expected value.
        hint: &'static str,
    },
    /// A value is invalid for its key.
    #[error("{key}: {value:?} is not {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// The value as given.
        value: String,
        /// A description of valid values.
        expected: &'static str,
    },
    /// Values contradict each other.
    #[error("{key}: {reason}")]
    Conflict {
        /// The key.
        key: &'static str,
        /// The reason.
        reason: &'static str,
    },
}

/// The given values, before they are checked together.
#[derive(Default)]
struct Draft {
    portal: Option<SocketAddr>,
    target: Option<IscsiName>,
    lun: Option<u16>,
    initiator_name: Option<IscsiName>,
    instance: Option<String>,
    isid: Option<Isid>,
    auth: Option<bool>,
    user: Option<String>,
    password: Option<Secret>,
    target_user: Option<String>,
    target_password: Option<Secret>,
    algorithms: Option<vec::Vec<Algorithm>>,
    first_burst_given: bool,
}

impl Config {
    /// Makes a configuration of key/value pairs.
    ///
    /// | key | value | default |
    /// |---|---|---|
    /// | `portal` | numeric address of the target portal, `ip[:port]` | required |
    /// | `target` | the target's iSCSI name | required |
    /// | `lun` | the logical unit's number, 0 to 16383 | required |
    /// | `initiator-name` | our iSCSI name | `iqn.2026-11.example.vcp:initiator` |
    /// | `instance` | a name that the ISID is made of: one for each disk | target and LUN |
    /// | `isid` | the ISID itself, 12 hexadecimal digits | made of `instance` |
    /// | `auth` | `none` or `chap` | `chap` if there is a name or password |
    /// | `user`, `password` | what we answer CHAP with | |
    /// | `target-user`, `target-password` | what the target has to answer | one-way CHAP |
    /// | `chap-algorithms` | list of `sha256` and `md5`, the best first | `sha256,md5` |
    /// | `header-digest`, `data-digest` | `none`, `accept`, `prefer`, `crc32c` | `accept` |
    /// | `max-recv-data-segment-length` | bytes of a PDU that we take, 512 to 16777215 | 262144 |
    /// | `max-burst-length` | bytes offered, 512 to 16777215 | 1048576 |
    /// | `first-burst-length` | bytes offered, at most `max-burst-length` | 262144 |
    /// | `initial-r2t`, `immediate-data` | `yes` or `no`, offered | `no`, `yes` |
    /// | `max-outstanding-r2t` | offered, 1 to 65535 | 8 |
    /// | `nop-interval`, `nop-timeout` | silence before a ping, wait for its echo | `5s` |
    /// | `login-timeout` | from connecting to a known logical unit | `15s` |
    /// | `command-timeout` | for one command, before it is aborted | `30s` |
    /// | `capacity-interval` | between two looks at the capacity, or `never` | `60s` |
    /// | `max-transfer` | bytes of the longest read or write, 4096 to 1048576 | 1048576 |
    /// | `read-only` | refuse writes whatever the unit says | `no` |
    ///
    /// `docs/src/reference/iscsi.md` describes these for the operator.
    ///
    /// # Errors
    /// [`ConfigError`], which names the key.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let (draft, config) = Draft::read(pairs)?;
        draft.finish(config, true)
    }

    /// As [`Config::parse`], for a discovery session: without `target` and `lun`.
    ///
    /// # Errors
    /// [`ConfigError`], which names the key.
    pub fn parse_discovery<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let (draft, config) = Draft::read(pairs)?;
        if draft.target.is_some() {
            return Err(ConfigError::Conflict {
                key: "target",
                reason: "discovery asks for all targets of a portal",
            });
        }
        draft.finish(config, false)
    }

    /// All defaults. They do not make a valid configuration yet.
    fn defaults() -> Result<Self, ConfigError> {
        Ok(Self {
            portal: SocketAddr::from(([0, 0, 0, 0], 0)),
            names: Names::new(None, values::name("initiator-name", INITIATOR)?),
            lun: 0,
            isid: Isid::default(),
            chap: None,
            offer: Offer {
                header_digest: DigestPolicy::Accept,
                data_digest: DigestPolicy::Accept,
                max_recv_data_segment_length: 256 << 10,
                max_burst_length: 1 << 20,
                first_burst_length: 256 << 10,
                initial_r2t: false,
                immediate_data: true,
                max_outstanding_r2t: 8,
            },
            timing: Timing {
                nop_interval: 5 * SECOND,
                nop_timeout: 5 * SECOND,
                login_timeout: 15 * SECOND,
                command_timeout: 30 * SECOND,
                capacity_interval: 60 * SECOND,
            },
            start_unit: true,
            read_only: false,
            queue_depth: 128,
            max_transfer: 1 << 20,
            transfer_limit: 1 << 20,
            predecessor: false,
            identity: String::new(),
        })
    }
}

impl Draft {
    fn read<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Config), ConfigError> {
        let mut draft = Self::default();
        let mut config = Config::defaults()?;
        for (key, value) in pairs {
            if !(draft.identity(key, value)?
                || draft.authentication(key, value)?
                || draft.operation(&mut config, key, value)?)
            {
                return Err(ConfigError::Unknown {
                    key: key.to_owned(),
                });
            }
        }
        Ok((draft, config))
    }

    /// Parses keys of identity and place; `false` when it is none of them.
    fn identity(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        match key {
            "portal" => self.portal = Some(values::portal(value)?),
            "target" => self.target = Some(values::name("target", value)?),
            "lun" => self.lun = Some(values::number("lun", value, 0..=16383)? as u16),
            "initiator-name" => self.initiator_name = Some(values::name("initiator-name", value)?),
            "instance" => self.instance = Some(value.to_owned()),
            "isid" => self.isid = Some(values::isid(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Parses keys of authentication; `false` when it is none of them.
    fn authentication(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        match key {
            "auth" => self.auth = Some(values::auth(value)?),
            "user" => self.user = Some(values::user("user", value)?),
            "password" => self.password = Some(values::secret("password", value)?),
            "target-user" => self.target_user = Some(values::user("target-user", value)?),
            "target-password" => {
                self.target_password = Some(values::secret("target-password", value)?);
            }
            "chap-algorithms" => self.algorithms = Some(values::algorithms(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Parses keys of operation; `false` when it is none of them.
    fn operation(
        &mut self,
        config: &mut Config,
        key: &str,
        value: &str,
    ) -> Result<bool, ConfigError> {
        const SEGMENT: core::ops::RangeInclusive<u32> = 512..=(1 << 24) - 1;
        const TRANSFER: core::ops::RangeInclusive<u32> = 4096..=1 << 20;
        let offer = &mut config.offer;
        let timing = &mut config.timing;
        match key {
            "header-digest" => offer.header_digest = values::digest("header-digest", value)?,
            "data-digest" => offer.data_digest = values::digest("data-digest", value)?,
            "max-recv-data-segment-length" => {
                offer.max_recv_data_segment_length =
                    values::number("max-recv-data-segment-length", value, SEGMENT)?;
            }
            "max-burst-length" => {
                offer.max_burst_length = values::number("max-burst-length", value, SEGMENT)?;
            }
            "first-burst-length" => {
                self.first_burst_given = true;
                offer.first_burst_length = values::number("first-burst-length", value, SEGMENT)?;
            }
            "initial-r2t" => offer.initial_r2t = values::boolean("initial-r2t", value)?,
            "immediate-data" => offer.immediate_data = values::boolean("immediate-data", value)?,
            "max-outstanding-r2t" => {
                offer.max_outstanding_r2t =
                    values::number("max-outstanding-r2t", value, 1..=65535)?;
            }
            "nop-interval" => timing.nop_interval = values::duration("nop-interval", value)?,
            "nop-timeout" => timing.nop_timeout = values::duration("nop-timeout", value)?,
            "login-timeout" => timing.login_timeout = values::duration("login-timeout", value)?,
            "command-timeout" => {
                timing.command_timeout = values::duration("command-timeout", value)?;
            }
            "start-unit" => config.start_unit = values::boolean("start-unit", value)?,
            "capacity-interval" => {
                timing.capacity_interval = values::interval("capacity-interval", value)?;
            }
            "max-transfer" => {
                config.transfer_limit = values::number("max-transfer", value, TRANSFER)?;
            }
            "read-only" => config.read_only = values::boolean("read-only", value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(mut self, mut config: Config, disk: bool) -> Result<Config, ConfigError> {
        let missing = |key, hint| ConfigError::Missing { key, hint };
        config.portal = self
            .portal
            .ok_or(missing("portal", "give the target's address as ip:port"))?;
        if disk {
            let hint = "give the target's iSCSI name";
            self.target.as_ref().ok_or(missing("target", hint))?;
            config.lun = self
                .lun
                .ok_or(missing("lun", "give the logical unit's number"))?;
        }
        config.isid = self.isid.unwrap_or_else(|| match &self.instance {
            Some(instance) => values::isid_of(&[instance]),
            // The result does not depend on the form in which the name is given.
            None => {
                let target = self.target.as_ref().map(IscsiName::normal);
                values::isid_of(&[&target.unwrap_or_default(), &config.lun.to_string()])
            }
        });
        let initiator = self.initiator_name.take();
        let initiator = initiator.map_or_else(|| values::name("initiator-name", INITIATOR), Ok)?;
        config.names = Names::new(self.target.take(), initiator);
        let offer = &mut config.offer;
        if offer.first_burst_length > offer.max_burst_length {
            if self.first_burst_given {
                return Err(ConfigError::Conflict {
                    key: "first-burst-length",
                    reason: "must not be more than max-burst-length",
                });
            }
            offer.first_burst_length = offer.max_burst_length;
        }
        config.chap = self.chap()?;
        Ok(config)
    }

    fn chap(self) -> Result<Option<Chap>, ConfigError> {
        let given = [
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("target-user", self.target_user.is_some()),
            ("target-password", self.target_password.is_some()),
        ];
        let first_given = given.iter().find(|(_, given)| *given);
        match (self.auth, first_given) {
            (Some(false), Some(&(key, _))) => {
                return Err(ConfigError::Conflict {
                    key,
                    reason: "has no use with auth=none",
                });
            }
            (Some(false) | None, None) => return Ok(None),
            _ => {}
        }
        let missing = |key, hint| ConfigError::Missing { key, hint };
        let user = self
            .user
            .ok_or(missing("user", "CHAP needs the name the target knows"))?;
        let password = self.password.ok_or(missing(
            "password",
            "CHAP needs the secret that goes with `user`",
        ))?;
        if self.target_password.as_ref() == Some(&password) {
            return Err(ConfigError::Conflict {
                key: "target-password",
                reason: "must not be the same as password (RFC 7143 §9.2.1)",
            });
        }
        let target = match (self.target_user, self.target_password) {
            (user, Some(password)) => Some(Peer { user, password }),
            (Some(_), None) => {
                return Err(missing(
                    "target-password",
                    "mutual CHAP needs the target's secret",
                ));
            }
            (None, None) => None,
        };
        let algorithms = self
            .algorithms
            .unwrap_or_else(|| vec![Algorithm::Sha256, Algorithm::Md5]);
        Ok(Some(Chap {
            user,
            password,
            target,
            algorithms,
        }))
    }
}

//! Compares what a service's unit allows with what its configuration needs. Examines
//! nothing itself.

use std::collections::BTreeSet;

use vcp_config::{HostConfig, LinkKind, NbdAddress, Setting};

use super::unit::{Node, Unit};
use crate::sandbox::DropIn;

const TUN: Node = Node {
    path: "/dev/net/tun",
    class: "char-misc",
};
const NBD: Node = Node {
    path: "/dev/nbd",
    class: "block-nbd",
};

/// What a configuration needs of the unit.
#[derive(Debug, Default)]
pub(super) struct Needs {
    tap: bool,
    packet: bool,
    attach: bool,
    credentials: BTreeSet<String>,
    /// Paths of sockets in directories for temporary files.
    temporary: Vec<String>,
}

impl Needs {
    pub(super) fn of(config: &HostConfig) -> Self {
        let mut needs = Self::default();
        for vcp in config.vcps.values() {
            match vcp.net.as_ref().map(|net| &net.link) {
                Some(LinkKind::Tap(_)) => needs.tap = true,
                Some(LinkKind::Packet(_)) => needs.packet = true,
                _ => {}
            }
            for (_, setting) in vcp.settings.iter() {
                if let Setting::Credential(name) = setting {
                    needs.credentials.insert(name.clone());
                }
            }
        }
        for export in config.exports.values() {
            needs.attach |= export.attach.is_some();
            for address in &export.nbd {
                if let NbdAddress::Unix(path) = address
                    && (path.starts_with("/tmp") || path.starts_with("/var/tmp"))
                {
                    needs.temporary.push(path.display().to_string());
                }
            }
        }
        needs
    }
}

/// Findings about the machine.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Whether nbd is loaded, or built in.
    pub(super) nbd: bool,
    /// Credentials that the running service was given.
    pub(super) credentials: BTreeSet<String>,
    /// Credentials that the unit's files name.
    pub(super) named: BTreeSet<String>,
}

/// One thing that a service may be able to do.
#[derive(Debug)]
pub(super) struct Check {
    /// The name of the ability.
    pub(super) name: String,
    /// A remark; the error gives the reason and a remedy.
    pub(super) outcome: Result<String, String>,
    /// Whether the configuration needs it.
    pub(super) needed: bool,
}

impl Check {
    /// Whether the configuration needs something that the unit does not allow.
    pub(super) fn fails(&self) -> bool {
        self.needed && self.outcome.is_err()
    }

    /// The check as one line.
    pub(super) fn line(&self) -> String {
        let name = format!("{}  ", self.name);
        let said = match (&self.outcome, self.needed) {
            (Ok(more), _) if more.is_empty() => "yes".to_owned(),
            (Ok(more), _) => format!("yes, {more}"),
            (Err(why), true) => format!("no: {why}"),
            (Err(why), false) => format!("no, and nothing that is configured needs it: {why}"),
        };
        format!("  {name:<15} {said}\n")
    }
}

/// All checks of a unit.
pub(super) fn all(unit: &Unit, needs: &Needs, machine: &Machine) -> Vec<Check> {
    let mut checks = vec![tap(unit, needs), packet(unit, needs)];
    checks.push(attach(unit, needs, machine));
    let credentials = needs.credentials.iter();
    checks.extend(credentials.map(|name| credential(unit, name, machine)));
    checks.push(temporary(unit, needs));
    checks
}

fn tap(unit: &Unit, needs: &Needs) -> Check {
    let lacks = lacking(&[
        (unit.allows_family("AF_NETLINK"), "AF_NETLINK"),
        (unit.has_capability("cap_net_admin"), "CAP_NET_ADMIN"),
        (unit.allows_device(TUN), "/dev/net/tun"),
    ]);
    allowed("tap: links", lacks, DropIn::Links, needs.tap)
}

fn packet(unit: &Unit, needs: &Needs) -> Check {
    let lacks = lacking(&[
        (unit.allows_family("AF_PACKET"), "AF_PACKET"),
        (unit.allows_family("AF_NETLINK"), "AF_NETLINK"),
        (unit.has_capability("cap_net_raw"), "CAP_NET_RAW"),
    ]);
    allowed("packet: links", lacks, DropIn::Links, needs.packet)
}

fn attach(unit: &Unit, needs: &Needs, machine: &Machine) -> Check {
    let lacks = lacking(&[
        (unit.allows_family("AF_NETLINK"), "AF_NETLINK"),
        (unit.has_capability("cap_sys_admin"), "CAP_SYS_ADMIN"),
        (unit.allows_device(NBD), "/dev/nbd*"),
    ]);
    let mut check = allowed("/dev/nbdX", lacks, DropIn::Attach, needs.attach);
    let starts = unit.value("ActiveState") != "active";
    let comes = starts
        && unit
            .words("Wants")
            .any(|unit| unit == "modprobe@nbd.service");
    if check.outcome.is_ok() && !machine.nbd && !comes {
        let why = "the kernel's nbd module is not loaded, which has to be before the service \
                   starts: modprobe nbd && systemctl restart vcp";
        check.outcome = Err(why.to_owned());
    }
    check
}

fn credential(unit: &Unit, name: &str, machine: &Machine) -> Check {
    let cure = format!(
        "systemctl edit vcp, with [Service] and LoadCredential={name}:/etc/vcp/{name}, then \
         systemctl restart vcp"
    );
    let given = machine.credentials.contains(name);
    // Where the service manager prints no value, the unit's files are used.
    let named = unit.has_credential(name);
    let named = named.or_else(|| machine.named.contains(name).then_some(true));
    let outcome = match named {
        _ if given => Ok(String::new()),
        Some(true) if unit.value("ActiveState") == "active" => Err(format!(
            "the unit names it, and the service that runs was not given it: {}",
            "systemctl restart vcp"
        )),
        Some(true) => Ok("once the service starts".to_owned()),
        Some(false) => Err(format!("the unit does not name it: {cure}")),
        None => Err(format!("the service that runs was not given it: {cure}")),
    };
    Check {
        name: format!("credential {name}"),
        outcome,
        needed: true,
    }
}

/// Checks for sockets that nobody outside of the service would see.
fn temporary(unit: &Unit, needs: &Needs) -> Check {
    let mut own = unit.words("TemporaryFileSystem");
    let own = own.any(|mount| mount.split(':').next() == Some("/tmp"));
    let hidden = (own || unit.value("PrivateTmp") == "yes") && !needs.temporary.is_empty();
    let outcome = match hidden {
        true => Err(format!(
            "the /tmp of its own hides {} from everybody else: give it an address in /run/vcp",
            needs.temporary.join(", ")
        )),
        false => Ok(String::new()),
    };
    Check {
        name: "sockets seen".to_owned(),
        outcome,
        needed: true,
    }
}

fn lacking(wanted: &[(bool, &'static str)]) -> Vec<&'static str> {
    let lacking = wanted.iter().filter(|(there, _)| !there);
    lacking.map(|(_, name)| *name).collect()
}

fn allowed(name: &str, lacks: Vec<&str>, drop_in: DropIn, needed: bool) -> Check {
    let outcome = match &lacks[..] {
        [] => Ok(String::new()),
        lacks => Err(format!(
            "the unit does not allow {}: {}",
            lacks.join(", "),
            drop_in.instructions()
        )),
    };
    Check {
        name: name.to_owned(),
        outcome,
        needed,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::unit::tests::{ALLOWED, PLAIN};
    use super::*;

    fn needs(text: &str) -> Needs {
        Needs::of(&HostConfig::parse(Path::new("host.toml"), text).unwrap())
    }

    const ISCSI: &str = "[vcp.disk0]\nmodule = \"iscsi\"\n\
        net = { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }\n\
        config = { target = \"iscsi://10.77.0.1/iqn.a:b/1\", user = \"joe\", \
        password-credential = \"disk0-chap\" }\n\
        [export.disk0]\nnbd = \"unix:/tmp/disk0.sock\"\nattach = {}\n";

    const RAM: &str = "[vcp.ram]\nmodule = \"ramdisk\"\n[export.ram]\n";

    fn failing(unit: &str, config: &str, machine: &Machine) -> Vec<String> {
        let checks = all(&Unit::parse(unit), &needs(config), machine);
        let failing = checks.into_iter().filter(Check::fails);
        failing.map(|check| check.line()).collect()
    }

    #[test]
    fn what_is_configured_and_not_allowed_is_told_with_what_helps() {
        let lines = failing(PLAIN, ISCSI, &Machine::default());
        let [tap, nbd, credential, sockets] = &lines[..] else {
            panic!("{lines:?}");
        };
        for (line, words) in [
            (
                tap,
                [
                    "AF_NETLINK, CAP_NET_ADMIN, /dev/net/tun",
                    "examples/links.conf",
                ],
            ),
            (
                nbd,
                [
                    "AF_NETLINK, CAP_SYS_ADMIN, /dev/nbd*",
                    "examples/attach.conf",
                ],
            ),
            (credential, ["disk0-chap", "LoadCredential=disk0-chap:"]),
            (sockets, ["/tmp/disk0.sock", "/run/vcp"]),
        ] {
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
    }

    #[test]
    fn what_nobody_needs_fails_nothing() {
        assert!(failing(PLAIN, RAM, &Machine::default()).is_empty());
        let checks = all(&Unit::parse(PLAIN), &needs(RAM), &Machine::default());
        assert!(
            checks[0]
                .line()
                .contains("nothing that is configured needs it")
        );
    }

    #[test]
    fn the_drop_ins_allow_it_once_the_module_is_loaded() {
        let machine = |nbd| Machine {
            nbd,
            ..Machine::default()
        };
        let config = ISCSI.replace("/tmp/", "/run/vcp/");
        assert!(failing(ALLOWED, &config, &machine(true)).is_empty());
        let lines = failing(ALLOWED, &config, &machine(false));
        assert!(
            lines.len() == 1 && lines[0].contains("modprobe nbd"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_credential_is_what_the_service_that_runs_was_given() {
        let active = ALLOWED.replace("ActiveState=inactive", "ActiveState=active");
        let config = ISCSI.replace("/tmp/", "/run/vcp/");
        let mut machine = Machine {
            nbd: true,
            ..Machine::default()
        };
        let lines = failing(&active, &config, &machine);
        assert!(
            lines.len() == 1 && lines[0].contains("systemctl restart vcp"),
            "{lines:?}"
        );
        machine.credentials.insert("disk0-chap".to_owned());
        assert!(failing(&active, &config, &machine).is_empty());
    }

    /// systemd prints no text for the value of `LoadCredential=`.
    #[test]
    fn a_credential_may_be_known_from_the_files_of_the_unit() {
        let given = "LoadCredential=disk0-chap:/etc/vcp/disk0-chap";
        let unit = ALLOWED.replace(given, "LoadCredential=[unprintable]");
        let config = ISCSI.replace("/tmp/", "/run/vcp/");
        let mut machine = Machine {
            nbd: true,
            ..Machine::default()
        };
        assert_eq!(failing(&unit, &config, &machine).len(), 1);
        machine.named.insert("disk0-chap".to_owned());
        assert!(failing(&unit, &config, &machine).is_empty());
    }

    #[test]
    fn a_unit_that_has_nbd_loaded_does_not_need_it_before_it_starts() {
        let config = ISCSI.replace("/tmp/", "/run/vcp/");
        let mut machine = Machine::default();
        machine.credentials.insert("disk0-chap".to_owned());
        let wants = format!("{ALLOWED}Wants=remote-fs-pre.target modprobe@nbd.service\n");
        assert!(failing(&wants, &config, &machine).is_empty());
        let runs = wants.replace("ActiveState=inactive", "ActiveState=active");
        assert_eq!(failing(&runs, &config, &machine).len(), 1);
    }
}

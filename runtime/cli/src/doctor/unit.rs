//! A unit with its drop-ins, as `systemctl show` prints it. This module only parses text.

use std::collections::BTreeMap;

/// What is asked for.
pub(super) const PROPERTIES: [&str; 22] = [
    "LoadState",
    "Wants",
    "ActiveState",
    "MainPID",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "User",
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "RestrictAddressFamilies",
    "PrivateDevices",
    "DevicePolicy",
    "DeviceAllow",
    "PrivateTmp",
    "TemporaryFileSystem",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "SetCredential",
    "StateDirectory",
    "CacheDirectory",
    "RuntimeDirectory",
];

/// The service manager's text for a value that it cannot print.
const UNPRINTABLE: &str = "[unprintable]";

/// The properties of a unit; each may occur several times.
#[derive(Debug, Default)]
pub(super) struct Unit(BTreeMap<String, Vec<String>>);

/// A kind of device node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// The beginning of its path.
    pub(super) path: &'static str,
    /// Its driver, as `DeviceAllow=` names it.
    pub(super) class: &'static str,
}

impl Unit {
    /// Parses `KEY=VALUE` lines; others are left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let values = unit.0.entry(key.to_owned()).or_default();
            values.push(value.trim().to_owned());
        }
        unit
    }

    /// The single value of a property; empty if there is none.
    pub(super) fn value(&self, key: &str) -> &str {
        let values = self.0.get(key).map_or(&[][..], Vec::as_slice);
        values.first().map_or("", String::as_str)
    }

    /// The words of all values of a property.
    pub(super) fn words(&self, key: &str) -> impl Iterator<Item = &str> {
        let values = self.0.get(key).into_iter().flatten();
        values.flat_map(|value| value.split_whitespace())
    }

    /// Whether the unit exists.
    pub(super) fn is_there(&self) -> bool {
        self.value("LoadState") == "loaded"
    }

    /// Whether the service may open sockets of this family.
    pub(super) fn allows_family(&self, family: &str) -> bool {
        let Some(value) = self
            .0
            .get("RestrictAddressFamilies")
            .and_then(|v| v.first())
        else {
            return true;
        };
        let has = |list: &str| list.split_whitespace().any(|word| word == family);
        match value.strip_prefix('~') {
            Some(all_but) => !has(all_but),
            None => has(value),
        }
    }

    /// Whether the service has a capability, such as `cap_net_raw`: root has all that are
    /// not taken away, and any other user those that are given.
    pub(super) fn has_capability(&self, name: &str) -> bool {
        let has = |key| self.words(key).any(|word| word.eq_ignore_ascii_case(name));
        let root = matches!(self.value("User"), "" | "root" | "0");
        has("CapabilityBoundingSet") && (root || has("AmbientCapabilities"))
    }

    /// Whether device nodes can be opened, as far as the unit says.
    pub(super) fn allows_device(&self, node: Node) -> bool {
        if self.value("PrivateDevices") == "yes" {
            return false;
        }
        let allowed = self.0.get("DeviceAllow").into_iter().flatten();
        let mut allowed = allowed.filter(|entry| !entry.is_empty()).peekable();
        if matches!(self.value("DevicePolicy"), "" | "auto") && allowed.peek().is_none() {
            return true;
        }
        allowed.any(|entry| {
            let (what, access) = entry.split_once(' ').unwrap_or((entry, "rwm"));
            let named = what.starts_with(node.path) || what == node.class;
            named && access.contains('r') && access.contains('w')
        })
    }

    /// Whether a credential of this name is passed; `None`: the service manager does not
    /// say.
    pub(super) fn has_credential(&self, name: &str) -> Option<bool> {
        let keys = ["LoadCredential", "LoadCredentialEncrypted", "SetCredential"];
        let mut all = keys.iter().flat_map(|key| self.0.get(*key)).flatten();
        let unknown = all.clone().any(|value| value == UNPRINTABLE);
        let named = all.any(|value| value.split(':').next() == Some(name));
        match (named, unknown) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }
}

#[cfg(test)]
pub(in crate::doctor) mod tests {
    use super::*;

    /// The unit as installed, without drop-ins.
    pub(in crate::doctor) const PLAIN: &str = "\
LoadState=loaded
ActiveState=active
MainPID=4711
FragmentPath=/lib/systemd/system/vcp.service
DropInPaths=
NeedDaemonReload=no
User=
AmbientCapabilities=
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
PrivateDevices=yes
DevicePolicy=auto
PrivateTmp=yes
StateDirectory=vcp
CacheDirectory=vcp
RuntimeDirectory=vcp
";

    /// The unit with `links.conf`, `attach.conf` and a credential.
    pub(in crate::doctor) const ALLOWED: &str = "\
LoadState=loaded
ActiveState=inactive
MainPID=0
FragmentPath=/lib/systemd/system/vcp.service
DropInPaths=/etc/systemd/system/vcp.service.d/attach.conf /etc/systemd/system/vcp.service.d/links.conf
NeedDaemonReload=no
CapabilityBoundingSet=cap_net_admin cap_net_raw cap_ipc_lock cap_sys_admin cap_sys_resource
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_UNIX
PrivateDevices=no
DevicePolicy=closed
DeviceAllow=block-nbd rw
DeviceAllow=/dev/net/tun rw
PrivateTmp=yes
LoadCredential=disk0-chap:/etc/vcp/disk0-chap
StateDirectory=vcp
CacheDirectory=vcp
RuntimeDirectory=vcp
";

    pub(in crate::doctor) const NBD: Node = Node {
        path: "/dev/nbd",
        class: "block-nbd",
    };

    #[test]
    fn the_unit_as_installed_allows_neither_links_nor_devices() {
        let unit = Unit::parse(PLAIN);
        assert!(unit.is_there());
        assert!(unit.allows_family("AF_INET6"));
        assert!(!unit.allows_family("AF_NETLINK"));
        assert!(!unit.has_capability("cap_sys_admin"));
        assert!(!unit.allows_device(NBD));
        assert_eq!(unit.has_credential("disk0-chap"), Some(false));
    }

    #[test]
    fn drop_ins_add_to_it() {
        let unit = Unit::parse(ALLOWED);
        assert!(unit.allows_family("AF_NETLINK") && unit.allows_family("AF_PACKET"));
        assert!(unit.has_capability("cap_sys_admin"));
        assert!(unit.allows_device(NBD));
        let other = Node {
            path: "/dev/fuse",
            class: "char-misc",
        };
        assert!(!unit.allows_device(other));
        assert_eq!(unit.has_credential("disk0-chap"), Some(true));
        assert_eq!(unit.has_credential("disk0"), Some(false));
        assert_eq!(unit.words("DropInPaths").count(), 2);
    }

    #[test]
    fn what_is_not_restricted_is_allowed() {
        let unit = Unit::parse(
            "LoadState=loaded\nRestrictAddressFamilies=~AF_PACKET\nPrivateDevices=no\n\
             DevicePolicy=auto\nDeviceAllow=\nLoadCredential=[unprintable]\n\
             CapabilityBoundingSet=cap_net_raw\nUser=vcp\nno property\n",
        );
        assert!(unit.allows_family("AF_NETLINK") && !unit.allows_family("AF_PACKET"));
        assert!(unit.allows_device(NBD));
        assert_eq!(unit.has_credential("a"), None);
        assert!(!unit.has_capability("cap_net_raw"), "it is no root");
        assert!(!Unit::parse("LoadState=not-found\n").is_there());
        assert!(Unit::parse("").allows_family("AF_NETLINK"));
    }
}

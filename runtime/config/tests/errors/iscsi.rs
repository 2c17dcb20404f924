//! Errors in the settings of the iSCSI module.

use super::{NET, TARGET, check, iscsi};

#[test]
fn the_iscsi_module() {
    check(
        iscsi(""),
        "host.toml:1:6: vcp.disk0.config.target: missing; expected the target of module \"iscsi\", such as \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"",
    );
    check(
        iscsi(TARGET),
        "host.toml:1:6: vcp.disk0.net: missing; module \"iscsi\" needs a link, such as { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }",
    );
    check(
        iscsi(NET),
        "host.toml:1:6: vcp.disk0.config.target: missing; expected the target of module \"iscsi\", such as \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"",
    );
    check(
        iscsi(&format!("{NET}\nconfig.target = \"10.77.0.1\"")),
        "host.toml:4:17: vcp.disk0.config.target: expected iscsi://[user[%password]@]host[:port]/iqn/lun, found no \"iscsi://\"",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig.target = \"iscsi://10.77.0.1/disk/1\""
        )),
        "host.toml:4:17: vcp.disk0.config.target: expected a target name that starts with iqn., eui. or naa., found \"disk\"",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig.target = \"iscsi://[fd00::1]/iqn.a/1\""
        )),
        "host.toml:4:17: vcp.disk0.config.target: fd00::1 can't be reached: net.address has no IPv6 address",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig.target = \"iscsi://joe%hunter2%@h/iqn.a/1\""
        )),
        "host.toml:4:17: vcp.disk0.config.target: expected user or user%password before \"@\", the password with % as %25, @ as %40 and / as %2F",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig = {{ target = \"iscsi://joe@h/iqn.a/1\", user = \"joe\" }}"
        )),
        "host.toml:4:21: vcp.disk0.config.target: \"user\" is given twice, here and as a key of its own",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig = {{ target = \"iscsi://joe%x@h/iqn.a/1\", password-file = \"/x\" }}"
        )),
        "host.toml:4:21: vcp.disk0.config.target: \"password\" is given twice, here and as a key of its own",
    );
}

#[test]
fn parts_of_the_target_have_no_keys_of_their_own() {
    check(
        iscsi(&format!(
            "{NET}\nconfig = {{ target = \"iscsi://10.0.0.1/iqn.a/1\", lun = 1 }}"
        )),
        "host.toml:4:21: vcp.disk0.config.target: \"lun\" is part of this URI, and not a key of its own",
    );
}

#[test]
fn link_local_targets() {
    let target = |net: &str, portal: &str| {
        iscsi(&format!(
            "net = {{ {net} }}\nconfig.target = \"iscsi://{portal}/iqn.a/1\""
        ))
    };
    let packet = "link = \"packet:eth0\", address = \"fe80::2/64\"";
    check(
        target(packet, "[fe80::1%25eth1]"),
        "host.toml:4:17: vcp.disk0.config.target: [fe80::1%eth1] can't be reached: the link packet:eth0 is another interface",
    );
    check(
        target(packet, "[fd00::1%25eth0]"),
        "host.toml:4:17: vcp.disk0.config.target: expected \"%\" only between a link-local address and an interface's name, as in [fe80::1%eth0], found \"[fd00::1%25eth0]\"",
    );
    check(
        target("link = \"host\"", "[fe80::1]"),
        "host.toml:4:17: vcp.disk0.config.target: fe80::1 is on every interface: expected the one that is meant, as in [fe80::1%eth0]",
    );
    check(
        target("link = \"tap:t\", address = \"10.0.0.2/24\"", "[fe80::1%t]"),
        "host.toml:4:17: vcp.disk0.config.target: fe80::1 can't be reached: net.address has no IPv6 address",
    );
}

//! Targets and gateways that are known by a link-local address, and targets that are
//! elsewhere than at their portal.

use std::net::TcpListener;
use std::sync::Arc;

use vcp_target::Target;
use vcp_target::config::{Redirect, TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::serve::{TcpServer, serve_tcp};
use vcp_tests::client::Clients;
use vcp_tests::lab::{Lab, Side};
use vcp_tests::process::{Running, poll};
use vcp_tests::requires;
use vcp_tests::vcp::{Vcp, assert_one_line, binary, once};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:address";

/// A target in a lab's target namespace, and where it sends initiators, if it does.
struct Portal {
    target: Arc<Target>,
    _server: TcpServer,
}

impl Portal {
    fn start(lab: &Lab, address: &str) -> Self {
        let disk = Box::new(SparseMemory::new(8 << 20));
        let unit = LogicalUnit::new(disk, UnitOptions::default()).expect("a sound unit");
        let mut units = Node::default();
        units.insert(0, Arc::new(unit));
        let mut config = TargetConfig::default();
        config.nodes.push(TargetNode::new(IQN, units));
        let target = Target::new(config);
        let listener = lab.inside(Side::Target, || TcpListener::bind(address));
        let listener = listener.unwrap_or_else(|error| panic!("{address}: {error}"));
        let server = serve_tcp(listener, Arc::clone(&target)).expect("serving a target");
        Self {
            target,
            _server: server,
        }
    }

    fn sends_to(self, address: &str) -> Self {
        let redirect = Redirect {
            address: address.to_owned(),
            permanent: false,
        };
        self.target.redirect(IQN, Some(redirect));
        self
    }
}

/// A lab whose target has these addresses on the wire, too.
fn lab(wiring: &Wiring, addresses: &[&str]) -> Lab {
    let lab = wiring.lab();
    for address in addresses {
        let add = ["address", "add", address, "dev", "wire0", "nodad"];
        // The last word is one for IPv6 alone.
        let words = if address.contains(':') { 6 } else { 5 };
        lab.ip(Side::Target, &add[..words]);
    }
    lab
}

/// It serves, and what is written can be read.
fn serves(lab: &Lab, wiring: &Wiring, url: &str) {
    let vcp = Vcp::run(lab, wiring.side, wiring.arguments_for(url, &lab.nbd()));
    let clients = Clients::new(lab.dir());
    clients.qemu_io(&vcp.uri(), &["write -P 7 0 1M", "read -P 7 0 1M"]);
    vcp.shut_down();
}

/// It can't, which is one line.
fn refused(lab: &Lab, wiring: &Wiring, url: &str, code: i32, named: &[&str]) {
    let mut arguments = vec!["run".to_owned()];
    arguments.extend(wiring.arguments_for(url, &lab.nbd()));
    assert_one_line(&once(lab, wiring.side, &arguments), code, named);
}

fn url(portal: &str) -> String {
    format!("iscsi://{portal}/{IQN}/0")
}

#[test]
fn a_link_local_gateway_leads_to_the_target() {
    requires!(Root, "qemu-io");
    let wiring = Wiring::packet("tso", Family::V6);
    let lab = lab(&wiring, &["fe80::1/64", "2001:db8:77::1/128"]);
    let _portal = Portal::start(&lab, "[2001:db8:77::1]:3260");
    let with = wiring.clone().with("gateway=fe80::1");
    serves(&lab, &with, &url("[2001:db8:77::1]"));
    // Without one there is no way to it.
    let named = ["no route to [2001:db8:77::1]:3260"];
    refused(&lab, &wiring, &url("[2001:db8:77::1]"), 1, &named);
}

#[test]
fn a_link_local_target_over_frames() {
    requires!(Root, "qemu-io");
    let wiring = Wiring::packet("tso", Family::V6);
    let lab = lab(&wiring, &["fe80::1/64"]);
    let _portal = Portal::start(&lab, "[::]:3260");
    for portal in ["[fe80::1%25wire1]", "[fe80::1%wire1]:3260", "[fe80::1]"] {
        serves(&lab, &wiring, &url(portal));
    }
    let other =
        ["target: [fe80::1%eth7] can't be reached: the link packet:wire1 is another interface"];
    refused(&lab, &wiring, &url("[fe80::1%eth7]"), 2, &other);
    let ask = [
        "discover",
        "iscsi://[fe80::1%25wire1]",
        "--link",
        &wiring.link,
    ];
    let found = once(&lab, wiring.side, &ask).expect_success("vcp discover");
    assert!(found.contains(IQN), "{found}");
    let ask = [
        "discover",
        "iscsi://[fe80::1%25eth7]",
        "--link",
        &wiring.link,
    ];
    assert_one_line(&once(&lab, wiring.side, &ask), 2, &["another interface"]);
}

#[test]
fn a_link_local_target_over_the_hosts_tcp() {
    requires!(Root, "qemu-io");
    let wiring = Wiring::host(Family::V6);
    let lab = lab(&wiring, &["fe80::1/64"]);
    let _portal = Portal::start(&lab, "[::]:3260");
    serves(&lab, &wiring, &url("[fe80::1%25wire1]"));
    let absent = ["there is no interface eth7"];
    refused(&lab, &wiring, &url("[fe80::1%25eth7]"), 1, &absent);
    let which = ["fe80::1 is on every interface"];
    refused(&lab, &wiring, &url("[fe80::1]"), 2, &which);
}

/// Where a target sends initiators they may go only if that was granted.
#[test]
fn over_the_hosts_tcp_a_target_may_be_in_an_allowed_network() {
    requires!(Root, "qemu-io");
    let wiring = Wiring::host(Family::V4);
    let lab = lab(&wiring, &["10.77.1.9/24", "fe80::1/64", "fe80::9/64"]);
    let _first = Portal::start(&lab, "10.77.1.1:3260").sends_to("10.77.1.9:3260,1");
    let _second = Portal::start(&lab, "10.77.1.9:3260");
    let to = url("10.77.1.1");
    for allow in ["10.77.1.0/24", "10.77.1.9", "0.0.0.0/0"] {
        serves(&lab, &wiring.clone().with(&format!("allow={allow}")), &to);
    }
    serves(
        &lab,
        &wiring.clone().with("allow=fd00::/8,allow=10.77.1.8/30"),
        &to,
    );
    for wiring in [
        wiring.clone(),
        wiring.clone().with("allow=10.77.2.0/24,allow=::/0"),
    ] {
        waits(
            &lab,
            &wiring,
            &to,
            "connecting to 10.77.1.9 is not granted; net.allow = [\"10.77.1.9\"] grants it",
        );
    }
    // On the link of the portal, whose interface is meant.
    let scope = lab.inside(Side::Target, || {
        rustix::net::netdevice::name_to_index(
            std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket"),
            "wire0",
        )
    });
    let scope = scope.expect("it has a number");
    let _local =
        Portal::start(&lab, &format!("[fe80::1%{scope}]:3260")).sends_to("[fe80::9]:3260,1");
    let _there = Portal::start(&lab, &format!("[fe80::9%{scope}]:3260"));
    let to = url("[fe80::1%25wire1]");
    serves(&lab, &wiring.clone().with("allow=fe80::/64"), &to);
    waits(&lab, &wiring, &to, "net.allow = [\"fe80::9\"] grants it");
}

/// It says what it waits for, and that is all.
fn waits(lab: &Lab, wiring: &Wiring, url: &str, why: &str) {
    let mut command = lab.command(wiring.side, binary());
    command
        .arg("run")
        .args(wiring.arguments_for(url, &lab.nbd()));
    let mut run = Running::start(command, lab.dir(), "vcp");
    let said = poll(std::time::Duration::from_secs(20), || {
        run.stderr().contains(why).then_some(()).or_else(|| {
            assert!(run.ended().is_none(), "{}", run.stderr());
            None
        })
    });
    assert!(said.is_some(), "{why:?} expected:\n{}", run.stderr());
    assert_eq!(run.stdout(), "");
}

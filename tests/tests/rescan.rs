//! Devices that change while they are used: what `vcp rescan` says, and what is
//! noticed without it.

use std::fs::{self, File};

use vcp_tests::host::{Host, NAME};
use vcp_tests::lab::Lab;
use vcp_tests::requires;
use vcp_tests::tgtd::{Tgtd, Unit};
use vcp_tests::user::User;
use vcp_tests::vcp::assert_one_line;
use vcp_tests::wiring::{Family, Wiring};

const MIB: u64 = 1 << 20;

/// A file that grows under the VCP that serves it.
#[test]
fn grown_file_is_found_by_a_rescan() {
    let user = User::new();
    let dir = user.dir().join("images");
    fs::create_dir(&dir).expect("making a directory");
    let image = File::create(dir.join("image")).expect("making a file");
    image.set_len(8 * MIB).expect("a sparse file");
    let text = format!(
        "[vcp.disk]\nmodule = \"file\"\nfiles = [{{ host = \"{}\", guest = \"/d\" }}]\n\
         config = {{ path = \"/d/image\" }}\n[export.disk]\n",
        dir.display()
    );
    fs::write(user.dir().join("file.toml"), text).expect("writing a configuration");
    let host = user.host(&["file.toml"]);
    assert_eq!(user.say(&["rescan", "disk"]), "disk: 8MiB as before\n");
    image.set_len(16 * MIB).expect("a sparse file");
    assert_eq!(user.say(&["rescan", "disk"]), "disk: 16MiB, was 8MiB\n");
    let again = user.json(&["rescan", "disk"]);
    let expected = serde_json::json!({
        "vcp": "disk", "size-before": 16 * MIB, "size": 16 * MIB, "changed": false,
    });
    assert_eq!(again, expected);
    host.shut_down();
}

/// A spare that was made before the file grew is of no use after.
#[test]
fn spare_knows_a_grown_file() {
    requires!("qemu-io");
    let user = User::new();
    let dir = user.dir().join("images");
    fs::create_dir(&dir).expect("making a directory");
    let image = File::create(dir.join("image")).expect("making a file");
    image.set_len(8 * MIB).expect("a sparse file");
    let files = format!("{}:/d", dir.display());
    let arguments = ["file", "path=/d/image", "--files", &files, "--spare"];
    let host = user.host(&[&arguments[..], &["--name", "disk"]].concat());
    user.until("disk", |vcp| vcp["spare"] == "ready");
    image.set_len(16 * MIB).expect("a sparse file");
    assert_eq!(user.say(&["rescan", "disk"]), "disk: 16MiB, was 8MiB\n");
    let clients = user.clients();
    for generation in 2..4 {
        // A client that was told of the size.
        clients.qemu_io(&host.uri(), &["write -P 7 12M 64k"]);
        user.until("disk", |vcp| vcp["spare"] == "ready");
        user.say(&["inject", "disk", "kill"]);
        clients.qemu_io(&host.uri(), &["read -P 7 12M 64k"]);
        user.until("disk", |vcp| {
            vcp["state"] == "ready" && vcp["generation"] == generation
        });
    }
    host.shut_down();
}

/// Whatever is not looked at is said to be so, with an exit code.
#[test]
fn rescan_that_is_not_done_fails() {
    let user = User::new();
    let host = user.configured("restart = { policy = \"never\" }");
    assert_eq!(user.say(&["rescan", "ram"]), "ram: 8MiB as before\n");
    let unknown = user.ask(&["rescan", "tape"]);
    assert_one_line(&unknown, 1, &["tape", "there are: ram"]);
    // An instance that does not answer.
    user.say(&["inject", "ram", "stall"]);
    let silent = user.ask(&["rescan", "ram"]);
    assert_one_line(
        &silent,
        1,
        &["ram", "not rescanned", "no answer within 10 s", "ramdisk"],
    );
    user.say(&["inject", "ram", "trap"]);
    user.until("ram", |vcp| vcp["state"] == "held");
    let held = user.ask(&["rescan", "ram"]);
    assert_one_line(&held, 1, &["ram", "not rescanned", "it is held"]);
    host.shut_down();
}

fn served() -> (Lab, Tgtd, Host, vcp_tests::tgtd::Lun) {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd
        .target("iqn.2026-11.test:grown")
        .unit(1, Unit::new(32 * MIB));
    let wiring = Wiring::tap("tso", Family::V4);
    let url = lun.url(wiring.portal);
    let host = Host::start(&lab, &wiring, &url, "");
    (lab, tgtd, host, lun)
}

#[test]
fn grown_unit_is_found_by_a_rescan() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let (lab, tgtd, host, lun) = served();
    let said = host.rescan();
    assert_eq!(
        (&said["size"], &said["changed"]),
        (&(32 * MIB).into(), &false.into())
    );
    tgtd.known(1, &lun.iqn).grow(&lun, 64 * MIB);
    let said = host.rescan();
    assert_eq!(
        (&said["vcp"], &said["size"]),
        (&NAME.into(), &(64 * MIB).into())
    );
    let clients = vcp_tests::client::Clients::new(lab.dir());
    clients.qemu_io(&host.uri(), &["write -P 7 48M 64k", "read -P 7 48M 64k"]);
    host.shut_down();
}

/// Without being told: a unit that nobody uses says nothing.
#[test]
fn grown_unit_is_noticed_when_idle() {
    requires!(Root, Tun, "tgtd", "nbdinfo");
    let (lab, tgtd, host, lun) = served();
    tgtd.known(1, &lun.iqn).grow(&lun, 64 * MIB);
    let clients = vcp_tests::client::Clients::new(lab.dir());
    let size = || clients.info(&host.uri())["export-size"].as_u64();
    let there = || size().filter(|size| *size == 64 * MIB);
    let limit = std::time::Duration::from_secs(75);
    let noticed = vcp_tests::process::poll(limit, there);
    assert!(noticed.is_some(), "{}", host.vcp().logs());
    host.shut_down();
}

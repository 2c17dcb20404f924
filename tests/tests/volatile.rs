//! RAM disks as an operator has them: the memory that they take, and what is left of them
//! after a fault.

use std::os::unix::fs::FileExt as _;
use std::process::Command;

use vcp_tests::client::Clients;
use vcp_tests::process::resident;
use vcp_tests::requires;
use vcp_tests::user::User;
use vcp_tests::vcp::assert_one_line;

const MIB: u64 = 1 << 20;

/// Whether `qemu-io` does this to an export; bytes that are others it only tells of.
fn does(uri: &str, step: &str) -> bool {
    let mut client = Command::new("qemu-io");
    let done = client.args(["-f", "raw", "-c", step, uri]).output();
    let done = done.expect("qemu-io runs");
    let said = [done.stdout, done.stderr].concat();
    done.status.success() && !String::from_utf8_lossy(&said).contains("failed")
}

/// The obvious command works, and shows what it may have.
#[test]
fn any_size_has_its_memory() {
    requires!("qemu-io");
    let user = User::new();
    for (size, mib) in [("size=64MiB", 64), ("size=1GiB", 1024)] {
        let host = user.host(&["ramdisk", size, "--name", "ram"]);
        let end = (mib - 1) * MIB;
        let steps = [
            format!("write -P 7 {end} 1M"),
            format!("read -P 7 {end} 1M"),
        ];
        let clients: Clients = user.clients();
        clients.qemu_io(&host.uri(), &[&*steps[0], &*steps[1]]);
        let limit = user.json(&["inspect", "ram"])["memory-limit"].as_u64();
        let limit = limit.expect("a number");
        assert!((mib * MIB..(mib + 64) * MIB).contains(&limit), "{limit}");
        host.shut_down();
    }
    // What the operator gave is the bound, and both figures are told.
    let tight = ["run", "ramdisk", "size=64MiB", "--memory", "64MiB"];
    let refused = user.ask(&[&tight[..], &["--control", "none"]].concat());
    assert_one_line(&refused, 1, &["config.size", "76MiB", "65536KiB", "memory"]);
}

/// What was never written takes no memory, and making it zero does not change that.
#[test]
fn zeroes_and_trims_of_a_blank_disk_take_no_memory() {
    requires!("qemu-io");
    let user = User::new();
    let host = user.host(&["ramdisk", "size=512MiB", "--name", "ram"]);
    let clients: Clients = user.clients();
    let before = resident(host.pid()) as u64;
    // Together, they are in one call as far as the host lets them.
    let both = [
        "aio_write -z 0 512M",
        "aio_write -z -u 0 512M",
        "discard 0 512M",
        "aio_flush",
    ];
    clients.qemu_io(&host.uri(), &both);
    let grown = (resident(host.pid()) as u64).saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes more");
    // What is written does take some, so that is seen here.
    clients.qemu_io(&host.uri(), &["write -P 7 0 128M", "write -z 0 512M"]);
    let grown = (resident(host.pid()) as u64).saturating_sub(before);
    assert!(grown >= 128 * MIB, "{grown} bytes more");
    clients.qemu_io(&host.uri(), &["read -P 0 0 512M"]);
    let vcp = user.json(&["inspect", "ram"]);
    assert_eq!(vcp["generation"], 1, "{vcp}");
    host.shut_down();
}

/// An image with holes is copied as a user would do it.
#[test]
fn sparse_image_is_copied_onto_one() {
    requires!("nbdcopy", "qemu-io");
    let user = User::new();
    let image = user.dir().join("image");
    let file = std::fs::File::create(&image).expect("making a file");
    file.set_len(1000 * MIB).expect("a sparse file");
    file.write_all_at(&[7; 65536], 500 * MIB).expect("room");
    let host = user.host(&["ramdisk", "size=1000MiB", "--name", "ram"]);
    let clients: Clients = user.clients();
    clients.succeed("nbdcopy", &[&image.display().to_string(), &host.uri()]);
    let steps = [
        "read -P 0 0 500M",
        "read -P 7 500M 64k",
        "read -P 0 999M 1M",
    ];
    clients.qemu_io(&host.uri(), &steps);
    let vcp = user.json(&["inspect", "ram"]);
    assert_eq!(vcp["generation"], 1, "{vcp}");
    host.shut_down();
}

/// Its clients hear of the loss, and nobody reads zeroes in place of what they wrote.
#[test]
fn a_fault_is_an_error_until_the_operator_wants_a_blank_disk() {
    requires!("qemu-io");
    let user = User::new();
    let host = user.host(&["ramdisk", "size=8MiB", "--name", "ram"]);
    let uri = host.uri();
    assert!(does(&uri, "write -P 7 0 64k"));
    user.say(&["inject", "ram", "trap"]);
    user.until("ram", |vcp| vcp["state"] == "held");
    assert!(!does(&uri, "read 0 64k"));
    let told = host.logs();
    let lost = "the contents of the disk were lost with generation 1; `vcp restart` makes";
    assert_eq!(told.matches(lost).count(), 1, "{told}");
    user.say(&["restart", "ram"]);
    user.until("ram", |vcp| vcp["state"] == "ready");
    assert!(does(&uri, "read -P 0 0 64k"));
    host.shut_down();
}

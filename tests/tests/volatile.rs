//! RAM disks as an operator has them: the memory that they take, and what is left of them
//! after a fault.

use std::process::Command;

use vcp_tests::client::Clients;
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

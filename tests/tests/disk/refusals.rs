//! What can't be attached or detached is one line that says why.

use std::time::Duration;

use vcp_tests::requires;
use vcp_tests::vcp::assert_one_line;
use vcp_tests::vm::Vm;

use crate::AGENT;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn refusals_are_one_line() {
    requires!(Machine);
    let mut vm = Vm::boot(AGENT);
    vm.write(
        "/etc/vcp.toml",
        "[vcp.ram]\nmodule = \"ramdisk\"\nconfig = { size = \"32MiB\" }\n[export.ram]\n\
         [export.other]\nvcp = \"ram\"\nread-only = true",
    );
    vm.run("vcp run /etc/vcp.toml > /run/host.out 2> /dev/console & echo $! > /run/host.pid");
    vm.until("grep -q nbd /run/host.out", LIMIT);
    without_a_driver(&mut vm);
    let mut refused = |script: &str, named: &[&str]| {
        let outcome = vm.ask(script, LIMIT);
        assert_one_line(&outcome, 1, named);
    };
    refused("vcp detach ram", &["ram", "not attached"]);
    refused("vcp attach nobody", &["nobody"]);
    let prepare = "vcp attach ram /dev/nbd3 > /dev/null && mkfs.ext4 -q /dev/nbd3 &&
                   mount -t ext4 /dev/nbd3 /mnt || exit 7";
    refused(
        &format!("{prepare}; vcp detach ram"),
        &["/dev/nbd3", "/mnt", "--force"],
    );
    refused("vcp attach ram", &["ram", "/dev/nbd3"]);
    refused("vcp attach other /dev/nbd3", &["/dev/nbd3"]);
    refused(
        "umount /mnt; vcp detach /dev/nbd3; vcp detach /dev/nbd3",
        &["/dev/nbd3"],
    );
    // Seen by the kernel as what it is.
    let read_only = vm.run(
        "vcp attach other /dev/nbd3 > /dev/null; cat /sys/block/nbd3/ro; vcp ps; vcp detach other",
    );
    assert!(read_only.starts_with("1\n"), "{read_only}");
    assert!(read_only.contains("/dev/nbd3"), "{read_only}");
    vm.shut_down();
}

/// A kernel that has no nbd, for as long as its modules are elsewhere.
fn without_a_driver(vm: &mut Vm) {
    let modules = "/lib/modules/$(uname -r)";
    vm.run(&format!("mv {modules} /lib/away"));
    let says = "export ram: this kernel (";
    let refused = vm.ask("vcp attach ram", LIMIT);
    assert_one_line(&refused, 1, &[says, ") has no nbd"]);
    // Nothing is left over of the attempt.
    let left = vm.run("vcp inspect ram --json");
    assert!(left.contains("\"clients\": 0"), "{left}");
    vm.write(
        "/etc/attached.toml",
        "[vcp.ram]\nmodule = \"ramdisk\"\nconfig = { size = \"1MiB\" }\n\
         [export.ram]\nattach = {}",
    );
    let alone = vm.ask(
        "VCP_CONTROL_DIR=/run/other vcp run /etc/attached.toml",
        LIMIT,
    );
    assert_one_line(&alone, 1, &[says, ") has no nbd"]);
    let report = vm.run("vcp doctor");
    let line = report.lines().find(|line| line.contains("/dev/nbdX"));
    assert!(line.is_some_and(|line| line.contains("no: ")), "{report}");
    vm.run(&format!("mv /lib/away {modules}"));
}

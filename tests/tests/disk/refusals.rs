//! What can't be attached or detached is one line that says why.

use vcp_tests::requires;
use vcp_tests::vcp::assert_one_line;
use vcp_tests::vm::Vm;

use crate::AGENT;

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
    let limit = std::time::Duration::from_secs(60);
    vm.until("grep -q nbd /run/host.out", limit);
    let mut refused = |script: &str, named: &[&str]| {
        let outcome = vm.ask(script, limit);
        assert_one_line(&outcome, 1, named);
    };
    // The driver is there, and is not.
    let modules = "/lib/modules/$(uname -r)";
    refused(
        &format!(
            "mv {modules} /lib/away; vcp attach ram; code=$?; mv /lib/away {modules}; exit $code"
        ),
        &["nbd"],
    );
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

//! The kernel as a client of a host elsewhere, over TCP.

use std::time::Duration;

use vcp_tests::requires;
use vcp_tests::vm::Vm;

use crate::AGENT;

#[test]
fn boots() {
    requires!(Machine);
    let mut vm = Vm::boot(AGENT);
    println!(
        "{}",
        vm.run("uname -a; ls /dev | head; modprobe nbd; lsmod; ls /root/.cache/vcp")
    );
    let outcome = vm.ask(
        "time vcp run ramdisk size=1MiB --run 'true'",
        Duration::from_secs(60),
    );
    println!("{outcome:?}");
    vm.shut_down();
}

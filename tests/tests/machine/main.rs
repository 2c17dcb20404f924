//! The package on a Debian machine with systemd: what an operator does with it from
//! installation to purge, and what becomes of the data when the machine goes down at a bad
//! moment. `cargo xtask machine` makes the machine and runs this.

mod bed;
mod ends;
mod service;
mod told;

use vcp_tests::requires;
use vcp_tests::scale::is_quick;

use bed::Bed;

/// The program in the machine that runs scripts.
const AGENT: &str = env!("CARGO_BIN_EXE_vm-agent");

/// One machine's life. A boot takes half a minute, so that it is one test.
#[test]
fn from_installation_to_purge() {
    requires!(Root, Debian, "tgtd", "qemu-img", "dpkg-deb");
    let mut bed = Bed::install();
    told::without_the_drop_in(&mut bed);
    service::first_boot(&mut bed);
    service::reload(&mut bed);
    service::restarts_under_load(&mut bed);
    told::journal(&mut bed);
    service::socket_unit_under_load(&mut bed);
    service::upgrade_under_load(&mut bed);
    service::purge(&mut bed);
}

/// The machine goes down, or the service does, while the disk is in use.
#[test]
fn down_while_the_disk_is_in_use() {
    requires!(Root, Debian, "tgtd", "qemu-img", "dpkg-deb");
    let mut bed = Bed::install();
    ends::busy_mount(&mut bed);
    if !is_quick() {
        ends::stopped_under_a_mount(&mut bed);
        ends::refused(&mut bed);
        ends::target_away(&mut bed);
    }
}

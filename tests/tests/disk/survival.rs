//! A mounted file system does not notice that its driver dies, and its host.

use std::time::{Duration, Instant};

use vcp_tests::requires;
use vcp_tests::scale::is_full;

use crate::bed::{Bed, EXT4, FileSystem, XFS};
use crate::tree::{MOUNT, Tree};

/// Flushing what a file system has in memory, under emulation.
pub(crate) const UNMOUNT: Duration = Duration::from_secs(180);

#[test]
fn ext4_survives_its_driver_and_its_host() {
    requires!(Machine);
    survives(EXT4);
}

#[test]
fn xfs_survives_its_driver_and_its_host() {
    requires!(Machine);
    survives(XFS);
}

/// The VCP dies again and again while a tree is written, and the host so often
/// meanwhile. Nobody sees an error, and every byte is there.
fn survives(system: FileSystem) {
    let (files, vcps, hosts) = if is_full() {
        (20_000, 50, 10)
    } else {
        (800, 5, 2)
    };
    let mut bed = Bed::new("768M", "");
    bed.start_host();
    bed.vm
        .ask(&system.make(), UNMOUNT)
        .expect_success("making a file system");
    bed.vm.run(&system.mount());
    let tree = Tree::new(files);
    let begun = Instant::now();
    let writing = tree.write(&mut bed.vm);
    let deaths = vcps + hosts;
    let mut died = (0, 0);
    for death in 1..=deaths {
        writing.until(&mut bed.vm, death, deaths + 1);
        // Evenly among the others.
        if death * hosts / deaths > (death - 1) * hosts / deaths {
            let killed = Instant::now();
            bed.kill_host();
            bed.start_host();
            println!("host back in {:.1} s", killed.elapsed().as_secs_f32());
            died.1 += 1;
        } else {
            bed.inject(if death % 2 == 0 { "trap" } else { "kill" });
            died.0 += 1;
        }
    }
    assert_eq!(died, (vcps, hosts));
    let written = writing.end(&mut bed.vm);
    println!(
        "written in {:.0} s: {written}",
        begun.elapsed().as_secs_f32()
    );
    let unmounted = bed.vm.ask(&format!("umount {MOUNT}"), UNMOUNT);
    unmounted.expect_success("unmounting");
    let checked = bed.vm.ask(&system.check(), UNMOUNT);
    checked.expect_success("checking a file system");
    bed.vm.run(&system.mount());
    assert_eq!(tree.check(&mut bed.vm), written);
    bed.vm.run(&format!("umount {MOUNT}"));
    bed.stop_host();
    bed.vm.shut_down();
}

//! What fails is undone step by step, and what does not answer any more can be taken
//! apart.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vcp_tests::host::{Host, NAME};
use vcp_tests::process::{Running, command};
use vcp_tests::requires;
use vcp_tests::vcp::assert_one_line;

use crate::{Bed, IQN};

/// How long taking something apart may take that does not answer.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn what_fails_leaves_nothing() {
    requires!(Root, Tun, LoopAndFuse, Ext4, "tgtd", "nbdfuse", "mkfs.ext4");
    let bed = Bed::new(64 << 20, "");
    let point = bed.mounts.point("mnt").display().to_string();
    let mount = |disk: &str, dir: &str, more: &[&str]| {
        let line = [&["mount", disk, dir, "--via", "fuse"], more].concat();
        let outcome = bed.mounts.ask(&line);
        bed.mounts.assert_nothing_left();
        outcome
    };
    let empty = mount(NAME, &point, &[]);
    assert_one_line(&empty, 1, &[NAME, "/dev/loop", "no file system", "mkfs"]);
    let typed = mount(NAME, &point, &["--type", "ext4"]);
    assert_one_line(&typed, 1, &[NAME, "mount", "wrong fs type"]);
    bed.mounts.make(&bed.host.uri(), &["mkfs.ext4", "-q"]);
    let option = mount(NAME, &point, &["-o", "no-such-option"]);
    assert_one_line(&option, 1, &[NAME, "mount"]);
    let nowhere = mount(NAME, "/no/such/dir", &[]);
    assert_one_line(&nowhere, 1, &["/no/such/dir"]);
    assert_one_line(&mount("other", &point, &[]), 1, &["no VCP other", NAME]);
    let unknown = bed.mounts.ask(&["umount", NAME]);
    assert_one_line(&unknown, 1, &[NAME, "vcp mount"]);
    // And after all that it works.
    bed.mount(&[]);
    let again = bed.mounts.ask(&["mount", NAME, &point, "--via", "fuse"]);
    assert_one_line(&again, 1, &["mounted at", &point, "already"]);
    let mode = fs::metadata(bed.mounts.records())
        .expect("made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    bed.mounts.say(&["umount", &point]);
    bed.mounts.assert_nothing_left();
    bed.host.shut_down();
}

#[test]
fn only_when_nobody_uses_it() {
    requires!(Root, Tun, LoopAndFuse, Ext4, "tgtd", "nbdfuse", "mkfs.ext4");
    let bed = Bed::ext4(64 << 20, "");
    bed.mount(&["--read-only"]);
    let point = bed.mounts.point("mnt");
    let refused = fs::write(point.join("file"), "text").expect_err("it is read-only");
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    bed.mounts.say(&["umount", NAME]);
    bed.mount(&[]);
    let mut file = fs::File::create(point.join("file")).expect("it is mounted");
    let busy = bed.mounts.ask(&["umount", NAME]);
    assert_one_line(&busy, 1, &[NAME, "busy"]);
    file.write_all(b"text").expect("it still is");
    // Lazily it is out of sight, and goes with its last user.
    bed.mounts.say(&["umount", NAME, "--lazy"]);
    assert!(!point.join("file").exists());
    file.sync_all().expect("it is there until then");
    drop(file);
    bed.mounts.assert_nothing_left();
    bed.mount(&[]);
    let text = fs::read_to_string(point.join("file")).expect("it was written");
    assert_eq!(text, "text");
    bed.mounts.say(&["umount", NAME]);
    bed.host.shut_down();
}

/// nbdfuse does not connect again: when the host dies, the file system is dead, can be
/// taken apart, and has what was synced when it is mounted again.
#[test]
fn the_host_dies() {
    requires!(Root, Tun, LoopAndFuse, Ext4, "tgtd", "nbdfuse", "mkfs.ext4");
    let bed = Bed::ext4(64 << 20, "");
    bed.mount(&[]);
    let point = bed.mounts.point("mnt");
    let synced = |name: &str| {
        let mut file = fs::File::create(point.join(name))?;
        file.write_all(name.as_bytes())?;
        file.sync_all()
    };
    synced("kept").expect("it is mounted");
    let Bed {
        mounts,
        host,
        lab,
        wiring,
        lun,
        ..
    } = &bed;
    host.vcp().signal(Signal::KILL);
    synced("lost").expect_err("nobody serves it");
    let began = Instant::now();
    mounts.say(&["umount", NAME, "--force"]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    mounts.assert_nothing_left();
    let _ = fs::remove_file(lab.socket());
    let another = Host::start(lab, wiring, &lun.url(wiring.portal), "");
    bed.mount(&[]);
    let kept = fs::read_to_string(point.join("kept")).expect("it was synced");
    assert_eq!(kept, "kept");
    mounts.say(&["umount", NAME]);
    bed.check(&["fsck.ext4", "-f", "-n"]);
    another.shut_down();
}

/// The target is gone: past the replacement timeout the file system gets errors; before
/// it, and without one, requests wait. Neither is in the way of an end by force.
#[test]
fn the_target_is_gone() {
    requires!(Root, Tun, LoopAndFuse, Ext4, "tgtd", "nbdfuse", "mkfs.ext4");
    for timeout in ["1", "\"never\""] {
        let bed = Bed::ext4(64 << 20, &format!("replacement-timeout = {timeout}"));
        bed.mount(&[]);
        let point = bed.mounts.point("mnt");
        let Bed {
            mounts,
            host,
            tgtd,
            lun,
            lab,
            ..
        } = bed;
        tgtd.kill();
        let mut writer = command("dd");
        let file = format!("of={}", point.join("file").display());
        writer.args(["if=/dev/zero", &file, "bs=64k", "count=16", "conv=fsync"]);
        let mut writer = Running::start(writer, lab.dir(), "dd");
        std::thread::sleep(Duration::from_secs(4));
        let failed = writer.ended().is_some_and(|status| !status.success());
        assert_eq!(
            failed,
            timeout == "1",
            "timeout {timeout}: {}",
            writer.stderr()
        );
        let began = Instant::now();
        mounts.say(&["umount", point.to_str().expect("ASCII"), "--force"]);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        assert_ne!(writer.outcome(SOON).code(), 0, "it can't have been written");
        mounts.assert_nothing_left();
        let outcome = host.stop();
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        assert_eq!(lun.iqn, IQN);
    }
}

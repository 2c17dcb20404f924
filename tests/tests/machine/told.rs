//! What an operator reads: of a service that may not do what it is asked, and in the
//! journal of one that does.

use crate::bed::{Bed, SOON};

/// Without the drop-in for devices, whoever asks for one is told of it.
pub(crate) fn without_the_drop_in(bed: &mut Bed) {
    bed.run("vcp host --check");
    bed.run("systemctl start vcp");
    bed.machine.until("vcp ps | grep -q ready", SOON);
    let attach = bed.ask("vcp attach disk0");
    assert_ne!(attach.code(), 0, "{attach:?}");
    let named = "/usr/share/doc/vcp/examples/attach.conf";
    assert!(attach.stderr.contains(named), "{attach:?}");
    let doctor = bed.ask("vcp doctor --service");
    assert_eq!(doctor.code(), 1, "{doctor:?}");
    assert!(doctor.stdout.contains(named), "{doctor:?}");
    bed.run("systemctl stop vcp");
    bed.allow_devices();
    let doctor = bed.ask("vcp doctor --service");
    assert_eq!(doctor.code(), 0, "{doctor:?}");
}

/// A line has its priority from the host, and no time but the journal's; a planned restart
/// is nothing to warn of.
pub(crate) fn journal(bed: &mut Bed) {
    bed.run("journalctl --rotate && journalctl --vacuum-time=1s && sleep 1");
    bed.run("systemctl restart vcp");
    bed.wait_for_device();
    bed.machine.until("vcp ps | grep -q ready", SOON);
    let warnings = bed.run("journalctl -b -u vcp -p warning -o cat --no-pager");
    assert_eq!(warnings, "", "a planned restart");
    let lines = bed.run("journalctl -b _COMM=vcp -o cat --no-pager");
    assert!(!lines.is_empty(), "the host says nothing");
    for line in lines.lines() {
        let time = line.starts_with("20") && line.contains('T');
        assert!(!time && !line.starts_with('<'), "{line}");
    }
    bed.run("vcp inject disk0 trap");
    bed.machine.until(
        "journalctl -b -u vcp -p warning -o cat | grep -q trap",
        SOON,
    );
}

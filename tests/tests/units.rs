//! Logical units of every kind: what a client sees of them and may do to them.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use vcp_tests::client::Clients;
use vcp_tests::lab::{Lab, Side};
use vcp_tests::process::run;
use vcp_tests::requires;
use vcp_tests::scale::Scale;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::Vcp;
use vcp_tests::wiring::{Family, Wiring};

const MIB: u64 = 1 << 20;

/// A unit served over a TAP, and clients for it.
struct Served {
    vcp: Vcp,
    lun: Lun,
    clients: Clients,
    _tgtd: Tgtd,
    lab: Lab,
}

fn serve(unit: Unit) -> Served {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd.target("iqn.2026-11.test:unit").unit(1, unit);
    let wiring = Wiring::tap("tso", Family::V4);
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&lun, &lab.nbd()));
    Served {
        vcp,
        lun,
        clients: Clients::new(lab.dir()),
        _tgtd: tgtd,
        lab,
    }
}

#[test]
fn sectors_of_4096_bytes() {
    requires!(Root, Tun, "tgtd", "qemu-img", "nbdcopy", "nbdinfo", "fio");
    let served = serve(Unit::new(Scale::from_env().image / 2).sector(4096));
    let uri = served.vcp.uri();
    served.clients.check_info(&uri, &served.lun);
    served.clients.convert_both_ways(&uri, &served.lun);
    served.clients.copy_both_ways(&uri, &served.lun);
    served.clients.verify_load(&uri);
    served.vcp.shut_down();
}

/// Either a request that is not aligned to sectors gets the right answer, or
/// the export says that it wants alignment. With the first, a write must leave
/// the rest of its sectors as they were.
#[test]
fn requests_that_are_not_aligned() {
    requires!(Root, Tun, "tgtd", "nbdinfo", "nbdsh");
    let served = serve(Unit::new(8 * MIB).sector(4096));
    let uri = served.vcp.uri();
    let script = "\
h.set_strict_mode(0)
h.connect_uri(URI)
h.pwrite(b'a' * 16384, 0)
minimum = h.get_block_size(nbd.SIZE_MINIMUM)
try:
    h.pwrite(b'b' * 5000, 1001)
    got = h.pread(9000, 13)
    assert minimum == 1, minimum
    assert got == (b'a' * 1001 + b'b' * 5000 + b'a' * 9999)[13:9013]
    print('answered')
except nbd.Error as error:
    assert minimum == 4096, (minimum, error)
    assert error.errno == 'EINVAL', error.errno
    assert h.pread(16384, 0) == b'a' * 16384
    print('refused')
";
    let said = served.clients.script(&uri, script);
    assert!(["answered", "refused"].contains(&said.trim()), "{said}");
    served.vcp.shut_down();
}

#[test]
fn end_of_three_tebibytes() {
    requires!(Root, Tun, "tgtd", "qemu-io", "nbdinfo");
    let size = 3 * MIB * MIB;
    let served = serve(Unit::new(size));
    let uri = served.vcp.uri();
    served.clients.check_info(&uri, &served.lun);
    let last = size - MIB;
    let write = format!("write -P 0xa5 {last} {MIB}");
    let read = format!("read -P 0xa5 {last} {MIB}");
    let beyond_2_tib = format!("write -P 0x5a {} 64k", 2 * MIB * MIB + 4096);
    served
        .clients
        .qemu_io(&uri, &[&write, &beyond_2_tib, "flush", &read]);
    let file = File::open(&served.lun.file).expect("the target's file");
    let mut end = vec![0; 4096];
    file.read_exact_at(&mut end, size - 4096).expect("its end");
    assert!(
        end.iter().all(|byte| *byte == 0xa5),
        "the end was not written where it belongs"
    );
    file.read_exact_at(&mut end, 2 * MIB * MIB + 4096)
        .expect("its middle");
    assert!(
        end.iter().all(|byte| *byte == 0x5a),
        "an address over 32 bits was cut"
    );
    served.vcp.shut_down();
}

#[test]
fn read_only() {
    requires!(Root, Tun, "tgtd", "qemu-io", "nbdinfo", "nbdcopy");
    let served = serve(Unit::new(8 * MIB).read_only());
    let uri = served.vcp.uri();
    served.clients.check_info(&uri, &served.lun);
    served.clients.succeed("nbdcopy", &[&uri, "null:"]);
    let mut writer = vcp_tests::process::command("qemu-io");
    writer.args(["-f", "raw", "-c", "write 0 4k", &uri]);
    let refused = run(writer, served.lab.dir(), Scale::from_env().limit());
    assert_ne!(
        refused.code(),
        0,
        "a write to a read-only unit was accepted"
    );
    let blocks = std::fs::metadata(&served.lun.file)
        .expect("the target's file")
        .blocks();
    assert_eq!(blocks, 0, "something was written");
    served.vcp.shut_down();
}

/// TRIM gives space back at the target and WRITE ZEROES leaves zeros, with the
/// bytes around both untouched.
#[test]
fn trim_and_zeroes() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let served = serve(Unit::new(32 * MIB));
    let uri = served.vcp.uri();
    served.clients.qemu_io(&uri, &["write -P 1 0 32m", "flush"]);
    let blocks = || {
        std::fs::metadata(&served.lun.file)
            .expect("the target's file")
            .blocks()
    };
    let full = blocks();
    served.clients.qemu_io(
        &uri,
        &[
            "discard 4m 8m",
            "write -z 16m 1m",
            "write -z -u 20m 1m",
            "flush",
        ],
    );
    assert!(
        blocks() < full,
        "TRIM freed nothing: {full} blocks before, {} after",
        blocks()
    );
    served.clients.qemu_io(
        &uri,
        &[
            "read -P 1 0 4m",
            "read -P 1 12m 4m",
            "read -P 0 16m 1m",
            "read -P 1 17m 3m",
            "read -P 0 20m 1m",
            "read -P 1 21m 11m",
        ],
    );
    served.vcp.shut_down();
}

/// Two units of one target, by number, are two disks.
#[test]
fn the_unit_that_was_asked_for() {
    requires!(Root, Tun, "tgtd", "qemu-io", "nbdinfo");
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target("iqn.2026-11.test:two");
    let (_first, second) = (
        target.unit(1, Unit::new(4 * MIB)),
        target.unit(200, Unit::new(6 * MIB)),
    );
    let wiring = Wiring::tap("tso", Family::V4);
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&second, &lab.nbd()));
    let clients = Clients::new(lab.dir());
    clients.check_info(&vcp.uri(), &second);
    clients.qemu_io(&vcp.uri(), &["write -P 7 0 4k"]);
    let mut start = [0; 4096];
    File::open(&second.file)
        .and_then(|file| file.read_exact_at(&mut start, 0))
        .expect("the target's file");
    assert_eq!(start, [7; 4096]);
    vcp.shut_down();
}

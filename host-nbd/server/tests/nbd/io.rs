//! Single requests by qemu-io, which cuts and pads what the export's block sizes
//! do not allow.

use crate::disk::Disk;
use crate::host::{Host, TestExport};
use crate::requires;
use crate::tool::{fails, run};

fn qemu_io(uri: &str, commands: &[&str]) -> String {
    let mut arguments = vec!["-f", "raw"];
    for command in commands {
        arguments.extend(["-c", command]);
    }
    arguments.push(uri);
    let output = run("qemu-io", &arguments);
    assert!(!output.contains("Pattern verification failed"), "{output}");
    output
}

#[test]
fn unaligned_io_zeroes_and_discard() {
    requires!("qemu-io");
    for block_size in [512, 4096, 65536] {
        let host = Host::new([("disk", TestExport::new(Disk::new(8 << 20, block_size)))]);
        qemu_io(
            &host.uri("disk"),
            &[
                "write -P 0x11 0 8M",
                "write -P 0x22 1 511",
                "write -P 0x33 70001 12345",
                "write -P 0x55 -f 82346 3",
                "flush",
                "read -P 0x11 0 1",
                "read -P 0x22 1 511",
                "read -P 0x11 512 69489",
                "read -P 0x33 70001 12345",
                "read -P 0x55 82346 3",
                "read -P 0x11 82349 100",
                "write -z 1M 1M",
                "write -z -u 3M 64k",
                "write -z 2097153 7",
                "read -P 0 1M 1M",
                "read -P 0 3M 64k",
                "read -P 0x11 2097152 1",
                "read -P 0 2097153 7",
                "read -P 0x11 2097160 100",
                "discard 4M 64k",
                "read -P 0x11 5M 1M",
            ],
        );
    }
}

#[test]
fn requests_under_way_together() {
    requires!("qemu-io");
    let host = Host::new([("disk", TestExport::new(Disk::new(32 << 20, 512)))]);
    let writes: Vec<_> = (0..64)
        .map(|i| format!("aio_write -P {} {}k 256k", i + 1, i * 256))
        .collect();
    let reads: Vec<_> = (0..64)
        .map(|i| format!("aio_read -P {} {}k 256k", i + 1, i * 256))
        .collect();
    let mut commands: Vec<_> = writes.iter().map(String::as_str).collect();
    commands.push("aio_flush");
    commands.extend(reads.iter().map(String::as_str));
    commands.push("aio_flush");
    qemu_io(&host.uri("disk"), &commands);
}

#[test]
fn a_read_only_export_is_opened_so_or_not_at_all() {
    requires!("qemu-io");
    let host = Host::new([("disk", TestExport::new(Disk::new(1 << 20, 512)).read_only())]);
    let uri = host.uri("disk");
    run(
        "qemu-io",
        &["-r", "-f", "raw", "-c", "read -P 0 0 64k", &uri],
    );
    let complaint = fails("qemu-io", &["-f", "raw", "-c", "write 0 512", &uri]);
    assert!(complaint.contains("Permission denied"), "{complaint}");
}
